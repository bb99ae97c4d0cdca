"""The page at /api/v1/docs: the API's own document, rendered here. No script and no CDN, so the strict CSP holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str
    required: bool
    text: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    text: str
    schema: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the page shows it."""

    id: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Field]
    body: list[Field]
    answers: list[Answer]


@dataclass(slots=True)
class Section:
    name: str
    operations: list[Operation] = field(default_factory=list)


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Open to everyone who reaches the portal: it says what could be asked, not what is stored."""
    sections, schemas = page_content()
    return render(request, "api/docs.html", {"sections": sections, "schemas": schemas})


@lru_cache(maxsize=1)
def page_content() -> tuple[list[Section], dict[str, list[Field]]]:
    """The sections of operations, and the fields of every object by name."""
    from opsportal.api import api

    document = api.get_openapi_schema()
    schemas: dict[str, Schema] = document["components"]["schemas"]
    return list(_sections(document, schemas)), {name: fields_of(schemas[name]) for name in sorted(schemas)}


def _sections(document: Any, schemas: dict[str, Schema]) -> list[Section]:
    found: dict[str, Section] = {}
    for path, methods in document["paths"].items():
        for method, details in methods.items():
            name = details.get("tags", ["Other"])[0]
            found.setdefault(name, Section(name)).operations.append(_operation(method, path, details, schemas))
    return list(found.values())


def _operation(method: str, path: str, details: Schema, schemas: dict[str, Schema]) -> Operation:
    content = details.get("requestBody", {}).get("content", {})
    body = content.get("application/json", {}).get("schema", {})
    return Operation(
        id=details["operationId"],
        method=method.upper(),
        path=path,
        summary=details["summary"],
        text=details.get("description", ""),
        parameters=[_parameter(found) for found in details["parameters"]],
        body=_body_fields(body, schemas),
        answers=[_answer(status, found) for status, found in details["responses"].items()],
    )


def _parameter(found: Schema) -> Field:
    return Field(
        found["name"], kind_of(found["schema"]), bool(found.get("required")), found.get("description", ""), found["in"]
    )


def _body_fields(schema: Schema, schemas: dict[str, Schema]) -> list[Field]:
    for choice in [schema, *schema.get("anyOf", [])]:
        if "$ref" in choice:
            return fields_of(schemas[_name(choice["$ref"])])
    return []


def fields_of(schema: Schema) -> list[Field]:
    """The fields of an object."""
    required = set(schema.get("required", []))
    return [
        Field(name, kind_of(found), name in required, found.get("description", ""))
        for name, found in schema.get("properties", {}).items()
    ]


def _answer(status: Any, found: Schema) -> Answer:
    schema = found.get("content", {}).get("application/json", {}).get("schema", {})
    return Answer(str(status), found["description"], _name(schema["$ref"]) if "$ref" in schema else "")


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def kind_of(schema: Schema) -> str:
    """A type in a few words: ``integer``, ``list of LetterOut``, ``open | replayed``, ``date-time or null``."""
    if "$ref" in schema:
        return _name(schema["$ref"])
    if "anyOf" in schema:
        return " or ".join(kind_of(choice) for choice in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " | ".join(str(word) for word in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any value")

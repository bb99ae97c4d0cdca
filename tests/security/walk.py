"""Every address the resolver knows, and requests to each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver

from tests.security.matrix import Rule


@dataclass(frozen=True, slots=True)
class Address:
    """``name`` with its namespace; ``route`` as it stands in the URLs; ``kinds`` are its arguments' converters."""

    name: str
    route: str
    pattern: URLPattern

    @property
    def arguments(self) -> list[str]:
        return list(self.pattern.pattern.converters)

    def path(self, known: dict[str, str]) -> str:
        """The address of something that is there. ``known`` says what stands for each argument; ``template.name``
        is the name within addresses whose own name begins with template.
        """
        text, kindred = "/" + self.route, self.name.partition("-")[0]
        for name in self.arguments:
            text = re.sub(rf"<(\w+:)?{name}>", known.get(f"{kindred}.{name}") or known.get(name, "1"), text)
        return text


def addresses() -> list[Address]:
    """All of them, the API's and the admin's too."""
    return list(_walk(get_resolver(), "", ""))


def _walk(resolver: URLResolver, before: str, space: str) -> Iterator[Address]:
    for item in resolver.url_patterns:
        route = before + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from _walk(item, route, f"{space}{item.namespace}:" if item.namespace else space)
        else:
            yield Address(f"{space}{item.name or item.pattern}", route, item)


def pages() -> list[Address]:
    """All but the admin's and the API's, which have tests of their own."""
    return [found for found in addresses() if not found.name.startswith(("admin", "api:")) or is_page(found)]


def is_page(found: Address) -> bool:
    return found.name == "api:openapi-json"


def admin_pages() -> list[Address]:
    return [found for found in addresses() if found.name.startswith("admin:")]


def filled(value: Any, known: dict[str, str]) -> Any:
    """``value`` with ``{names}`` replaced by what is known."""
    if isinstance(value, dict):
        return {name: filled(item, known) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, known) for item in value]
    return value.format(**known) if isinstance(value, str) and "{" in value else value


def query_of(rule: Rule, known: dict[str, str]) -> str:
    return f"?{filled(rule.query, known)}" if rule.query else ""


class undone:
    """Roll back whatever happens inside."""

    def __enter__(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()

    def __exit__(self, *error: Any) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)


def leads_to_login(answer: HttpResponseBase) -> bool:
    place = answer.headers.get("Location", "") or answer.headers.get("HX-Redirect", "")
    return answer.status_code in (302, 303) and place.startswith("/login?next=")

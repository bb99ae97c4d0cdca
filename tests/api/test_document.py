"""The OpenAPI document and the page made from it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import schemathesis
from django.core.management import CommandError, call_command
from django.test import Client

from opsportal.api_docs import kind_of

OPERATIONS = {
    ("POST", "/api/v1/messages"),
    ("POST", "/api/v1/messages/batch"),
    ("GET", "/api/v1/messages"),
    ("GET", "/api/v1/messages/{message_id}"),
    ("POST", "/api/v1/messages/{message_id}/cancel"),
    ("POST", "/api/v1/messages/{message_id}/retry"),
    ("GET", "/api/v1/dead-letters"),
    ("GET", "/api/v1/dead-letters/causes"),
    ("POST", "/api/v1/replays"),
    ("GET", "/api/v1/replays/{replay_id}"),
    ("POST", "/api/v1/replays/{replay_id}/pause"),
    ("POST", "/api/v1/replays/{replay_id}/resume"),
    ("POST", "/api/v1/replays/{replay_id}/cancel"),
    ("GET", "/api/v1/services"),
    ("GET", "/api/v1/services/{name}"),
    ("POST", "/api/v1/services/{name}/breaker"),
    ("GET", "/api/v1/templates"),
    ("GET", "/api/v1/templates/{name}"),
    ("POST", "/api/v1/templates/{name}"),
    ("POST", "/api/v1/templates/{name}/activate"),
    ("GET", "/stats/circuit-breaker"),
}


@pytest.fixture
def document(db: None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Client().get("/api/v1/openapi.json").content)
    return found


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()


def test_every_operation_of_the_contract_is_in_it(document: dict[str, Any]) -> None:
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert found >= OPERATIONS


def test_every_operation_says_what_it_answers_and_how_to_authenticate(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for method, operation in methods.items():
            assert {"401", "403", "422", "429", "500", "503"} <= set(operation["responses"])
            assert {"413", "415"} <= set(operation["responses"]) or "requestBody" not in operation
            assert {"BearerKey": []} in operation["security"]
            assert {"InternalKey": []} in operation["security"]
            assert ({"SessionForReading": []} in operation["security"]) == (method == "get")
            assert operation["description"]


def test_the_page_lists_every_operation_without_script_or_cdn(document: dict[str, Any]) -> None:
    response = Client().get("/api/v1/docs")
    assert response.status_code == 200
    page = response.content.decode()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    assert "<script" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    assert "script-src 'self'" in response["Content-Security-Policy"]
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))


def test_types_are_told_in_a_few_words() -> None:
    assert kind_of({"$ref": "#/components/schemas/LetterOut"}) == "LetterOut"
    assert kind_of({"type": "array", "items": {"type": "integer"}}) == "list of integer"
    assert kind_of({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}) == "date-time or null"
    assert kind_of({"enum": ["a", "b"]}) == "a | b"
    assert kind_of({}) == "any value"


def test_the_reference_in_docs_is_current() -> None:
    call_command("api_reference", "--check")


def test_an_old_reference_is_told(settings: Any, tmp_path: Any) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    with pytest.raises(CommandError, match="api_reference --write"):
        call_command("api_reference", "--check")
    call_command("api_reference", "--write")
    call_command("api_reference", "--check")

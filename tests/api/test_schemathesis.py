"""The API fuzzed from its own document, in process, on this test's database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from opsportal.wsgi import application
from tests.api.conftest import ORDER_BODY, MakeClient
from tests.api.test_operations import make_letter
from tests.conftest import make_service


@pytest.fixture
def document(make_client: MakeClient) -> Iterator[Any]:
    """The document, an API key that may do everything, and something behind every kind of id."""
    make_service("midtrans")
    make_service("smtp", channel="email", settings={"host": "mail", "from_address": "a@example.com"})
    client = make_client()
    for _ in range(3):
        make_letter()
        client.post("/api/v1/messages", ORDER_BODY)
    client.post("/api/v1/replays", {"everything": True})
    with one_connection():
        found = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application, headers={"Host": "localhost"})
        found.config.update(headers={"Host": "localhost", **client.headers})
        yield found


@contextmanager
def one_connection() -> Iterator[None]:
    """The test's transaction is its connection, so a request must not close it (Django's own client does the same)."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


EXCLUDED = [
    # A schema cannot say that a service must exist, or that one of four fields makes the body: those are 422 too.
    positive_data_acceptance,
    # It sends a wrong key in one header while ours is right in the other. tests/api/test_edge.py asks for real.
    ignored_auth,
]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_operation_keeps_to_the_document(document: Any, mode: GenerationMode) -> None:
    """No 500, and every status, header and body is one the document promises; wrong input is refused."""
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == 37
    for operation in operations:
        if mode.is_positive or takes_something(operation):
            fuzz(operation, mode)


def takes_something(operation: Any) -> bool:
    """Without a parameter and a body there is nothing to get wrong."""
    described = operation.definition.raw
    return bool(described["parameters"] or described.get("requestBody"))


def fuzz(operation: Any, mode: GenerationMode) -> None:
    @settings(max_examples=20, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=EXCLUDED)

    check()

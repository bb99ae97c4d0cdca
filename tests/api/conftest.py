"""A client with an API key, and services to send to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client

from apps.accounts import api_keys
from apps.accounts.scopes import SCOPES
from apps.accounts.services import create_key
from apps.core.actor import SYSTEM
from apps.outbox.api import states
from apps.services.models import Service
from tests.conftest import make_service

ORDER_BODY: dict[str, Any] = {"service": "midtrans", "json": {"order_id": "A-1", "amount": 125000}}


class ApiClient:
    """Speaks JSON with one API key."""

    def __init__(self, key: str = "") -> None:
        self.http = Client(raise_request_exception=False)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str, **query: Any) -> HttpResponse:
        return self.http.get(path, query, headers=self.headers)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        text = "" if body is None else json.dumps(body)
        return self.send(path, text.encode(), **headers)

    def send(self, path: str, raw: bytes, content_type: str = "application/json", **headers: str) -> HttpResponse:
        """Post bytes as they are."""
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, raw, content_type=content_type, headers=self.headers | extra)


MakeClient = Callable[..., ApiClient]


@pytest.fixture(autouse=True)
def nothing_cached() -> None:
    """What a test counted must not be the answer of the next."""
    cache.clear()
    states.forget()


@pytest.fixture
def make_client(db: None) -> MakeClient:
    """A client with a new key of some scopes; all of them unless named."""
    api_keys.forget_cached()
    number = iter(range(1000))

    def make(scopes: Iterable[str] = tuple(SCOPES), **options: Any) -> ApiClient:
        return ApiClient(create_key(name=f"key-{next(number)}", scopes=list(scopes), actor=SYSTEM, **options).raw)

    return make


@pytest.fixture
def client(make_client: MakeClient) -> ApiClient:
    return make_client()


@pytest.fixture
def service(db: None) -> Service:
    return make_service("midtrans")


def error_of(response: HttpResponse) -> dict[str, Any]:
    """The error of an answer, in the one shape all have."""
    assert response["Content-Type"].startswith("application/json"), response.content[:300]
    body = json.loads(response.content)
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message", "detail"}
    error: dict[str, Any] = body["error"]
    return error


def fields_of(response: HttpResponse) -> set[str]:
    """The fields an error names."""
    detail = error_of(response)["detail"]
    return {problem["field"] for problem in detail} if isinstance(detail, list) else set()

"""Who may call, and what comes back for everything that is wrong. Nothing wrong leaves a trace in the tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from apps.accounts import rate
from apps.accounts.models import User
from apps.idempotency.models import IdempotencyRecord
from apps.outbox.models import Message
from apps.services.models import Service
from tests.api.conftest import ApiClient, MakeClient, error_of, fields_of
from tests.conftest import make_service

MESSAGES = "/api/v1/messages"
ORDER: dict[str, Any] = {"service": "midtrans", "json": {"order_id": "A-1"}}

pytestmark = pytest.mark.usefixtures("service")


@pytest.fixture
def nothing_stored(service: Service) -> Any:
    yield
    assert not Message.objects.exists()
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.usefixtures("nothing_stored")
class TestKeys:
    def test_none(self) -> None:
        response = ApiClient().post(MESSAGES, ORDER)
        assert response.status_code == 401
        assert response["WWW-Authenticate"].startswith("Bearer")
        assert "manage.py apikey create" in error_of(response)["message"]

    @pytest.mark.parametrize(
        "header", ["Bearer", "Bearer ", "Basic eDp5", "Bearer nonsense", "Bearer opk_\xff", "opk_x"]
    )
    def test_wrong_ones(self, header: str) -> None:
        response = ApiClient().post(MESSAGES, ORDER, Authorization=header)
        assert response.status_code == 401

    def test_expired(self, make_client: MakeClient) -> None:
        with time_machine.travel(datetime(2026, 1, 1, tzinfo=UTC), tick=False) as clock:
            client = make_client(expires_in=timedelta(hours=1))
            clock.shift(3601)
            response = client.post(MESSAGES, ORDER)
        assert response.status_code == 401
        assert error_of(response)["detail"] == {"reason": "expired"}
        assert "expired on 2026-01-01 01:00 UTC" in error_of(response)["message"]

    def test_wrong_scope(self, make_client: MakeClient) -> None:
        response = make_client(["messages:read"]).post(MESSAGES, ORDER)
        assert response.status_code == 403
        assert error_of(response)["detail"] == {"permission": "messages.write"}

    def test_a_log_in_reads_but_changes_nothing(self, db: None) -> None:
        User.objects.create_user("lead@example.com", "correct horse", role="lead")
        browser = Client(raise_request_exception=False)
        browser.login(username="lead@example.com", password="correct horse")
        assert browser.get("/api/v1/services").status_code == 200
        assert browser.get("/stats/circuit-breaker").status_code == 200
        response = browser.post(MESSAGES, json.dumps(ORDER), content_type="application/json")
        assert response.status_code == 401

    def test_too_many_requests(self, make_client: MakeClient) -> None:
        rate._buckets.cache_clear()
        client = make_client(["messages:read"], rate_per_minute=2)
        assert [client.get(MESSAGES).status_code for _ in range(3)] == [200, 200, 429]
        response = client.get(MESSAGES)
        assert 1 <= int(response["Retry-After"]) <= 60
        assert error_of(response)["code"] == "rate_limited"


BAD_BYTES = [
    (b"", 422),
    (b"{", 400),
    (b"nonsense", 400),
    (b"[1,2", 400),
    (b'{"service": "midtrans", "json": NaN}', 400),
    (b'{"service": "midtrans", "json": Infinity}', 400),
    (b'{"service": "midtrans", "json": "\xff"}', 400),
    (b'\xef\xbb\xbf{"service": "midtrans", "json": 1}', 400),
    (b'{"service": "midtrans", "json": "\x00"}', 400),
    (b'{"service": "midtrans", "json": 1} x', 400),
    (b'{"service": "midtrans", "json": ' + b"9" * 5000 + b"}", 400),
    (b'{"service": "midtrans", "json": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 422),
    (b'{"service": "midtrans", "json": ' + b"[" * 150 + b"]" * 150 + b"}", 422),
    (b"1", 422),
    (b"null", 422),
    (b"[]", 422),
    (b'"text"', 422),
]


@pytest.mark.usefixtures("nothing_stored")
class TestBytes:
    @pytest.mark.parametrize(("raw", "status"), BAD_BYTES, ids=range(len(BAD_BYTES)))
    def test_what_is_no_json(self, client: ApiClient, raw: bytes, status: int) -> None:
        response = client.send(MESSAGES, raw)
        assert response.status_code == status, response.content
        assert error_of(response)["code"] == ("bad_json" if status == 400 else "invalid")

    @pytest.mark.parametrize(
        ("raw", "field"),
        [
            (b'{"service": "midtrans", "json": {"a": "x\\u0000y"}}', "json.a"),
            (b'{"service": "midtrans", "json": {"a\\u0000": 1}}', "json.(a name)"),
            (b'{"service": "midtrans", "payload": "\\ud800"}', "payload"),
            (b'{"service": "mid\\u0000trans", "json": 1}', "service"),
            (b'{"service": "midtrans", "body_template": "x", "body_data": {"a": ["\\uDEAD"]}}', "body_data.a.0"),
        ],
    )
    def test_text_that_cannot_be_stored(self, client: ApiClient, raw: bytes, field: str) -> None:
        response = client.send(MESSAGES, raw)
        assert response.status_code == 422
        assert fields_of(response) == {field}

    def test_an_infinite_number(self, client: ApiClient) -> None:
        response = client.send(MESSAGES, b'{"service": "midtrans", "json": 1e999}')
        assert (response.status_code, fields_of(response)) == (422, {"json"})

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
    def test_other_media_types(self, client: ApiClient, kind: str) -> None:
        response = client.send(MESSAGES, b'{"service": "midtrans", "json": 1}', content_type=kind)
        assert response.status_code == 415
        assert "application/json" in error_of(response)["message"]

    def test_a_payload_of_10_mb(self, client: ApiClient) -> None:
        response = client.post(MESSAGES, {"service": "midtrans", "payload": "x" * 10_485_760})
        assert response.status_code == 413
        assert fields_of(response) == {"payload"}
        assert "1048576" in error_of(response)["message"]

    @pytest.mark.parametrize("body", [{"payload": "x" * 1_048_577}, {"json": "x" * 1_048_577}])
    def test_a_payload_a_byte_too_long(self, client: ApiClient, body: dict[str, Any]) -> None:
        response = client.post(MESSAGES, {"service": "midtrans", **body})
        assert (response.status_code, fields_of(response)) == (422, set(body))

    def test_template_data_is_limited_too(self, client: ApiClient) -> None:
        body = {"service": "midtrans", "body_template": "hello", "body_data": {"a": "x" * 1_048_577}}
        response = client.post(MESSAGES, body)
        assert (response.status_code, fields_of(response)) == (422, {"body_data"})

    def test_a_large_body_elsewhere(self, client: ApiClient) -> None:
        assert client.post("/api/v1/replays", {"reason": "x" * 1_100_000}).status_code == 413

    def test_a_large_body_in_chunks_is_read_no_further(self, client: ApiClient) -> None:
        class Endless:
            read_bytes = 0

            def read(self, size: int = -1) -> bytes:
                self.read_bytes += size
                return b"x" * size

            readline = read

        stream = Endless()
        response = client.http.generic(
            "POST",
            MESSAGES,
            b"",
            content_type="application/json",
            headers=client.headers | {"Transfer-Encoding": "chunked"},
            **{"wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        )
        assert response.status_code == 413
        assert stream.read_bytes < 8_000_000


BAD_FIELDS: list[tuple[dict[str, Any], set[str]]] = [
    ({"json": 1}, {"service"}),
    ({"service": "midtrans"}, {"payload"}),
    ({"service": "midtrans", "json": 1, "payload": "x"}, {"payload"}),
    ({"service": 5, "json": 1}, {"service"}),
    ({"service": "", "json": 1}, {"service"}),
    (ORDER | {"priority": 10}, {"priority"}),
    (ORDER | {"priority": "5"}, {"priority"}),
    (ORDER | {"priority": True}, {"priority"}),
    (ORDER | {"priority": 1.5}, {"priority"}),
    (ORDER | {"max_attempts": 0, "priority": -1}, {"max_attempts", "priority"}),
    (ORDER | {"headers": {"X": 1}}, {"headers.X"}),
    (ORDER | {"headers": "X: 1"}, {"headers"}),
    (ORDER | {"headers": {"X-A": "a\r\nB: c"}}, {"headers.X-A"}),
    (ORDER | {"recipient": "a@example.com\r\nBcc: all@example.com"}, {"recipient"}),
    (ORDER | {"subject": "a\nb"}, {"subject"}),
    (ORDER | {"send_after": "tomorrow"}, {"send_after"}),
    (ORDER | {"send_after": 1790000000}, {"send_after"}),
    (ORDER | {"send_after": "2026-13-01T00:00:00Z"}, {"send_after"}),
    (ORDER | {"send_after": "0001-01-01T00:00:00+14:00"}, {"send_after"}),
    (ORDER | {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at"}),
    (ORDER | {"ordering_key": "x" * 256}, {"ordering_key"}),
    (ORDER | {"idempotency_key": "a\nb"}, {"idempotency_key"}),
    (ORDER | {"unknown": 1, "retry": 2}, {"unknown", "retry"}),
    ({"service": "midtrans", "body_template": "Hello {{ name }}"}, {"body_template"}),
    ({"service": "midtrans", "body_template": "{{ name"}, {"body_template"}),
    ({"service": "midtrans", "body_template": "{{ ''.__class__.__mro__ }}"}, {"body_template"}),
    ({"service": "midtrans", "template": "welcome"}, {"template"}),
    ({"service": "midtrans", "body_template": "x", "body_data": [1]}, {"body_data"}),
]


@pytest.mark.usefixtures("nothing_stored")
class TestFields:
    @pytest.mark.parametrize(("body", "fields"), BAD_FIELDS, ids=range(len(BAD_FIELDS)))
    def test_each_wrong_field_is_named(self, client: ApiClient, body: dict[str, Any], fields: set[str]) -> None:
        response = client.post(MESSAGES, body, Idempotency_Key="k")
        assert response.status_code == 422, response.content
        assert fields_of(response) == fields

    @pytest.mark.parametrize(("body", "fields"), BAD_FIELDS, ids=range(len(BAD_FIELDS)))
    def test_in_a_batch_too(self, client: ApiClient, body: dict[str, Any], fields: set[str]) -> None:
        response = client.post(f"{MESSAGES}/batch", [body])
        assert response.status_code == 207, response.content
        error = response.json()["results"][0]["error"]
        assert {problem["field"] for problem in error["detail"]} == fields

    def test_an_unknown_service(self, client: ApiClient) -> None:
        response = client.post(MESSAGES, ORDER | {"service": "midtran"})
        assert response.status_code == 404
        assert fields_of(response) == {"service"}
        assert "Configured: midtrans" in error_of(response)["message"]

    def test_a_recipient_the_channel_cannot_use(self, client: ApiClient) -> None:
        make_service("smtp", channel="email", settings={"host": "mail", "from_address": "a@example.com"})
        for recipient in ("nobody", "a@example.com\r\nBcc: b@example.com", "a@example.com\x0b"):
            response = client.post(MESSAGES, {"service": "smtp", "recipient": recipient, "payload": "x"})
            assert response.status_code == 422
            assert "recipient" in fields_of(response)


def test_emoji_are_welcome(client: ApiClient) -> None:
    response = client.post(MESSAGES, {"service": "midtrans", "payload": "😀", "subject": "😀", "ordering_key": "😀"})
    assert response.status_code == 202
    stored = Message.objects.get()
    assert (stored.payload, stored.subject, stored.ordering_key) == ("😀", "😀", "😀")


class TestShape:
    """What Django answers by itself has the shape of the API too."""

    def test_unknown_path(self, client: ApiClient) -> None:
        response = client.get("/api/v1/nothing")
        assert (response.status_code, error_of(response)["code"]) == (404, "not_found")
        assert "/api/v1/docs" in error_of(response)["message"]

    def test_wrong_method(self, client: ApiClient) -> None:
        response = client.http.delete(MESSAGES, headers=client.headers)
        assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")
        assert set(response["Allow"].replace(" ", "").split(",")) == {"GET", "POST"}

    def test_a_host_nobody_named(self, client: ApiClient) -> None:
        response = client.http.get(MESSAGES, headers=client.headers | {"Host": "evil.example"})
        assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")

    def test_a_bug_is_told_with_the_request_id(self, client: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(**_: Any) -> None:
            raise ZeroDivisionError("hush")

        monkeypatch.setattr("apps.outbox.api.messages.enqueue", broken)
        response = client.post(MESSAGES, ORDER, X_Request_ID="req-9")
        assert (response.status_code, error_of(response)["code"]) == (500, "internal")
        assert error_of(response)["detail"] == {"request_id": "req-9"}
        assert b"hush" not in response.content

    def test_a_database_that_is_away(self, client: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
        from django.db import OperationalError

        def away(**_: Any) -> None:
            raise OperationalError("server closed the connection")

        monkeypatch.setattr("apps.outbox.api.messages.enqueue", away)
        response = client.post(MESSAGES, ORDER)
        assert (response.status_code, error_of(response)["code"]) == (503, "unavailable")
        assert response["Retry-After"] == "2"

    def test_every_answer_has_a_request_id(self, client: ApiClient) -> None:
        for response in (client.get(MESSAGES), ApiClient().get(MESSAGES), client.get("/api/v1/nothing")):
            assert response["X-Request-ID"]
        odd = client.post(MESSAGES, ORDER, X_Request_ID="bad id \x7f")
        assert odd["X-Request-ID"] != "bad id \x7f"

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.idempotency.models import IdempotencyRecord
from apps.outbox.models import Attempt, Message
from apps.services.models import Service
from tests.api.conftest import ApiClient, MakeClient, error_of, fields_of
from tests.conftest import make_service

MESSAGES = "/api/v1/messages"
BATCH = "/api/v1/messages/batch"
ORDER = {"service": "midtrans", "json": {"order_id": "A-1", "amount": 125000}}

pytestmark = pytest.mark.usefixtures("service")


class TestAccept:
    def test_202_with_what_was_accepted(self, client: ApiClient) -> None:
        response = client.post(MESSAGES, ORDER, X_Request_ID="req-77")
        assert response.status_code == 202
        stored = Message.objects.get()
        assert response.json() == {
            "id": stored.pk,
            "status": "PENDING",
            "service": "midtrans",
            "breaker_state": "CLOSED",
            "duplicate": False,
        }
        assert response["X-Request-ID"] == "req-77"
        assert stored.request_id == "req-77"
        assert stored.source == "api:key-0"
        assert stored.json == '{"order_id":"A-1","amount":125000}'

    def test_every_field_reaches_the_row(self, client: ApiClient) -> None:
        body = {
            "service": "midtrans",
            "recipient": "ops@example.com",
            "subject": "Hello 😀",
            "payload": '{"b": 1, "a": 12345678901234567890}',
            "content_type": "application/json",
            "headers": {"X-Team": "pay"},
            "tenant_id": "acme",
            "priority": 9,
            "ordering_key": "order-1",
            "send_after": "2036-01-01T00:00:00+07:00",
            "expires_at": "2036-01-02T00:00:00Z",
            "max_attempts": 3,
            "idempotency_key": "k-1",
        }
        assert client.post(MESSAGES, body).status_code == 202
        stored = Message.objects.get()
        assert stored.payload == body["payload"]
        assert stored.subject == "Hello 😀"
        assert stored.headers == {"X-Team": "pay"}
        assert (stored.tenant_id, stored.priority, stored.ordering_key) == ("acme", 9, "order-1")
        assert stored.send_after is not None
        assert stored.send_after.isoformat() == "2035-12-31T17:00:00+00:00"
        assert (stored.max_attempts, stored.idempotency_key) == (3, "k-1")

    @pytest.mark.parametrize("value", [None, 0, "", [], {}, "text", "\\u0000", 10**30, {"ünï": "😀"}, [[[1.5]]]])
    def test_any_json_value(self, client: ApiClient, value: Any) -> None:
        assert client.post(MESSAGES, {"service": "midtrans", "json": value}).status_code == 202
        stored = Message.objects.get().json
        assert stored is not None
        assert json.loads(stored) == value

    def test_null_means_not_given(self, client: ApiClient) -> None:
        body = ORDER | {"send_after": None, "expires_at": None, "max_attempts": None, "headers": None, "payload": None}
        assert client.post(MESSAGES, body).status_code == 202

    def test_the_other_header_for_the_key(self, client: ApiClient) -> None:
        key = client.headers.pop("Authorization").removeprefix("Bearer ")
        assert client.post(MESSAGES, ORDER, X_Internal_API_Key=key).status_code == 202

    def test_a_body_in_chunks(self, client: ApiClient) -> None:
        from io import BytesIO

        raw = json.dumps(ORDER).encode()
        response = client.http.generic(
            "POST",
            MESSAGES,
            b"",
            content_type="application/json",
            headers=client.headers | {"Transfer-Encoding": "chunked"},
            **{"wsgi.input": BytesIO(raw), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        )
        assert response.status_code == 202


class TestIdempotency:
    @pytest.mark.parametrize("where", ["header", "field", "both"])
    def test_the_first_answer_again(self, client: ApiClient, where: str) -> None:
        body = ORDER if where == "header" else ORDER | {"idempotency_key": "k"}
        headers = {} if where == "field" else {"Idempotency_Key": "k"}
        first = client.post(MESSAGES, body, **headers)
        assert first.status_code == 202
        assert "Idempotency-Replayed" not in first
        second = client.post(MESSAGES, body, **headers)
        assert second.status_code == 200
        assert second["Idempotency-Replayed"] == "true"
        assert second.json() == first.json() | {"duplicate": True}
        assert Message.objects.count() == 1

    def test_other_content_is_refused(self, client: ApiClient) -> None:
        client.post(MESSAGES, ORDER, Idempotency_Key="k")
        response = client.post(MESSAGES, ORDER | {"priority": 1}, Idempotency_Key="k")
        assert response.status_code == 422
        assert error_of(response)["code"] == "idempotency_key_reused"
        assert Message.objects.count() == 1

    def test_two_different_keys_are_refused(self, client: ApiClient) -> None:
        response = client.post(MESSAGES, ORDER | {"idempotency_key": "a"}, Idempotency_Key="b")
        assert response.status_code == 422
        assert fields_of(response) == {"idempotency_key"}

    def test_in_flight(self, client: ApiClient) -> None:
        client.post(MESSAGES, ORDER, Idempotency_Key="k")
        from datetime import UTC, datetime

        IdempotencyRecord.objects.update(finished_at=None, claimed_until=datetime(2100, 1, 1, tzinfo=UTC))
        response = client.post(MESSAGES, ORDER, Idempotency_Key="k")
        assert response.status_code == 409
        assert error_of(response)["code"] == "in_flight"

    def test_keys_of_other_callers_and_tenants_are_apart(self, make_client: MakeClient) -> None:
        one, two = make_client(), make_client()
        assert one.post(MESSAGES, ORDER, Idempotency_Key="k").status_code == 202
        assert two.post(MESSAGES, ORDER, Idempotency_Key="k").status_code == 202
        assert one.post(MESSAGES, ORDER | {"tenant_id": "acme"}, Idempotency_Key="k").status_code == 202
        assert one.post(MESSAGES, ORDER, Idempotency_Key="k").status_code == 200

    def test_a_refused_message_uses_up_no_key(self, client: ApiClient) -> None:
        assert client.post(MESSAGES, ORDER | {"priority": 10}, Idempotency_Key="k").status_code == 422
        assert client.post(MESSAGES, ORDER, Idempotency_Key="k").status_code == 202


class TestTenants:
    def test_from_header_field_or_key(self, make_client: MakeClient) -> None:
        free, bound = make_client(), make_client(tenant_id="acme")
        assert free.post(MESSAGES, ORDER, X_Tenant_ID="t1").status_code == 202
        assert free.post(MESSAGES, ORDER | {"tenant_id": "t2"}).status_code == 202
        assert bound.post(MESSAGES, ORDER).status_code == 202
        assert set(Message.objects.values_list("tenant_id", flat=True)) == {"t1", "t2", "acme"}

    def test_they_must_agree(self, make_client: MakeClient) -> None:
        free, bound = make_client(), make_client(tenant_id="acme")
        response = free.post(MESSAGES, ORDER | {"tenant_id": "t2"}, X_Tenant_ID="t1")
        assert (response.status_code, fields_of(response)) == (422, {"tenant_id"})
        for body, header in ((ORDER | {"tenant_id": "t2"}, {}), (ORDER, {"X_Tenant_ID": "t2"})):
            response = bound.post(MESSAGES, body, **header)
            assert response.status_code == 403
            assert "'acme' only" in error_of(response)["message"]
        assert not Message.objects.exists()

    def test_a_bound_key_sees_its_tenant_only(self, make_client: MakeClient) -> None:
        free, bound = make_client(), make_client(tenant_id="acme")
        other = free.post(MESSAGES, ORDER | {"tenant_id": "other"}).json()["id"]
        own = free.post(MESSAGES, ORDER | {"tenant_id": "acme"}).json()["id"]
        assert [row["id"] for row in bound.get(MESSAGES).json()["items"]] == [own]
        assert bound.get(MESSAGES, tenant_id="other").status_code == 403
        assert bound.get(f"{MESSAGES}/{own}").status_code == 200
        for path in ("", "/cancel", "/retry"):
            method = bound.post if path else bound.get
            assert method(f"{MESSAGES}/{other}{path}").status_code == 404


class TestBatch:
    def test_an_answer_per_item(self, client: ApiClient) -> None:
        items = [ORDER, {"service": "nobody", "json": 1}, {"service": "midtrans"}, ORDER, ORDER | {"priority": "5"}, {}]
        response = client.post(BATCH, {"messages": items})
        assert response.status_code == 207
        body = response.json()
        assert (body["accepted"], body["rejected"], body["duplicates"]) == (2, 4, 0)
        codes = [result.get("error", {}).get("code", "ok") for result in body["results"]]
        assert codes == ["ok", "not_found", "invalid", "ok", "invalid", "invalid"]
        assert [result["index"] for result in body["results"]] == list(range(6))
        assert body["results"][4]["error"]["detail"][0]["field"] == "priority"
        ids = {result["id"] for result in body["results"] if "id" in result}
        assert ids == set(Message.objects.values_list("pk", flat=True))

    def test_all_good_is_202_and_a_bare_list_will_do(self, client: ApiClient) -> None:
        response = client.post(BATCH, [ORDER] * 3)
        assert response.status_code == 202
        assert response.json()["accepted"] == 3

    def test_keys_in_items(self, client: ApiClient) -> None:
        item = ORDER | {"idempotency_key": "k"}
        body = client.post(BATCH, [item, item, item | {"priority": 1}]).json()
        assert [result.get("duplicate") for result in body["results"][:2]] == [False, True]
        assert body["results"][0]["id"] == body["results"][1]["id"]
        assert body["results"][2]["error"]["code"] == "idempotency_key_reused"
        assert (body["accepted"], body["duplicates"], body["rejected"]) == (1, 1, 1)
        assert Message.objects.count() == 1

    def test_a_thousand_and_not_one_more(self, client: ApiClient) -> None:
        assert client.post(BATCH, [ORDER] * 1000).json()["accepted"] == 1000
        response = client.post(BATCH, [ORDER] * 1001)
        assert (response.status_code, fields_of(response)) == (422, {"messages"})
        assert client.post(BATCH, {"messages": []}).status_code == 422
        assert client.post(BATCH, []).status_code == 422
        assert Message.objects.count() == 1000

    def test_each_message_is_limited_not_only_the_batch(self, client: ApiClient, settings: Any) -> None:
        settings.MAX_BODY_BYTES = 2000
        body = client.post(BATCH, [ORDER, {"service": "midtrans", "payload": "x" * 2001}]).json()
        assert (body["accepted"], body["rejected"]) == (1, 1)
        assert body["results"][1]["error"]["detail"][0]["field"] == "payload"


class TestReading:
    def test_pages_and_filters(self, client: ApiClient) -> None:
        make_service("smtp2")
        for number in range(5):
            client.post(MESSAGES, ORDER | {"ordering_key": f"k{number}"})
        client.post(MESSAGES, ORDER | {"service": "smtp2"})
        first = client.get(MESSAGES, service="midtrans", limit=3).json()
        second = client.get(MESSAGES, service="midtrans", limit=3, cursor=first["next_cursor"]).json()
        keys = [row["ordering_key"] for row in first["items"] + second["items"]]
        assert keys == ["k4", "k3", "k2", "k1", "k0"]
        assert second["next_cursor"] is None
        assert len(client.get(MESSAGES, ordering_key="k2").json()["items"]) == 1
        assert (
            len(client.http.get(f"{MESSAGES}?status=PENDING&status=SENT", headers=client.headers).json()["items"]) == 6
        )
        assert client.get(MESSAGES, status="SENT").json()["items"] == []

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("status", "GONE"),
            ("limit", "0"),
            ("limit", "501"),
            ("limit", "many"),
            ("cursor", "-1"),
            ("cursor", "9999999999999999999"),
            ("replay_id", str(2**63)),
            ("created_after", "yesterday"),
            ("created_after", "2026-01-01T00:00:00"),
            ("service", "a\x00b"),
            ("q", "a\x00b"),
        ],
    )
    def test_bad_filters_are_named(self, client: ApiClient, field: str, value: str) -> None:
        response = client.get(MESSAGES, **{field: value})
        assert response.status_code == 422
        assert any(name.split(".")[0] == field for name in fields_of(response))

    def test_detail_with_attempts(self, client: ApiClient) -> None:
        from django.utils import timezone

        made = client.post(MESSAGES, ORDER | {"recipient": "ann@example.com", "headers": {"X-Token": "hush"}}).json()
        Attempt.objects.create(
            message_id=made["id"],
            number=1,
            started_at=timezone.now(),
            duration_ms=12,
            worker="w",
            outcome="failed",
            status_code=500,
            error_class="http_500",
            response="oops",
        )
        found = client.get(f"{MESSAGES}/{made['id']}").json()
        assert found["attempts"][0]["outcome"] == "failed"
        assert found["attempts"][0]["response"] == "oops"
        assert found["body"]["json"] == '{"order_id":"A-1","amount":125000}'
        assert found["body"]["headers"] == {"X-Token": "••••"}
        assert found["why"].startswith("Waiting")
        assert found["recipient"] == "ann@example.com"

    def test_personal_data_needs_the_scope(self, client: ApiClient, make_client: MakeClient) -> None:
        made = client.post(MESSAGES, ORDER | {"recipient": "ann@example.com"}).json()
        reader = make_client(["messages:read"])
        found = reader.get(f"{MESSAGES}/{made['id']}").json()
        assert found["recipient"] == "a•••@example.com"
        assert found["body"] is None
        assert reader.get(MESSAGES, recipient="ann").status_code == 403

    def test_not_found(self, client: ApiClient) -> None:
        assert error_of(client.get(f"{MESSAGES}/999"))["code"] == "not_found"
        for bad in ("abc", "0", "-1", str(2**63), "1.5"):
            assert client.get(f"{MESSAGES}/{bad}").status_code in (404, 422)


class TestActions:
    def test_cancel_then_conflict(self, client: ApiClient) -> None:
        made = client.post(MESSAGES, ORDER).json()
        response = client.post(f"{MESSAGES}/{made['id']}/cancel", {"reason": "wrong order"})
        assert (response.status_code, response.json()["status"]) == (200, "CANCELLED")
        for action in ("cancel", "retry"):
            again = client.post(f"{MESSAGES}/{made['id']}/{action}")
            assert again.status_code == 409
            assert "was cancelled" in error_of(again)["message"]

    def test_retry_drops_send_after(self, client: ApiClient) -> None:
        made = client.post(MESSAGES, ORDER | {"send_after": "2036-01-01T00:00:00Z"}).json()
        response = client.post(f"{MESSAGES}/{made['id']}/retry")
        assert response.status_code == 200
        assert response.json()["send_after"] is None

    def test_needs_the_scope(self, client: ApiClient, make_client: MakeClient) -> None:
        made = client.post(MESSAGES, ORDER).json()
        reader = make_client(["messages:read"])
        for action in ("cancel", "retry"):
            assert reader.post(f"{MESSAGES}/{made['id']}/{action}").status_code == 403
        assert Message.objects.get().status == "PENDING"


def test_nothing_but_the_database_can_make_accepting_fail(
    client: ApiClient, service: Service, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is paused and the broker is away: the message is accepted all the same."""
    from apps.core.actor import SYSTEM
    from apps.services.services import pause

    pause(name="midtrans", actor=SYSTEM, reason="maintenance")
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    assert client.post(MESSAGES, ORDER).status_code == 202

"""Dead letters, replays, services and breakers over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from apps.audit.models import AuditEntry
from apps.breakers.models import SharedBreaker
from apps.outbox.models import Cause, DeadLetter, Message, MessageStatus, Replay
from apps.services.models import Service
from tests.api.conftest import ApiClient, MakeClient, error_of, fields_of
from tests.conftest import make_service

LETTERS = "/api/v1/dead-letters"
REPLAYS = "/api/v1/replays"
SERVICES = "/api/v1/services"
BREAKER = f"{SERVICES}/midtrans/breaker"


def make_letter(service: str = "midtrans", *, tenant_id: str = "", cause: str = "c" * 16) -> DeadLetter:
    message = Message.objects.create(service_id=service, payload="x", status=MessageStatus.DLQ, tenant_id=tenant_id)
    Cause.objects.get_or_create(
        fingerprint=cause, defaults={"service": service, "error_class": "http_400", "message": "refused"}
    )
    return DeadLetter.objects.create(
        message=message,
        service=service,
        tenant_id=tenant_id,
        cause_id=cause,
        reason="permanent",
        status_code=400,
        error_class="http_400",
        error="refused",
        attempts=1,
    )


@pytest.mark.usefixtures("service")
class TestDeadLetters:
    def test_list_and_filters(self, client: ApiClient) -> None:
        first, second = make_letter(), make_letter(cause="d" * 16, tenant_id="acme")
        body = client.get(LETTERS).json()
        assert [row["id"] for row in body["items"]] == [second.pk, first.pk]
        assert body["next_cursor"] is None
        assert body["items"][1]["message_id"] == first.message_id
        assert [row["id"] for row in client.get(LETTERS, cause="c" * 16).json()["items"]] == [first.pk]
        assert [row["id"] for row in client.get(LETTERS, tenant_id="acme").json()["items"]] == [second.pk]
        assert client.get(LETTERS, state="discarded").json()["items"] == []
        assert len(client.get(LETTERS, state="all", limit=1).json()["items"]) == 1
        assert client.get(LETTERS, state="gone").status_code == 422

    def test_causes(self, client: ApiClient) -> None:
        for _ in range(3):
            make_letter()
        newest = make_letter(cause="d" * 16)
        items = client.get(f"{LETTERS}/causes").json()["items"]
        assert [(item["fingerprint"], item["letters"]) for item in items] == [("c" * 16, 3), ("d" * 16, 1)]
        assert items[0]["first_seen"] <= items[0]["last_seen"]
        assert items[1]["sample"]["id"] == newest.pk

    def test_a_bound_key_sees_its_tenant_only(self, make_client: MakeClient) -> None:
        make_letter()
        own = make_letter(tenant_id="acme")
        bound = make_client(tenant_id="acme")
        assert [row["id"] for row in bound.get(LETTERS).json()["items"]] == [own.pk]
        assert bound.get(f"{LETTERS}/causes").json()["items"][0]["letters"] == 1


@pytest.mark.usefixtures("service")
class TestTriage:
    def test_each_verb_and_its_trail(self, client: ApiClient) -> None:
        first, second = make_letter(), make_letter()
        body = client.post(f"{LETTERS}/assign", {"cause": "c" * 16, "assignee": "payments"}).json()
        assert (body["verb"], body["state"], body["total"], body["done"]) == ("assign", "done", 2, 2)
        assert client.post(f"{LETTERS}/note", {"ids": [first.pk], "text": "asked"}).status_code == 200
        until = {"filter": {"assignee": "payments"}, "until": "2099-01-01T00:00:00Z"}
        assert client.post(f"{LETTERS}/snooze", until).json()["done"] == 2
        assert client.post(f"{LETTERS}/snooze", {"everything": True, "until": None}).json()["done"] == 2
        assert client.post(f"{LETTERS}/discard", {"ids": [second.pk], "reason": "test data"}).json()["done"] == 1
        shown = {row["id"]: row for row in client.get(f"{LETTERS}?state=all").json()["items"]}
        assert (shown[first.pk]["assignee"], shown[first.pk]["note"]) == ("payments", "asked")
        assert shown[second.pk]["state"] == "discarded"
        assert AuditEntry.objects.filter(action__startswith="deadletter.").count() == 5

    def test_what_is_refused(self, client: ApiClient, make_client: MakeClient) -> None:
        letter = make_letter()
        assert client.post(f"{LETTERS}/discard", {"ids": [letter.pk], "reason": ""}).status_code == 422
        assert client.post(f"{LETTERS}/assign", {"assignee": "x"}).status_code == 422
        assert client.post(f"{LETTERS}/note", {"cause": "0" * 16, "text": "x"}).status_code == 409
        foreign = make_client(tenant_id="acme").post(f"{LETTERS}/note", {"ids": [letter.pk], "text": "x"})
        assert foreign.status_code == 422
        assert (
            make_client(scopes=["messages:read"]).post(f"{LETTERS}/note", {"ids": [1], "text": "x"}).status_code == 403
        )


@pytest.mark.usefixtures("service")
class TestReplays:
    def test_by_cause_with_its_progress(self, client: ApiClient) -> None:
        make_letter(), make_letter(), make_letter(cause="d" * 16)
        response = client.post(
            REPLAYS, {"cause": "c" * 16, "canary": 1, "per_second": 10, "reason": "provider is back"}
        )
        assert response.status_code == 201, response.content
        body = response.json()
        assert (body["state"], body["total"], body["waiting"], body["canary"]) == ("canary", 2, 2, 1)
        assert body["actions"] == ["pause", "cancel"]
        assert client.get(f"{REPLAYS}/{body['id']}").json()["id"] == body["id"]
        assert AuditEntry.objects.get(action="replay.started").actor == "key-0"

    def test_by_ids_and_filter(self, client: ApiClient) -> None:
        first, second = make_letter(), make_letter(tenant_id="acme")
        assert client.post(REPLAYS, {"ids": [first.pk]}).json()["total"] == 1
        body = client.post(REPLAYS, {"filter": {"service": "midtrans", "tenant_id": "acme"}}).json()
        assert (body["total"], body["selection"]["tenant_id"]) == (1, "acme")
        assert second.pk

    def test_pause_resume_cancel_and_what_is_not_legal(self, client: ApiClient) -> None:
        make_letter()
        path = f"{REPLAYS}/{client.post(REPLAYS, {'everything': True}).json()['id']}"
        assert client.post(f"{path}/resume").status_code == 409
        assert client.post(f"{path}/pause", {"reason": "wait"}).json()["state"] == "paused"
        assert client.post(f"{path}/resume", {}).json()["state"] == "running"
        assert client.post(f"{path}/cancel").json()["state"] == "cancelled"
        response = client.post(f"{path}/pause")
        assert (response.status_code, error_of(response)["code"]) == (409, "conflict")

    def test_the_same_letters_are_not_replayed_twice(self, client: ApiClient) -> None:
        letter = make_letter()
        assert client.post(REPLAYS, {"ids": [letter.pk]}).status_code == 201
        assert client.post(REPLAYS, {"ids": [letter.pk]}).status_code == 409
        assert Replay.objects.count() == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "selection"),
            ({"ids": [1], "cause": "c" * 16}, "ids"),
            ({"ids": []}, "ids"),
            ({"ids": ["1"]}, "ids.0"),
            ({"ids": [2**63]}, "ids.0"),
            ({"everything": True, "canary": -1}, "canary"),
            ({"everything": True, "per_second": 0}, "per_second"),
            ({"everything": True, "stop_above_percent": 101}, "stop_above_percent"),
            ({"everything": "yes"}, "everything"),
            ({"filter": {"servise": "x"}}, "filter.servise"),
            ({"filter": {"died_after": "yesterday"}}, "filter.died_after"),
        ],
    )
    def test_bad_selections_name_the_field(self, client: ApiClient, body: dict[str, Any], field: str) -> None:
        make_letter()
        response = client.post(REPLAYS, body)
        assert response.status_code == 422
        assert field in fields_of(response)
        assert not Replay.objects.exists()

    def test_a_bound_key_replays_its_tenant_only(self, make_client: MakeClient) -> None:
        other, own = make_letter(), make_letter(tenant_id="acme")
        bound, free = make_client(tenant_id="acme"), make_client()
        assert fields_of(bound.post(REPLAYS, {"ids": [other.pk, own.pk]})) == {"ids"}
        made = bound.post(REPLAYS, {"everything": True}).json()
        assert made["total"] == 1
        foreign = free.post(REPLAYS, {"everything": True}).json()
        assert bound.get(f"{REPLAYS}/{foreign['id']}").status_code == 404
        assert bound.post(f"{REPLAYS}/{foreign['id']}/cancel").status_code == 404

    def test_needs_the_scope(self, make_client: MakeClient) -> None:
        make_letter()
        writer = make_client(["messages:write", "messages:read"])
        response = writer.post(REPLAYS, {"everything": True})
        assert response.status_code == 403
        assert error_of(response)["detail"] == {"permission": "replays.run"}


class TestServices:
    def test_list_with_breaker_and_figures(self, client: ApiClient, service: Service) -> None:
        make_service("smtp", channel="email", settings={"host": "mail"}, criticality="critical")
        body = client.get(SERVICES).json()
        assert [item["name"] for item in body["items"]] == ["midtrans", "smtp"]
        first = body["items"][0]
        assert first["breaker"]["state"] == "CLOSED"
        assert first["backlog"]["waiting"] == 0
        assert first["figures"]["minutes"] == 5
        assert first["paused"] is False

    def test_detail_never_holds_a_secret(self, client: ApiClient, service: Service, lead: Any) -> None:
        from apps.services.services import rotate_secret, update_service

        rotate_secret(name="midtrans", secret="hush-stored", actor=lead)
        settings = service.settings | {"headers": {"X-Api-Key": "hush-header", "X-Team": "pay"}}
        update_service(name="midtrans", changes={"settings": settings}, actor=lead)
        response = client.get(f"{SERVICES}/midtrans")
        assert response.json()["settings"]["headers"] == {"X-Api-Key": "••••", "X-Team": "pay"}
        assert b"hush" not in response.content

    @pytest.mark.parametrize("name", ["nobody", "a b", "%00", "%ff", "..", "😀"])
    def test_unknown_names(self, client: ApiClient, service: Service, name: str) -> None:
        response = client.get(f"{SERVICES}/{name}")
        assert response.status_code in (404, 422)
        error_of(response)

    def test_needs_the_scope(self, make_client: MakeClient, service: Service) -> None:
        assert make_client(["messages:read"]).get(SERVICES).status_code == 403


@pytest.mark.usefixtures("service")
class TestBreaker:
    def test_force_open_then_auto_and_reset(self, client: ApiClient) -> None:
        response = client.post(BREAKER, {"action": "force_open", "reason": "maintenance", "expires_in": 600})
        assert response.status_code == 200, response.content
        body = response.json()
        assert body["state"] == "FORCED_OPEN"
        assert body["override"]["reason"] == "maintenance"
        assert body["override"]["until"].endswith("Z")
        assert client.get(f"{SERVICES}/midtrans").json()["breaker"]["state"] == "FORCED_OPEN"
        assert client.post(BREAKER, {"action": "auto"}).json()["override"] is None
        assert client.post(BREAKER, {"action": "reset"}).json()["state"] == "CLOSED"
        assert AuditEntry.objects.filter(target="service:midtrans").count() == 3

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"action": "force_open", "reason": "x"}, "expires_in"),
            ({"action": "force_open", "expires_in": 60}, "reason"),
            ({"action": "force_open", "reason": "x", "expires_in": 604_801}, "expires_in"),
            ({"action": "force_open", "reason": "x", "expires_in": "60"}, "expires_in"),
            ({"action": "explode"}, "action"),
            ({}, "action"),
            ({"action": "reset", "reason": "a\x00b"}, "reason"),
        ],
    )
    def test_bad_actions_name_the_field(self, client: ApiClient, body: dict[str, Any], field: str) -> None:
        response = client.post(BREAKER, body)
        assert response.status_code == 422
        assert field in fields_of(response)
        assert not SharedBreaker.objects.exclude(override=0).exists()

    def test_a_stale_look_is_refused(self, client: ApiClient) -> None:
        epoch = client.post(BREAKER, {"action": "reset"}).json()["epoch"]
        client.post(BREAKER, {"action": "reset"})
        response = client.post(BREAKER, {"action": "reset", "seen_epoch": epoch})
        assert response.status_code == 409

    def test_who_may(self, make_client: MakeClient) -> None:
        body = {"action": "reset"}
        assert make_client(["services:read"]).post(BREAKER, body).status_code == 403
        assert make_client(tenant_id="acme").post(BREAKER, body).status_code == 403
        assert make_client(["breakers:override"]).post(f"{SERVICES}/nobody/breaker", body).status_code == 404

    def test_stats(self, client: ApiClient) -> None:
        make_service("smtp", channel="email", settings={"host": "mail"})
        body = client.get("/stats/circuit-breaker").json()
        assert [found["service"] for found in body["circuit_breakers"]] == ["midtrans", "smtp"]
        found = body["circuit_breakers"][0]
        assert set(found["window"]) >= {"ok", "failed", "timed_out", "rejected", "error_percentage"}
        assert found["thresholds"]["error_threshold_percentage"] == 50
        assert found["last_transition_at"] is None

"""What operators do: who may, what is refused, what is written down."""

from __future__ import annotations

import json
import math
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.audit.models import AuditEntry
from apps.breakers import services
from apps.breakers.models import BreakerEvent, SharedBreaker
from apps.breakers.selectors import history, snapshot
from apps.breakers.signals import breaker_changed
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def midtrans(db: None) -> None:
    make_service("midtrans", breaker={"reset_timeout": 60})


def force_open(actor: Actor, **more: Any) -> Any:
    values = {"reason": "Provider maintenance, ticket MT-8841", "expires_in": 1800.0, **more}
    return services.force_open(service="midtrans", actor=actor, **values)


def test_force_open_says_who_why_and_until_when(lead: Actor) -> None:
    found = force_open(lead)
    assert (found.state, found.override_by, found.override_reason) == (
        "FORCED_OPEN",
        "lead@example.com",
        "Provider maintenance, ticket MT-8841",
    )
    assert found.retry_in == pytest.approx(1800, abs=2)
    assert found.override_until is not None
    assert found.opened_at is not None
    event = BreakerEvent.objects.get()
    assert (event.kind, event.actor, event.epoch) == ("forced_open", "lead@example.com", found.epoch)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target, entry.reason) == (
        "breaker.forced_open",
        "service:midtrans",
        "Provider maintenance, ticket MT-8841",
    )
    assert entry.before["state"] == "CLOSED"
    assert entry.after["state"] == "FORCED_OPEN"
    assert history("midtrans")[0].text == "for 30 min · Provider maintenance, ticket MT-8841"


@pytest.mark.parametrize(
    ("reason", "expires_in", "fields"),
    [
        ("", 60, ["reason"]),
        (" \x00 ".replace("\x00", " "), 60, ["reason"]),
        ("x", 0, ["expires_in"]),
        ("x", -1, ["expires_in"]),
        ("x", 7 * 86_400 + 1, ["expires_in"]),
        ("x", math.nan, ["expires_in"]),
        ("x", math.inf, ["expires_in"]),
        ("", 0, ["reason", "expires_in"]),
    ],
)
def test_an_override_needs_a_reason_and_an_end(lead: Actor, reason: str, expires_in: float, fields: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        force_open(lead, reason=reason, expires_in=expires_in)
    assert [problem["field"] for problem in refused.value.detail] == fields
    assert not BreakerEvent.objects.exists()
    assert not AuditEntry.objects.exists()


def test_seven_days_are_possible_and_strange_reasons_are_stored(lead: Actor) -> None:
    found = force_open(lead, reason="  rocket 🚀 \x00 é ", expires_in=7 * 86_400)
    assert found.override_reason == "rocket 🚀 \ufffd é"


@pytest.mark.parametrize("action", ["force_open", "force_closed", "metrics_only", "auto", "reset", "test_now"])
def test_it_needs_the_permission(viewer: Actor, action: str) -> None:
    with pytest.raises(Forbidden):
        services.act(service="midtrans", action=action, actor=viewer, reason="x", expires_in=60)
    assert not SharedBreaker.objects.exists()


@pytest.mark.parametrize("action", ["force_open", "force_closed", "metrics_only", "auto", "reset", "test_now"])
def test_an_unknown_service_is_not_found(lead: Actor, action: str) -> None:
    with pytest.raises(NotFound):
        services.act(service="nobody", action=action, actor=lead, reason="x", expires_in=60)


def test_an_unknown_action_is_refused(lead: Actor) -> None:
    with pytest.raises(Invalid, match="action: use force_open"):
        services.act(service="midtrans", action="explode", actor=lead)


def test_forcing_without_an_end_is_refused_through_act(lead: Actor) -> None:
    with pytest.raises(Invalid, match="expires_in"):
        services.act(service="midtrans", action="force_open", actor=lead, reason="x")


def test_auto_ends_forced_open_in_a_probe(lead: Actor) -> None:
    force_open(lead)
    found = services.auto(service="midtrans", actor=lead)
    assert (found.state, found.override, found.retry_in) == ("HALF_OPEN", None, 0)
    with pytest.raises(Conflict, match="has no override"):
        services.auto(service="midtrans", actor=lead)


@pytest.mark.parametrize("action", ["force_closed", "metrics_only"])
def test_auto_ends_the_others_closed(lead: Actor, action: str) -> None:
    services.act(service="midtrans", action=action, actor=lead, reason="x", expires_in=60)
    assert snapshot("midtrans").state == {"force_closed": "FORCED_CLOSED", "metrics_only": "METRICS_ONLY"}[action]
    assert services.auto(service="midtrans", actor=lead).state == "CLOSED"


def test_each_change_is_a_new_epoch(lead: Actor) -> None:
    epochs = [force_open(lead).epoch]
    epochs.append(services.force_closed(service="midtrans", actor=lead, reason="x", expires_in=60).epoch)
    epochs.append(services.auto(service="midtrans", actor=lead).epoch)
    epochs.append(services.reset(service="midtrans", actor=lead).epoch)
    assert epochs == [2, 3, 4, 5]


def test_a_second_forced_open_keeps_when_it_opened(lead: Actor) -> None:
    first = force_open(lead).opened_at
    assert force_open(lead, expires_in=60).opened_at == first


def test_there_is_nothing_to_test_when_closed_or_forced(lead: Actor) -> None:
    with pytest.raises(Conflict, match="is CLOSED, so there is nothing to test"):
        services.probe_now(service="midtrans", actor=lead)
    force_open(lead)
    with pytest.raises(Conflict, match="is FORCED_OPEN"):
        services.probe_now(service="midtrans", actor=lead)


def test_testing_now_is_no_new_epoch(lead: Actor) -> None:
    SharedBreaker.objects.create(
        name="midtrans", state=1, epoch=4, wait_ms=60_000, probe_at=services.database_ms() + 50_000
    )
    assert snapshot("midtrans").retry_in == pytest.approx(50, abs=1)
    found = services.probe_now(service="midtrans", actor=lead, seen_epoch=4)
    assert (found.state, found.epoch) == ("HALF_OPEN", 4)


def test_the_signal_comes_with_the_commit(lead: Actor, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[dict[str, Any]] = []

    def hear(**news: Any) -> None:
        heard.append({name: news[name] for name in ("service", "kind", "epoch", "event_id")})

    breaker_changed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            force_open(lead)
            assert heard == []
    finally:
        breaker_changed.disconnect(hear)
    event = BreakerEvent.objects.get()
    assert heard == [{"service": "midtrans", "kind": "forced_open", "epoch": 2, "event_id": event.pk}]


def test_history_pages_backwards(lead: Actor) -> None:
    for _ in range(5):
        force_open(lead)
    newest = history("midtrans", limit=2)
    older = history("midtrans", limit=2, before_id=newest[-1].id)
    assert [entry.epoch for entry in newest + older] == [6, 5, 4, 3]
    assert history(limit=1)[0].service == "midtrans"


# --- the shell --------------------------------------------------------------------------------
def run(*words: str) -> str:
    output = StringIO()
    call_command("breaker", *words, stdout=output)
    return output.getvalue()


def test_show_as_a_table_and_as_json() -> None:
    assert run("show").splitlines()[1].split()[:2] == ["midtrans", "CLOSED"]
    shown = json.loads(run("show", "midtrans", "--json"))
    assert (shown[0]["service"], shown[0]["state"], shown[0]["policy"]["reset_timeout"]) == ("midtrans", "CLOSED", 60)


def test_force_auto_reset_and_history() -> None:
    assert "FORCED_OPEN" in run("force", "midtrans", "open", "--reason", "maintenance", "--for", "30m")
    assert json.loads(run("auto", "midtrans", "--json"))[0]["state"] == "HALF_OPEN"
    assert "HALF_OPEN" in run("test", "midtrans")
    assert "CLOSED" in run("reset", "midtrans", "--reason", "fixed")
    assert [line.split()[2] for line in run("history", "midtrans").splitlines()[1:]] == [
        "reset",
        "test_asked",
        "override_ended",
        "forced_open",
    ]
    assert len(json.loads(run("history", "midtrans", "--json", "--limit", "2"))) == 2
    assert AuditEntry.objects.filter(actor_kind="cli").count() == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "nobody"), "There is no service named 'nobody'"),
        (("history", "nobody"), "There is no service named 'nobody'"),
        (("force", "midtrans", "open", "--reason", " ", "--for", "1h"), "reason: say why"),
        (("force", "midtrans", "open", "--reason", "x", "--for", "soon"), "'soon' is not a duration"),
        (("force", "midtrans", "open", "--reason", "x", "--for", "8d"), "at most 604800"),
        (("reset", "midtrans", "--seen-epoch", "9"), "has changed since you looked"),
        (("auto", "midtrans"), "has no override"),
    ],
)
def test_errors_are_one_clear_line(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*words)


def test_an_empty_history_and_no_services() -> None:
    assert run("history", "midtrans") == "Nothing has happened to this breaker yet.\n"
    SharedBreaker.objects.all().delete()
    from apps.services.models import Service

    Service.objects.all().delete()
    assert "config/services.yaml" in run("show")

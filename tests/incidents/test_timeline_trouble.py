"""A source that breaks, a text that cannot be stored, an incident that hangs: the other timelines fill on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection

from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.incidents.models import Incident, StatusUpdate
from apps.incidents.timeline import collect, collect_due, collecting, lines
from apps.incidents.timeline.facts import Fact, Scope, Span
from apps.incidents.timeline.lines import problems
from apps.incidents.timeline.sources import SOURCES, Source, register
from apps.services.models import ServiceVersion
from apps.services.services import pause, resume
from tests.incidents.conftest import service
from tests.incidents.timelines import incident, minute, refs

MIN = timedelta(minutes=1)


@pytest.fixture
def began(now: datetime) -> datetime:
    service()
    return now - 20 * MIN


# --- what goes wrong ----------------------------------------------------------------------------------
def _broken(scope: Scope, span: Span) -> list[Fact]:
    raise ValueError("the table is gone")


def _broken_sql(scope: Scope, span: Span) -> list[Fact]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")
    return []


@pytest.mark.parametrize(("find", "name"), [(_broken, "ValueError"), (_broken_sql, "rror")])
def test_a_source_that_breaks_stops_no_other_and_is_said(
    find: Any, name: str, began: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = incident(began, "midtrans")
    minute("midtrans", began + MIN, 7)
    StatusUpdate.objects.create(incident=made, at=began, state="investigating", kind="opened", actor="ana")
    monkeypatch.setitem(SOURCES, "alerts", Source("alerts", "Alerts", "bell", find, whole=True))
    assert collect(made, now) == 2
    ((label, why),) = problems(Incident.objects.get(pk=made.pk))
    assert label == "Alerts"
    assert name in why
    monkeypatch.undo()
    collect(made, now)
    assert problems(Incident.objects.get(pk=made.pk)) == []


def test_a_source_that_breaks_half_way_is_read_again_from_where_it_was(
    began: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = incident(began, "midtrans")
    real = SOURCES["failures"]
    monkeypatch.setitem(SOURCES, "failures", Source("failures", "x", "x", _broken))
    minute("midtrans", began + MIN, 7)
    collect(made, now)
    monkeypatch.setitem(SOURCES, "failures", real)
    assert collect(made, now + 15 * MIN) == 1


def test_texts_a_database_cannot_store_are_cleaned(
    began: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hostile(scope: Scope, span: Span) -> Iterator[Fact]:
        yield Fact(ref="a\x00b", at=began, what="x" * 99, detail={"alert": "\x00\ud800"}, url="/x", actor="y" * 999)

    made = incident(began)
    monkeypatch.setitem(SOURCES, "alerts", Source("alerts", "Alerts", "bell", hostile))
    assert collect(made, now) == 1
    assert collect(made, now) == 0


def test_a_name_that_is_taken_is_no_new_source() -> None:
    for name in ("alerts", "hand", "x" * 25):
        with pytest.raises(ValueError, match="cannot be the name"):
            register(Source(name, "x", "x", lambda scope, span: []))


def test_settings_show_no_secret(began: datetime, now: datetime) -> None:
    made = incident(began, "midtrans")
    old = {"settings": {"headers": {"Authorization": "Bearer one"}}, "retry": {"base": 1}}
    new = {"settings": {"headers": {"Authorization": "Bearer two"}}, "retry": {"base": 2}}
    ServiceVersion.objects.create(service_id="midtrans", version=1, definition=old, at=began - 60 * MIN, by="ana")
    ServiceVersion.objects.create(service_id="midtrans", version=2, definition=new, at=began - MIN, by="ana")
    collect(made, now)
    (line,) = lines(made)
    assert "retry.base 1 → 2" in line.text
    assert "Bearer" not in str(line.detail)


def test_pauses_are_told_by_who_and_why(began: datetime, ana: Actor) -> None:
    made = incident(began, "midtrans")
    pause(name="midtrans", actor=SYSTEM, reason="bank asked")
    resume(name="midtrans", actor=SYSTEM)
    at = AuditEntry.objects.order_by("-pk")[0].at
    collect(made, at)
    assert [line.text for line in lines(made)] == ["“bank asked”", ""]
    assert lines(made)[0].actor == SYSTEM.name


# --- by itself ------------------------------------------------------------------------------------
def test_what_runs_and_what_ended_just_now_is_filled_by_itself(began: datetime, now: datetime) -> None:
    running = incident(began, "midtrans")
    ended = incident(began, "midtrans", state="resolved", resolved_at=now - 2 * MIN, collected_at=now - MIN)
    done = incident(began, "midtrans", state="resolved", resolved_at=now - 20 * MIN, collected_at=now - 2 * MIN)
    merged = incident(began, "midtrans", state="merged", merged_into=running)
    minute("midtrans", began + MIN, 3)
    assert collect_due(now) == 2
    assert [len(refs(each)) for each in (running, ended, done, merged)] == [1, 1, 0, 0]


def test_an_incident_that_breaks_holds_up_no_other(
    began: datetime, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, other = incident(began, "midtrans"), incident(began, "midtrans")
    real = collecting.scope_of

    def scope(of: Incident, at: datetime) -> Scope:
        if of.pk == broken.pk:
            raise OperationalError("gone")
        return real(of, at)

    monkeypatch.setattr(collecting, "scope_of", scope)
    minute("midtrans", began + MIN, 3)
    assert collect_due(now) == 1
    assert refs(other)

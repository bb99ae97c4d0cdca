"""A timeline as it is read: pages, filters, folds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from apps.core.actor import Actor
from apps.core.errors import Invalid
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.timeline import collect, lines
from apps.incidents.timeline.lines import Fold, Line, by_hour, folded, page, tallies
from apps.incidents.timeline.services import hide, pin
from tests.incidents.conftest import service
from tests.incidents.timelines import breaker_event, incident, minute

MIN = timedelta(minutes=1)


@pytest.fixture
def began(now: datetime) -> datetime:
    service()
    return now - 20 * MIN


# --- reading -------------------------------------------------------------------------------------------
def _many(made: Incident, began: datetime, count: int) -> None:
    rows = [
        TimelineEntry(
            incident=made,
            at=began + timedelta(seconds=n // 2),
            source="failures",
            ref=str(n),
            what="failures",
            detail={"service": "midtrans", "count": 1},
        )
        for n in range(count)
    ]
    TimelineEntry.objects.bulk_create(rows)


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_show_every_line_once_also_of_one_instant(began: datetime, newest_first: bool) -> None:
    made = incident(began)
    _many(made, began, 1200)
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        found = page(made, newest_first=newest_first, cursor=cursor, limit=99)
        seen += [line.id for line in found.items]
        cursor = found.next_cursor
    assert len(seen) == len(set(seen)) == 1200
    assert seen == [line.id for line in lines(made, newest_first=newest_first)]


@pytest.mark.parametrize("cursor", ["x", "1", "1-", "-1", "1-x", "٣-٣", "9" * 30 + "-1"])
def test_a_cursor_that_is_none_of_ours_is_refused(cursor: str, began: datetime) -> None:
    with pytest.raises(Invalid, match="cursor"):
        page(incident(began), cursor=cursor)


def test_a_cursor_far_away_is_an_empty_page(began: datetime) -> None:
    assert page(incident(began), cursor="1-" + "9" * 30, newest_first=True).items == []


def test_filters(began: datetime, now: datetime, ana: Actor) -> None:
    made = incident(began, "midtrans")
    minute("midtrans", began + MIN, 3)
    breaker_event("midtrans", "opened", began + MIN)
    collect(made, now)
    failed, opened = lines(made)
    pin(incident_id=made.pk, line_id=opened.id, actor=ana)
    hide(incident_id=made.pk, line_id=failed.id, actor=ana)
    assert [line.id for line in lines(made)] == [opened.id]
    assert [line.id for line in lines(made, hidden=True)] == [failed.id, opened.id]
    assert [line.id for line in lines(made, hidden=True, sources=["failures"])] == [failed.id]
    assert [line.id for line in lines(made, pinned=True)] == [opened.id]
    counted, pins, hid = tallies(made)
    assert ([tally.name for tally in counted], pins, hid) == (["breakers"], 1, 1)


# --- folding --------------------------------------------------------------------------------------------
def _line(at: datetime, what: str = "failures", **fields: Any) -> Line:
    given: dict[str, Any] = {"detail": {"service": "midtrans", "count": 2}, "source": "failures"}
    fixed = {"icon": "", "tone": "", "title": "t", "text": "", "url": "", "actor": "", "by_hand": False}
    marks = {"pinned": False, "hidden": False, "precision": "minute" if what == "failures" else "exact"}
    return Line(**{**fixed, **marks, **given, **fields, "id": 1, "at": at, "what": what})


def test_counts_of_several_services_fold_until_something_else_happens(began: datetime) -> None:
    smtp = {"detail": {"service": "smtp", "count": 1}}
    run = [_line(began + n * MIN, **(smtp if n % 2 else {})) for n in range(12)]
    rows = folded([*run, _line(began + 12 * MIN, "breaker_opened", source="breakers"), *run[:2]])
    folds = [row for row in rows if isinstance(row, Fold)]
    assert [(fold.title, len(fold.lines)) for fold in folds] == [
        ("12 deliveries to midtrans failed", 6),
        ("6 deliveries to smtp failed", 6),
    ]
    assert folds[0].since == began
    assert folds[0].until == began + 10 * MIN
    assert len(rows) == 5


def test_what_is_pinned_or_written_by_people_is_never_folded(began: datetime) -> None:
    pinned = [_line(began + n * MIN, pinned=True) for n in range(5)]
    written = [_line(began + n * MIN, "line", source="hand", by_hand=True) for n in range(5)]
    assert folded([*pinned, *written]) == [*pinned, *written]


def test_a_storm_of_alerts_is_one_row(began: datetime) -> None:
    rows = folded([_line(began, "fired", source="alerts", detail={"alert": str(n)}) for n in range(1000)])
    assert [row.title for row in rows if isinstance(row, Fold)] == ["1,000 alerts fire"]


def test_hours_are_those_of_the_reader(began: datetime) -> None:
    at = datetime.fromisoformat("2026-11-21T17:50:00+00:00")
    hours = by_hour([_line(at), _line(at + 20 * MIN), _line(at + 21 * MIN)])
    assert [len(hour.rows) for hour in hours] == [1, 2]

"""Checks go on where they stopped, are worked on by one worker at a time, and look at everything each night."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.audit import checks
from apps.audit.models import AuditCheck
from apps.core import clock
from tests.audit.trail import SOMEONE, notes

pytestmark = pytest.mark.django_db


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows, and the time of a worker is over."""
    monkeypatch.setattr(checks, "SLICE", 2)
    monkeypatch.setattr(checks, "BUDGET_S", -1.0)
    monkeypatch.setattr(checks, "nudge", lambda: None)


def at(monkeypatch: pytest.MonkeyPatch, then: datetime) -> None:
    monkeypatch.setattr(clock, "now", lambda: then)


def test_a_check_goes_on_where_it_stopped(slowly: None) -> None:
    notes(5)
    seen = []
    for _ in range(3):
        found = checks.look()
        assert found is not None
        found.refresh_from_db()
        seen.append((found.state, found.checked))
    assert seen == [("running", 2), ("running", 4), ("fits", 5)]
    assert AuditCheck.objects.count() == 1


def test_a_lease_keeps_others_away_until_it_is_over(slowly: None, monkeypatch: pytest.MonkeyPatch) -> None:
    notes(5)
    start = clock.now()
    at(monkeypatch, start)
    checks.look()
    AuditCheck.objects.update(leased_until=start + checks.LEASE)
    assert checks.look() is None
    at(monkeypatch, start + checks.LEASE + timedelta(seconds=1))
    assert checks.look() is not None
    assert AuditCheck.objects.get().checked == 4


def test_between_nights_only_what_is_new_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    start = clock.now().replace(hour=12, minute=0)
    at(monkeypatch, start)
    notes(3)
    checks.look()
    assert checks.look() is None
    notes(2)
    checks.look()
    assert [(check.whole, check.checked) for check in AuditCheck.objects.order_by("pk")] == [(True, 3), (False, 2)]


def test_each_night_the_whole_trail_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    start = clock.now().replace(hour=12, minute=0)
    at(monkeypatch, start)
    notes(3)
    checks.look()
    at(monkeypatch, start + timedelta(hours=13, minutes=59))
    assert checks.look() is None
    at(monkeypatch, start + timedelta(hours=14, minutes=1))
    found = checks.look()
    assert found is not None
    assert AuditCheck.objects.filter(whole=True).count() == 2


def test_who_asks_is_not_made_to_wait_for_the_night() -> None:
    notes(2)
    checks.look()
    asked = checks.ask(actor=SOMEONE)
    checks.look()
    asked.refresh_from_db()
    assert (asked.state, asked.checked) == ("fits", 3)

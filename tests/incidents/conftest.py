"""Alerts as episodes, people, and rules made afresh."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.accounts.models import User
from apps.alerts.models import AlertSource, Episode
from apps.core.actor import Actor
from apps.core.db import database_now
from apps.incidents.models import Rule
from apps.services.models import Service


@pytest.fixture
def now(db: None) -> datetime:
    return database_now()


@pytest.fixture(autouse=True)
def no_rules(request: pytest.FixtureRequest) -> None:
    """The shipped rule is of no concern here; tests make their own."""
    wanted = [name for name in ("transactional_db", "db") if name in request.fixturenames]
    if wanted:
        request.getfixturevalue(wanted[0])
        Rule.objects.all().delete()


def source(name: str = "eu1") -> AlertSource:
    return AlertSource.objects.get_or_create(pk=name)[0]


def episode(fingerprint: str = "f1", *, ago: timedelta = timedelta(minutes=10), **fields: Any) -> Episode:
    """A critical alert that has fired for ten minutes."""
    now = database_now()
    given = {
        "name": "DiskFull",
        "severity": "critical",
        "state": "firing",
        "labels": {"alertname": "DiskFull"},
        "annotations": {"summary": "the disk is full"},
        "starts_at": now - ago,
        "first_seen_at": now - ago,
        "last_fired_at": now,
    }
    return Episode.objects.create(source=source(), fingerprint=fingerprint, **{**given, **fields})


def over(row: Episode, at: datetime) -> Episode:
    """It was normal for five minutes, and is resolved since ``at``."""
    row.state, row.resolved_at, row.normal_since = "resolved", at, at - timedelta(minutes=5)
    row.save()
    return row


def service(name: str = "midtrans", channel: str = "http") -> Service:
    return Service.objects.get_or_create(pk=name, defaults={"channel": channel, "owner": "payments"})[0]


@pytest.fixture
def ana(db: None) -> Actor:
    return User.objects.create_user("ana@example.com", "right-password", role="operator").as_actor()


@pytest.fixture
def budi(db: None) -> Actor:
    return User.objects.create_user("budi@example.com", "right-password", role="operator").as_actor()


@pytest.fixture
def lead(db: None) -> Actor:
    return User.objects.create_user("lead@example.com", "right-password", role="lead").as_actor()


@pytest.fixture
def viewer(db: None) -> Actor:
    return User.objects.create_user("vera@example.com", "right-password", role="viewer").as_actor()


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

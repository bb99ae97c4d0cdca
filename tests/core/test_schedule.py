"""The periodic schedule in the database: idempotent, and the operator's changes stay."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from opsportal import schedule
from opsportal.celery import app
from opsportal.schedule import SCHEDULE, sync_schedule

pytestmark = pytest.mark.django_db


def row(name: str = "outbox.sweep") -> PeriodicTask:
    return PeriodicTask.objects.select_related("interval").get(name=name)


def test_migrating_has_put_every_entry_there() -> None:
    for beat in SCHEDULE:
        found = row(beat.task)
        assert (found.task, found.interval.every, found.interval.period) == (beat.task, beat.every, "seconds")
        assert (found.queue, found.expire_seconds, found.enabled) == (beat.queue, beat.expires, True)


def test_twice_changes_nothing() -> None:
    before = list(PeriodicTask.objects.order_by("name").values())
    assert sync_schedule() == []
    assert list(PeriodicTask.objects.order_by("name").values()) == before


def test_an_operators_pause_and_interval_stay() -> None:
    found = row()
    found.enabled = False
    found.interval = IntervalSchedule.objects.create(every=30, period="seconds")
    found.save()
    sync_schedule()
    assert (row().enabled, row().interval.every) == (False, 30)


def test_what_the_code_owns_comes_back() -> None:
    PeriodicTask.objects.filter(name="outbox.sweep").update(queue="nowhere", expire_seconds=None)
    assert sync_schedule() == ["outbox.sweep: queue, expire_seconds changed"]
    assert (row().queue, row().expire_seconds) == ("control", 5)


def test_a_new_default_is_followed_unless_the_operator_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    slower = tuple(replace(beat, every=beat.every * 2) for beat in SCHEDULE)
    found = row("outbox.prune")
    found.interval = IntervalSchedule.objects.create(every=45, period="seconds")
    found.save()
    monkeypatch.setattr(schedule, "SCHEDULE", slower)
    sync_schedule()
    assert row().interval.every == 10
    assert row("outbox.prune").interval.every == 45


def test_an_entry_the_code_dropped_goes_and_others_entries_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    interval = IntervalSchedule.objects.create(every=7, period="seconds")
    PeriodicTask.objects.create(name="mine", task="somebody.elses", interval=interval)
    monkeypatch.setattr(schedule, "SCHEDULE", SCHEDULE[1:])
    assert sync_schedule() == [f"{SCHEDULE[0].task}: removed, the code no longer has it"]
    assert PeriodicTask.objects.filter(name="mine").exists()


def test_every_scheduled_task_exists_and_each_beat_expires() -> None:
    app.loader.import_default_modules()
    for beat in SCHEDULE:
        assert beat.task in app.tasks, f"{beat.task} is scheduled, but no task has that name"
        assert beat.expires > 0, "a backlog of beats after an outage is of no use"

"""Owners are reminded once for each day, in their morning and their words, and it is seen when they cannot be."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.core.db import database_now
from apps.outbox.models import Message
from apps.postmortems import reminders
from apps.postmortems.models import Reminder
from apps.postmortems.reminders import day_of, remind_all, service_problem
from tests.conftest import make_service
from tests.postmortems.promises import made_item, made_postmortem, made_user

DUE = date(2026, 11, 20)


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """The sweep's clock: today at noon UTC, so that it is morning nowhere near midnight."""
    now = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    clock = {"now": now}
    monkeypatch.setattr(reminders, "database_now", lambda: clock["now"])
    return clock


def smtp(**fields: Any) -> None:
    settings = {"host": "127.0.0.1", "port": 25, "tls": "none", "from_address": "portal@example.com"}
    make_service("smtp", channel="email", settings=settings, **fields)


@pytest.mark.parametrize(
    ("today", "on"),
    [
        (date(2026, 11, 16), None),
        (date(2026, 11, 17), date(2026, 11, 17)),
        (date(2026, 11, 18), date(2026, 11, 17)),
        (date(2026, 11, 19), date(2026, 11, 17)),
        (date(2026, 11, 20), date(2026, 11, 20)),
        (date(2026, 11, 26), date(2026, 11, 20)),
        (date(2026, 11, 27), date(2026, 11, 27)),
        (date(2027, 1, 3), date(2027, 1, 1)),
    ],
)
def test_three_days_before_on_the_day_and_every_week_after_it(today: date, on: date | None) -> None:
    assert day_of(DUE, date(2026, 11, 1), today) == on


def test_a_day_before_it_was_promised_does_not_count() -> None:
    assert day_of(DUE, date(2026, 11, 18), date(2026, 11, 19)) is None
    assert day_of(DUE, date(2026, 11, 17), date(2026, 11, 19)) == date(2026, 11, 17)
    assert day_of(DUE, date(2026, 11, 18), DUE) == DUE


@pytest.mark.django_db
def test_one_message_for_each_day_however_often_it_is_looked(noon: Any) -> None:
    smtp()
    item = made_item(in_days=3, created_at=database_now() - timedelta(days=9))
    assert [remind_all(), remind_all(), remind_all()] == [1, 0, 0]
    days = []
    for _day in range(20):
        noon["now"] += timedelta(days=1)
        days += [noon["now"].date() for _ in range(remind_all() + remind_all())]
    assert days == [item.due, item.due + timedelta(days=7), item.due + timedelta(days=14)]
    assert Message.objects.count() == Reminder.objects.count() == 4


@pytest.mark.django_db
def test_what_it_says(settings: Any) -> None:
    smtp()
    settings.PUBLIC_URL = ""
    pm = made_postmortem(title="Payments\u202e stood <b>still</b>\r\nBcc: x@example.com")
    item = made_item(pm, in_days=0, text="Limit the queue")
    remind_all()
    message = Message.objects.get()
    assert (message.service_id, message.recipient) == ("smtp", "budi@example.com")
    assert message.subject == "Due today: Limit the queue"
    assert message.payload is not None
    began = f"You promised this after “Payments stood <b>still</b> Bcc: x@example.com” (PM-{pm.pk}):"
    assert message.payload.startswith(began)
    assert f"{item.due.day} {item.due:%B %Y}" in message.payload
    assert Reminder.objects.get().message_id == message.pk


@pytest.mark.django_db
def test_in_the_language_and_the_morning_of_the_owner(noon: Any) -> None:
    smtp()
    made_user("budi@example.com", language="id", time_zone="Asia/Jakarta")
    tomorrow = (noon["now"] + timedelta(days=1)).date()
    made_item(due=tomorrow, created_at=noon["now"] - timedelta(minutes=1))
    noon["now"] = noon["now"].replace(hour=17, minute=30)  # 00:30 of tomorrow in Jakarta
    assert remind_all() == 0
    noon["now"] += timedelta(hours=7)  # 07:30
    assert remind_all() == 0
    noon["now"] += timedelta(minutes=31)
    assert remind_all() == 1
    assert Reminder.objects.get().on == tomorrow


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["done", "dropped"])
def test_who_has_kept_a_promise_is_left_alone(state: str) -> None:
    smtp()
    made_item(in_days=-3, state=state)
    made_item(in_days=30)
    assert remind_all() == 0
    assert not Reminder.objects.exists()


@pytest.mark.django_db
def test_without_a_mail_server_the_row_says_so_and_it_is_made_good_later() -> None:
    made_item(in_days=0)
    assert remind_all() == 0
    row = Reminder.objects.get()
    assert row.message_id is None
    assert "no service named smtp" in row.problem
    make_service("smtp")
    remind_all()
    row.refresh_from_db()
    assert "no mail server" in row.problem
    row.refresh_from_db()
    from apps.services.models import Service

    Service.objects.all().delete()
    smtp()
    assert remind_all() == 1
    row.refresh_from_db()
    assert (row.problem, Message.objects.get().pk) == ("", row.message_id)


@pytest.mark.django_db
def test_a_setting_that_names_nothing_says_so(settings: Any) -> None:
    settings.REMINDER_SERVICE = ""
    made_item(in_days=0)
    remind_all()
    assert "REMINDER_SERVICE is empty" in Reminder.objects.get().problem
    assert "set REMINDER_SERVICE" in service_problem("nothing")


@pytest.mark.django_db
def test_who_has_left_is_not_written_to() -> None:
    smtp()
    made_user("budi@example.com", is_active=False)
    made_item(in_days=-1)
    assert remind_all() == 0
    assert "hand it to somebody else" in Reminder.objects.get().problem
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_a_refusal_of_the_outbox_is_in_the_row() -> None:
    smtp()
    made_item(in_days=0, owner="not an address")
    assert remind_all() == 0
    assert "recipient" in Reminder.objects.get().problem


@pytest.mark.django_db
def test_what_was_missed_is_said_once() -> None:
    smtp()
    item = made_item(in_days=-40, created_at=database_now() - timedelta(days=90))
    assert [remind_all(), remind_all()] == [1, 0]
    assert Reminder.objects.get().on == item.due + timedelta(days=35)


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_send_one() -> None:
    smtp()
    for _item in range(5):
        made_item(in_days=0)
    start, sent, errors = threading.Barrier(3), [], []

    def sweep() -> None:
        try:
            start.wait(10)
            sent.append(remind_all())
        except Exception as error:  # noqa: BLE001 - shown by the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=sweep) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sum(sent) == Message.objects.count() == Reminder.objects.count() == 5

"""Accepting: in the caller's transaction, every problem named, nothing half stored."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.core.errors import Invalid, NotFound, PortalError
from apps.outbox.models import Message, MessageTemplate
from apps.outbox.services import Accepted, enqueue, enqueue_many
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


def fields_of(error: PortalError) -> set[str]:
    return {problem["field"] for problem in error.detail}


def refused(**fields: Any) -> set[str]:
    """The fields an enqueue is refused for; nothing may have been stored."""
    fields.setdefault("service", "midtrans")
    if not {"payload", "json", "body_template", "template"} & fields.keys():
        fields["payload"] = "{}"
    with pytest.raises(Invalid) as caught:
        enqueue(**fields)
    assert not Message.objects.exists()
    assert str(caught.value)
    return fields_of(caught.value)


def test_a_message_is_one_row_with_the_databases_defaults() -> None:
    make_service()
    accepted = enqueue(service="midtrans", json={"b": 1, "a": 2}, tenant_id="toko-sari", priority=9)
    message = Message.objects.get(pk=accepted.message_id)
    assert (message.status, message.json, message.priority, message.tenant_id) == (
        "PENDING",
        '{"b":1,"a":2}',
        9,
        "toko-sari",
    )
    assert message.due_at is not None
    assert message.uid is not None


def test_plain_sql_works_as_the_readme_says() -> None:
    make_service("smtp", channel="email", settings={})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notification_outbox (service, recipient, body_template, body_data) VALUES (%s, %s, %s, %s)",
            ["smtp", "a@example.com", "Hello {{ name }}", '{"name": "Sari"}'],
        )
    message = Message.objects.get()
    assert (message.status, message.body_data, message.attempt_count) == ("PENDING", {"name": "Sari"}, 0)


@pytest.mark.django_db(transaction=True)
def test_it_is_part_of_the_callers_transaction() -> None:
    make_service()
    with transaction.atomic():
        enqueue(service="midtrans", payload="{}")
        transaction.set_rollback(True)
    assert not Message.objects.exists()


def test_a_payload_is_kept_byte_for_byte() -> None:
    make_service()
    text = '{ "b":1, "a": 123456789012345678901234567890, "e":"🎉é" }\n'
    accepted = enqueue(service="midtrans", payload=text)
    assert Message.objects.get(pk=accepted.message_id).payload == text


def test_an_unknown_service_says_which_there_are() -> None:
    make_service("known")
    with pytest.raises(NotFound, match="Configured: known"):
        enqueue(service="nope", payload="{}")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"payload": "{}", "json": {}}, "payload"),
        ({"priority": 10}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"payload": "a\x00b"}, "payload"),
        ({"recipient": "a\x00b"}, "recipient"),
        ({"payload": 5}, "payload"),
        ({"tenant_id": "x" * 65}, "tenant_id"),
        ({"ordering_key": "x" * 256}, "ordering_key"),
        ({"subject": "hello\r\nBcc: all@example.com"}, "subject"),
        ({"headers": {"X-A": 5}}, "headers.X-A"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "headers.X-A"),
        ({"send_after": "tomorrow"}, "send_after"),
        ({"body_template": "{{ total }}"}, "body_template"),
        ({"body_template": "{% if %}"}, "body_template"),
        ({"template": "missing"}, "template"),
        ({"json": {"a": "\x00"}}, "json"),
        ({"json": float("nan")}, "json"),
        ({"payload": "\ud800"}, "payload"),
        ({"body_template": "x", "body_data": {"a": "\x00"}}, "body_data"),
        ({"payload": "x" * 2_000_000}, "payload"),
        ({"content_type": "text/plain\r\nX: y"}, "content_type"),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_stored(fields: dict[str, Any], named: str) -> None:
    make_service()
    assert named in refused(**fields)


def test_every_problem_is_told_at_once() -> None:
    make_service()
    assert refused(priority=99, max_attempts=0, recipient="a\x00") == {"priority", "max_attempts", "recipient"}


def test_times_that_can_never_work_are_refused() -> None:
    make_service()
    now = timezone.now()
    assert refused(expires_at=now - timedelta(seconds=1)) == {"expires_at"}
    assert refused(expires_at=now + timedelta(hours=1), send_after=now + timedelta(hours=2)) == {"expires_at"}


def test_an_email_recipient_with_a_line_break_is_refused() -> None:
    make_service("smtp", channel="email", settings={"host": "127.0.0.1"})
    assert "recipient" in refused(service="smtp", recipient="a@example.com\r\nBcc: b@example.com", body_template="x")


def test_a_named_template_is_pinned_to_its_newest_version() -> None:
    make_service()
    MessageTemplate.objects.create(name="receipt", version=1, body="old {{ n }}")
    MessageTemplate.objects.create(name="receipt", version=2, body="new {{ n }}")
    accepted = enqueue(service="midtrans", template="receipt", body_data={"n": 1})
    assert Message.objects.get(pk=accepted.message_id).template_version == 2


def test_a_key_used_twice_with_the_same_content_is_one_message() -> None:
    make_service()
    first = enqueue(service="midtrans", payload="{}", idempotency_key="order-1")
    second = enqueue(service="midtrans", payload="{}", idempotency_key="order-1")
    assert (second.message_id, second.duplicate, first.duplicate) == (first.message_id, True, False)
    assert Message.objects.count() == 1


def test_a_key_used_twice_with_other_content_is_refused() -> None:
    make_service()
    enqueue(service="midtrans", payload="{}", idempotency_key="order-1")
    with pytest.raises(Invalid):
        enqueue(service="midtrans", payload='{"other":1}', idempotency_key="order-1")
    assert Message.objects.count() == 1


def test_tenants_have_keys_of_their_own() -> None:
    make_service()
    for tenant in ("a", "b"):
        assert not enqueue(service="midtrans", payload="{}", idempotency_key="k", tenant_id=tenant).duplicate


def test_a_batch_answers_per_item_and_a_bad_item_does_not_stop_the_others() -> None:
    make_service()
    answers = enqueue_many(
        [
            {"service": "midtrans", "payload": "1"},
            {"service": "nope", "payload": "2"},
            {"service": "midtrans", "payload": "3", "colour": "red"},
            {"service": "midtrans", "payload": "4", "idempotency_key": "k"},
            {"service": "midtrans", "payload": "4", "idempotency_key": "k"},
            {"payload": "5"},
        ]
    )
    kinds = [type(answer).__name__ for answer in answers]
    assert kinds == ["Accepted", "NotFound", "Invalid", "Accepted", "Accepted", "Invalid"]
    assert isinstance(answers[4], Accepted)
    assert answers[4].duplicate
    assert sorted(Message.objects.values_list("payload", flat=True)) == ["1", "4"]


@pytest.mark.django_db(transaction=True)
def test_sixteen_at_once_with_one_key_store_one_message() -> None:
    make_service()
    answers: list[Any] = []

    def press() -> None:
        try:
            answers.append(enqueue(service="midtrans", payload="{}", idempotency_key="order-1").message_id)
        except PortalError as error:
            answers.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Message.objects.count() == 1
    assert {a for a in answers if isinstance(a, int)} == {Message.objects.get().pk}
    assert {a for a in answers if isinstance(a, str)} <= {"in_flight", "conflict"}

"""Messages, attempts, dead letters and a running replay, at the scale of a bad night."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

from apps.outbox.deadletters.causes import fingerprint
from apps.outbox.models import (
    Attempt,
    AttemptOutcome,
    Cause,
    DeadLetter,
    DeathReason,
    Message,
    MessageStatus,
)

TENANTS: Final = ("toko-sari", "warung-88", "kopi-aceh", "batik-solo")
NAMES: Final = ("sari", "budi", "dewi", "agus", "rina", "joko", "wulan", "eko", "putri", "hadi")
BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Death:
    """A cause of dead letters. ``within`` is over how many minutes they died, up to ``until`` minutes ago."""

    service: str
    letters: int
    tenants: int
    error_class: str
    status_code: int | None
    error: str
    reason: str
    until: int
    within: int
    ambiguous: bool = False


DEATHS: Final = (
    Death(
        "midtrans", 1031, 4, "http_503", 503, "midtrans answered 503 Service Unavailable", DeathReason.EXHAUSTED, 2, 58
    ),
    Death(
        "midtrans",
        96,
        3,
        "timeout",
        None,
        "midtrans did not answer within 10 s, after the whole request had left",
        DeathReason.EXHAUSTED,
        0,
        56,
        True,
    ),
    Death(
        "whatsapp",
        41,
        2,
        "http_400",
        400,
        "(#131026) Message undeliverable: recipient is not on WhatsApp",
        DeathReason.PERMANENT,
        9,
        50,
    ),
    Death(
        "billing-webhook",
        12,
        1,
        "http_410",
        410,
        "partner.example answered 410 Gone: this endpoint was removed",
        DeathReason.PERMANENT,
        60,
        200,
    ),
    Death("smtp", 7, 2, "smtp_550", 550, "550 5.1.1 mailbox unavailable", DeathReason.PERMANENT, 190, 900),
)
WAITING: Final = {"midtrans": 1204, "whatsapp": 86, "billing-webhook": 31, "slack": 4}


def make_messages(moment: datetime, random: Random, scale: float) -> None:
    """Everything after the replay, roughly oldest first, so that ids and times agree."""
    _delivered(moment, random, scaled(400, scale))
    for death in DEATHS:
        make_dead(replace(death, letters=scaled(death.letters, scale)), moment, random)
    for service, count in WAITING.items():
        _waiting(service, scaled(count, scale), moment, random)
    _ended(moment, random)
    _just_now(moment, random)


def scaled(count: int, scale: float) -> int:
    """At least one."""
    return max(1, round(count * scale))


def _fields(service: str, at: datetime, random: Random) -> dict[str, Any]:
    name = random.choice(NAMES)
    order = f"A-{random.randint(10_000, 99_999)}"
    fields: dict[str, Any] = {
        "service_id": service,
        "tenant_id": random.choice(TENANTS),
        "created_at": at,
        "source": "shop-api",
        "idempotency_key": f"{service}-{order}-{random.getrandbits(32):08x}",
        "request_id": f"{random.getrandbits(64):016x}",
    }
    if service in ("midtrans", "billing-webhook", "database"):
        body = {
            "order_id": order,
            "customer": f"{name}@example.com",
            "gross_amount": random.randint(20, 900) * 1000,
            "currency": "IDR",
        }
        return fields | {"payload": json.dumps(body), "content_type": "application/json", "ordering_key": ""}
    if service == "smtp":
        return fields | {
            "recipient": f"{name}.{random.randint(1, 99)}@example.com",
            "subject": f"Your order {order}",
            "body_template": "Dear {{ name }}, your order {{ order }} is on its way.",
            "body_data": {"name": name.title(), "order": order},
        }
    if service == "slack":
        return fields | {
            "recipient": "#alerts",
            "body_template": "{{ text }}",
            "body_data": {"text": f"refund of {order} needs approval"},
        }
    return fields | {
        "recipient": f"+62812{random.randint(1_000_000, 9_999_999)}",
        "body_template": "Kode {{ code }}",
        "body_data": {"code": str(random.randint(100_000, 999_999))},
    }


def _save(messages: list[Message]) -> list[Message]:
    return Message.objects.bulk_create(messages, batch_size=BATCH)


def _delivered(moment: datetime, random: Random, count: int) -> None:
    made = []
    for number in range(count):
        at = moment - timedelta(minutes=240 - number * 220 / count)
        service = random.choice(("midtrans", "whatsapp", "smtp", "smtp", "billing-webhook", "billing-webhook", "slack"))
        fields = _fields(service, at, random)
        done = at + timedelta(milliseconds=random.randint(90, 900))
        made.append(
            Message(
                **fields,
                status=MessageStatus.SENT,
                sent_at=done,
                settled_at=done,
                next_attempt_at=at,
                attempt_count=1,
                attempt_total=1,
            )
        )
    Attempt.objects.bulk_create(
        [
            _attempt(
                message,
                1,
                message.created_at,
                AttemptOutcome.SENT,
                random,
                status_code=200,
                response='{"status_code":"200"}',
            )
            for message in _save(made)
        ],
        batch_size=BATCH,
    )


def _attempt(message: Message, number: int, at: datetime, outcome: str, random: Random, **fields: Any) -> Attempt:
    fields.setdefault("duration_ms", random.randint(60, 700))
    return Attempt(
        message_id=message.pk,
        number=number,
        started_at=at,
        worker=f"delivery@a-{random.randint(1, 2)}",
        outcome=outcome,
        **fields,
    )


def make_dead(death: Death, moment: datetime, random: Random) -> None:
    mark, text = fingerprint(death.service, death.error_class, death.status_code, death.error)
    step = death.within * 60 / death.letters
    deaths = [
        moment - timedelta(minutes=death.until) - timedelta(seconds=step * back)
        for back in range(death.letters - 1, -1, -1)
    ]
    tries = 5 if death.reason == DeathReason.EXHAUSTED else 1
    made = []
    for at in deaths:
        fields = _fields(death.service, at - timedelta(seconds=35 if tries > 1 else 1), random)
        fields["tenant_id"] = random.choice(TENANTS[: death.tenants])
        made.append(
            Message(
                **fields,
                status=MessageStatus.DLQ,
                settled_at=at,
                next_attempt_at=at,
                attempt_count=tries,
                attempt_total=tries,
                last_error=death.error,
            )
        )
    saved = _save(made)
    Cause.objects.update_or_create(
        fingerprint=mark,
        defaults={
            "service": death.service,
            "error_class": death.error_class,
            "status_code": death.status_code,
            "message": text,
            "first_seen": deaths[0],
            "last_seen": deaths[-1],
        },
    )
    DeadLetter.objects.bulk_create(
        [dead_letter(death, mark, message, at, tries) for message, at in zip(saved, deaths, strict=True)],
        batch_size=BATCH,
    )
    outcome = AttemptOutcome.AMBIGUOUS if death.ambiguous else AttemptOutcome.FAILED
    Attempt.objects.bulk_create(
        [
            _attempt(
                message,
                number,
                at - timedelta(seconds=2**tries - 2**number),
                outcome,
                random,
                status_code=death.status_code,
                error_class=death.error_class,
                error=death.error,
                duration_ms=10_000 if death.ambiguous else random.randint(80, 400),
            )
            for message, at in list(zip(saved, deaths, strict=True))[-60:]
            for number in range(1, tries + 1)
        ],
        batch_size=BATCH,
    )


def dead_letter(death: Death, mark: str, message: Message, at: datetime, tries: int, **fields: Any) -> DeadLetter:
    return DeadLetter(
        message=message,
        service=death.service,
        tenant_id=message.tenant_id,
        cause_id=mark,
        reason=death.reason,
        status_code=death.status_code,
        error_class=death.error_class,
        error=death.error,
        attempts=tries,
        ambiguous=death.ambiguous,
        died_at=at,
        **fields,
    )


def _waiting(service: str, count: int, moment: datetime, random: Random) -> None:
    long = {"midtrans": 372, "whatsapp": 63}.get(service, 1)
    made = []
    for number in range(count):
        at = moment - timedelta(seconds=long * (count - number) / count)
        tried = service == "midtrans" and number < 40
        if tried:  # what was tried was tried before the breaker opened
            at -= timedelta(seconds=15)
        fields = _fields(service, at, random)
        if service == "whatsapp" and number % 5 == 0:
            fields["expires_at"] = at + timedelta(minutes=10)
        if tried:
            fields |= {"attempt_count": 2, "attempt_total": 2, "last_error": DEATHS[0].error}
        made.append(
            Message(**fields, status=MessageStatus.RETRYING if tried else MessageStatus.PENDING, next_attempt_at=at)
        )
    saved = _save(made)
    Attempt.objects.bulk_create(
        _attempt(
            message,
            number,
            message.created_at + timedelta(seconds=number),
            AttemptOutcome.FAILED,
            random,
            status_code=503,
            error_class="http_503",
            error=DEATHS[0].error,
            response='{"status_code":"503","status_message":"Service Unavailable"}',
        )
        for message in saved
        if message.attempt_count
        for number in (1, 2)
    )


def _ended(moment: datetime, random: Random) -> None:
    for status, minutes in ((MessageStatus.CANCELLED, 14), (MessageStatus.EXPIRED, 3), (MessageStatus.EXPIRED, 4)):
        at = moment - timedelta(minutes=minutes)
        _save(
            [
                Message(
                    **_fields("whatsapp", at, random),
                    status=status,
                    settled_at=at + timedelta(minutes=2),
                    next_attempt_at=at,
                )
            ]
        )
    sending = _fields("billing-webhook", moment - timedelta(seconds=1), random)
    _save(
        [
            Message(
                **sending,
                status=MessageStatus.SENDING,
                claimed_by="delivery@a-1",
                lease_until=moment + timedelta(seconds=60),
                next_attempt_at=moment,
            )
        ]
    )


def _just_now(moment: datetime, random: Random) -> None:
    """What a list of the newest messages shows: a bit of everything, a few per second."""
    made = []
    for back in range(44, 0, -1):
        at = moment - timedelta(milliseconds=back * 310)
        service = random.choice(("midtrans", "midtrans", "whatsapp", "smtp", "billing-webhook", "billing-webhook"))
        fields = _fields(service, at, random)
        if service in ("midtrans", "whatsapp"):
            made.append(Message(**fields, status=MessageStatus.PENDING, next_attempt_at=at))
        elif back < 3:
            lease = moment + timedelta(seconds=60)
            fields |= {"status": MessageStatus.SENDING, "claimed_by": "delivery@a-2", "lease_until": lease}
            made.append(Message(**fields, next_attempt_at=at))
        else:
            done = at + timedelta(milliseconds=random.randint(80, 700))
            fields |= {"status": MessageStatus.SENT, "sent_at": done, "settled_at": done}
            made.append(Message(**fields, next_attempt_at=at, attempt_count=1, attempt_total=1))
    _save(made)

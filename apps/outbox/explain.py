"""Why a message is where it is, in words a person can act on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from apps.core.clock import now
from apps.outbox.figures import Backlog, backlog
from apps.outbox.gates import FORCED_OPEN, OPEN, Gate, gates_of
from apps.outbox.models import LIVE, WAITING, DeadLetter, DeadLetterState, Message, MessageStatus, ReplayItem
from apps.services.models import Service

# A due message that nothing holds back should leave at once; after this long somebody should look.
UNTOUCHED_S: Final = 15


@dataclass(slots=True)
class Surroundings:
    """What is read once for many explanations."""

    moment: datetime
    gates: dict[str, Gate]
    backlog: dict[str, Backlog] = field(default_factory=dict)
    max_attempts: dict[str, int] = field(default_factory=dict)


def why_waiting(message: Message) -> str:
    """Why ``message`` has not been sent (yet), in one sentence or two."""
    return why_waiting_many([message])[message.pk]


def why_waiting_many(messages: Iterable[Message]) -> dict[int, str]:
    """The same for a page of messages, with the services looked up once."""
    rows = list(messages)
    around = _look_around({row.service_id for row in rows if row.status in WAITING})
    return {row.pk: _explain(row, around) for row in rows}


def _look_around(names: set[str]) -> Surroundings:
    if not names:
        return Surroundings(now(), {})
    services = list(Service.objects.filter(pk__in=names))
    attempts = {service.name: service.retry_policy.max_attempts for service in services}
    return Surroundings(now(), gates_of(services), backlog(), attempts)


def _explain(message: Message, around: Surroundings) -> str:
    if message.status in WAITING:
        return _why_it_waits(message, around)
    if message.status == MessageStatus.SENDING:
        return f"On its way: {message.claimed_by} has it until {_time(message.lease_until, around.moment)} at most."
    if message.status == MessageStatus.SENT:
        return f"Sent at {_time(message.sent_at, around.moment)}."
    if message.status == MessageStatus.DLQ:
        return _why_it_died(message)
    verb = "Cancelled" if message.status == MessageStatus.CANCELLED else "Expired before it could be sent,"
    return f"{verb} at {_time(message.settled_at, around.moment)}."


def _why_it_waits(message: Message, around: Surroundings) -> str:
    if message.expires_at is not None and message.expires_at <= around.moment:
        return f"Expired at {_time(message.expires_at, around.moment)}; it will not be sent and is marked so shortly."
    reasons = [*_own_reasons(message, around), *_service_reasons(message, around)]
    left = _attempts_left(message, around)
    return f"Waiting: {'; '.join(reasons) or _due(message, around)}. {left}."


def _own_reasons(message: Message, around: Surroundings) -> list[str]:
    reasons = []
    ahead = _ahead_of(message)
    if ahead is not None:
        state = "on its way" if ahead.status == MessageStatus.SENDING else "waiting too"
        reasons.append(f"behind message {ahead.pk} of ordering_key {message.ordering_key!r}, which is {state}")
    if message.send_after is not None and message.send_after > around.moment:
        reasons.append(f"scheduled for {_time(message.send_after, around.moment)}")
    elif message.next_attempt_at > around.moment:
        wait = (message.next_attempt_at - around.moment).total_seconds()
        reasons.append(f"tried again in {_span(wait)}, at {_time(message.next_attempt_at, around.moment)}")
    return reasons


def _ahead_of(message: Message) -> Message | None:
    """What its key waits for: one that is on its way, or the first that stands before it."""
    if not message.ordering_key:
        return None
    others = Message.objects.filter(
        service_id=message.service_id, ordering_key=message.ordering_key, status__in=LIVE
    ).exclude(ordering_key="")
    others = others.exclude(pk=message.pk).only("id", "status").order_by("id")
    return others.filter(status=MessageStatus.SENDING).first() or others.filter(pk__lt=message.pk).first()


def _service_reasons(message: Message, around: Surroundings) -> list[str]:
    gate = around.gates.get(message.service_id)
    if gate is None:
        return []
    reasons = []
    if gate.shut or gate.probing:
        reasons.append(_gate_text(gate, around.moment))
    if gate.slowed_until is not None and gate.slowed_until > around.moment:
        why = f" ({gate.slowed_by})" if gate.slowed_by else ""
        reasons.append(f"{gate.service} asked to slow down until {_time(gate.slowed_until, around.moment)}{why}")
    sending = around.backlog.get(gate.service, Backlog()).sending
    if sending >= gate.max_in_flight:
        reasons.append(f"all {gate.max_in_flight} slots of {gate.service} are taken")
    return reasons


def _gate_text(gate: Gate, moment: datetime) -> str:
    if gate.paused_at is None and gate.breaker == OPEN and not gate.probing and gate.retry_in is not None:
        until = moment + timedelta(seconds=gate.retry_in)
        return f"the breaker of {gate.service} is open until {_time(until, moment)}"
    if gate.paused_at is None and gate.breaker == FORCED_OPEN and gate.override_reason:
        return f"{gate} ({gate.override_reason})"
    return str(gate)


def _due(message: Message, around: Surroundings) -> str:
    waited = (
        around.moment - max(message.next_attempt_at, message.send_after or message.next_attempt_at)
    ).total_seconds()
    gate = around.gates.get(message.service_id)
    if gate is not None and gate.max_per_second is not None:
        return f"due, in line for the limit of {gate.max_per_second:g} per second of {gate.service}"
    if waited < UNTOUCHED_S:
        return "due now, the next free worker takes it"
    ahead = around.backlog.get(message.service_id, Backlog()).waiting
    line = f", with {ahead:,} messages of {message.service_id} waiting" if ahead > 1 else ""
    return f"due for {_span(waited)}{line}; if nothing moves, see whether a delivery worker runs"


def _attempts_left(message: Message, around: Surroundings) -> str:
    most = message.max_attempts or around.max_attempts.get(message.service_id, message.attempt_count + 1)
    left = max(0, most - message.attempt_count)
    return f"{left} attempt{'' if left == 1 else 's'} left"


def _why_it_died(message: Message) -> str:
    letter = DeadLetter.objects.filter(message_id=message.pk).order_by("-id").first()
    if letter is None:
        return "A dead letter without a record of its death: it will not be tried again on its own."
    tries = f" after {letter.attempts} attempt{'' if letter.attempts == 1 else 's'}" if letter.attempts else ""
    arrived = " It may have arrived: the last attempt ended unclear." if letter.ambiguous else ""
    error = letter.error[:300].rstrip(".") or "no error text"
    return f"{letter.get_reason_display()}{tries}: {error}.{arrived} {_what_next(letter)}"


def _what_next(letter: DeadLetter) -> str:
    if letter.state != DeadLetterState.OPEN:
        return f"Its dead letter was {letter.state} by {letter.resolved_by or 'someone'}."
    waiting = ReplayItem.objects.filter(dead_letter=letter, state=ReplayItem.State.WAITING)
    replay = waiting.values_list("replay_id", flat=True).first()
    return f"It waits its turn in replay {replay}." if replay is not None else "Replay or discard it."


def _time(at: datetime | None, moment: datetime) -> str:
    if at is None:
        return "an unknown time"
    return f"{at:%H:%M:%S} UTC" if at.date() == moment.date() else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float) -> str:
    """Two units at most: ``45 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    whole = max(0, round(seconds))
    for size, name, smaller, small_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{whole} s"

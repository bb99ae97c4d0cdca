"""Why a message is where it is, in words a person can act on: in the language and the zone that are active."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import human
from apps.core.clock import now
from apps.outbox.figures import Backlog, backlog
from apps.outbox.gates import FORCED_OPEN, OPEN, Gate, gates
from apps.outbox.models import LIVE, WAITING, DeadLetter, DeadLetterState, Message, MessageStatus, ReplayItem
from apps.services.models import Service

# A due message that nothing holds back should leave at once; after this long somebody should look.
UNTOUCHED_S: Final = 15


@dataclass(slots=True)
class Surroundings:
    """What is read once for many explanations. ``ahead`` (what a message of an ordering key waits behind) and
    ``letters`` (its last death, and the replay that letter waits in) are looked up when they are not given.
    """

    moment: datetime
    gates: Mapping[str, Gate]
    backlog: Mapping[str, Backlog] = field(default_factory=dict)
    max_attempts: Mapping[str, int] = field(default_factory=dict)
    ahead: Mapping[int, Message | None] = field(default_factory=dict)
    letters: Mapping[int, tuple[DeadLetter | None, int | None]] = field(default_factory=dict)


def why_waiting(message: Message) -> str:
    """Why ``message`` has not been sent (yet), in one sentence or two."""
    return why_waiting_many([message])[message.pk]


def why_waiting_many(messages: Iterable[Message]) -> dict[int, str]:
    """The same for a page of messages, with the services looked up once."""
    rows = list(messages)
    around = _look_around({row.service_id for row in rows if row.status in WAITING})
    return {row.pk: explain(row, around) for row in rows}


def _look_around(names: set[str]) -> Surroundings:
    if not names:
        return Surroundings(now(), {})
    services = Service.objects.filter(pk__in=names)
    attempts = {service.name: service.retry_policy.max_attempts for service in services}
    return Surroundings(now(), gates(names), backlog(), attempts)


def explain(message: Message, around: Surroundings) -> str:
    """The same for who has looked around already."""
    if message.status in WAITING:
        return _why_it_waits(message, around)
    if message.status == MessageStatus.SENDING:
        until = _time(message.lease_until, around.moment)
        return _("On its way: {worker} has it until {until} at most.").format(worker=message.claimed_by, until=until)
    if message.status == MessageStatus.SENT:
        return _("Sent at {time}.").format(time=_time(message.sent_at, around.moment))
    if message.status == MessageStatus.DLQ:
        return _why_it_died(message, around)
    at = _time(message.settled_at, around.moment)
    if message.status == MessageStatus.CANCELLED:
        return _("Cancelled at {time}.").format(time=at)
    return _("Expired before it could be sent, at {time}.").format(time=at)


def _why_it_waits(message: Message, around: Surroundings) -> str:
    if message.expires_at is not None and message.expires_at <= around.moment:
        text = _("Expired at {time}; it will not be sent and is marked so shortly.")
        return text.format(time=_time(message.expires_at, around.moment))
    reasons = [*_own_reasons(message, around), *_service_reasons(message, around)]
    why = "; ".join(reasons) or _due(message, around)
    return _("Waiting: {why}. {left}.").format(why=why, left=_attempts_left(message, around))


def _own_reasons(message: Message, around: Surroundings) -> list[str]:
    reasons = []
    ahead = around.ahead[message.pk] if message.pk in around.ahead else ahead_of(message)
    if ahead is not None:
        text = (
            _("behind message {id} of ordering_key {key}, which is on its way")
            if ahead.status == MessageStatus.SENDING
            else _("behind message {id} of ordering_key {key}, which is waiting too")
        )
        reasons.append(text.format(id=ahead.pk, key=repr(message.ordering_key)))
    if message.send_after is not None and message.send_after > around.moment:
        reasons.append(_("scheduled for {time}").format(time=_time(message.send_after, around.moment)))
    elif message.next_attempt_at > around.moment:
        wait = human.span((message.next_attempt_at - around.moment).total_seconds())
        at = _time(message.next_attempt_at, around.moment)
        reasons.append(_("tried again in {span}, at {time}").format(span=wait, time=at))
    return reasons


def ahead_of(message: Message) -> Message | None:
    """What its key waits for: one that is on its way, or the first that stands before it."""
    if not message.ordering_key:
        return None
    return first_ahead(message, list(of_its_key(message).exclude(pk=message.pk)[:KEY_ROWS]))


# A key with more live messages than this is told about by its first ones.
KEY_ROWS: Final = 200


def of_its_key(message: Message) -> QuerySet[Message]:
    """The live messages of its ordering key, in their order: id, status and time."""
    rows = Message.objects.filter(
        service_id=message.service_id, ordering_key=message.ordering_key, status__in=LIVE
    ).exclude(ordering_key="")
    return rows.only("id", "status", "created_at").order_by("id")


def first_ahead(message: Message, others: Iterable[Message]) -> Message | None:
    """Among the live messages of its key, in order: the one on its way, else the first before it."""
    rows = [row for row in others if row.pk != message.pk]
    sending = next((row for row in rows if row.status == MessageStatus.SENDING), None)
    return sending or next((row for row in rows if row.pk < message.pk), None)


def _service_reasons(message: Message, around: Surroundings) -> list[str]:
    gate = around.gates.get(message.service_id)
    if gate is None:
        return []
    reasons = []
    if gate.shut or gate.probing:
        reasons.append(_gate_text(gate, around.moment))
    if gate.slowed_until is not None and gate.slowed_until > around.moment:
        why = f" ({gate.slowed_by})" if gate.slowed_by else ""
        text = _("{service} asked to slow down until {time}")
        reasons.append(text.format(service=gate.service, time=_time(gate.slowed_until, around.moment)) + why)
    sending = around.backlog.get(gate.service, Backlog()).sending
    if sending >= gate.max_in_flight:
        text = _("all {count} slots of {service} are taken")
        reasons.append(text.format(count=human.number(gate.max_in_flight), service=gate.service))
    return reasons


def _gate_text(gate: Gate, moment: datetime) -> str:
    if gate.paused_at is None and gate.breaker == OPEN and not gate.probing and gate.retry_in is not None:
        until = _time(moment + timedelta(seconds=gate.retry_in), moment)
        return _("the breaker of {service} is open until {time}").format(service=gate.service, time=until)
    if gate.paused_at is None and gate.breaker == FORCED_OPEN and gate.override_reason:
        return f"{gate} ({gate.override_reason})"
    return str(gate)


def _due(message: Message, around: Surroundings) -> str:
    due = max(message.next_attempt_at, message.send_after or message.next_attempt_at)
    waited = (around.moment - due).total_seconds()
    gate = around.gates.get(message.service_id)
    if gate is not None and gate.max_per_second is not None:
        text = _("due, in line for the limit of {rate} per second of {service}")
        return text.format(rate=f"{gate.max_per_second:g}", service=gate.service)
    if waited < UNTOUCHED_S:
        return _("due now, the next free worker takes it")
    ahead = around.backlog.get(message.service_id, Backlog()).waiting
    if ahead > 1:
        text = _(
            "due for {span}, with {count} messages of {service} waiting; "
            "if nothing moves, see whether a delivery worker runs"
        )
        return text.format(span=human.span(waited), count=human.number(ahead), service=message.service_id)
    text = _("due for {span}; if nothing moves, see whether a delivery worker runs")
    return text.format(span=human.span(waited))


def _attempts_left(message: Message, around: Surroundings) -> str:
    most = message.max_attempts or around.max_attempts.get(message.service_id, message.attempt_count + 1)
    left = max(0, most - message.attempt_count)
    return ngettext("{count} attempt left", "{count} attempts left", left).format(count=human.number(left))


def _why_it_died(message: Message, around: Surroundings) -> str:
    letter, replay = around.letters[message.pk] if message.pk in around.letters else _death_of(message)
    if letter is None:
        return _("A dead letter without a record of its death: it will not be tried again on its own.")
    error = letter.error[:300].rstrip(".") or _("no error text")
    said = [f"{_died_how(letter)}: {error}."]
    if letter.ambiguous:
        said.append(_("It may have arrived: the last attempt ended unclear."))
    return " ".join([*said, _what_next(letter, replay)])


def _died_how(letter: DeadLetter) -> str:
    if not letter.attempts:
        return str(letter.get_reason_display())
    text = ngettext("{reason} after {count} attempt", "{reason} after {count} attempts", letter.attempts)
    return text.format(reason=letter.get_reason_display(), count=human.number(letter.attempts))


def _death_of(message: Message) -> tuple[DeadLetter | None, int | None]:
    letter = DeadLetter.objects.filter(message_id=message.pk).order_by("-id").first()
    if letter is None or letter.state != DeadLetterState.OPEN:
        return letter, None
    waiting = ReplayItem.objects.filter(dead_letter=letter, state=ReplayItem.State.WAITING)
    return letter, waiting.values_list("replay_id", flat=True).first()


def _what_next(letter: DeadLetter, replay: int | None) -> str:
    if letter.state == DeadLetterState.REPLAYED:
        return _("Its dead letter was replayed by {who}.").format(who=letter.resolved_by or _("someone"))
    if letter.state != DeadLetterState.OPEN:
        return _("Its dead letter was discarded by {who}.").format(who=letter.resolved_by or _("someone"))
    if replay is not None:
        return _("It waits its turn in replay {id}.").format(id=replay)
    return _("Replay or discard it.")


def _time(at: datetime | None, moment: datetime) -> str:
    return _("an unknown time") if at is None else human.clock_in_zone(at, moment)

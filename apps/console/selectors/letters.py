"""Dead letters and replays as their pages show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from django.core.cache import cache
from django.http import QueryDict
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from django.utils.translation import ngettext
from redis.exceptions import RedisError

from apps.accounts.models import User
from apps.console import marks
from apps.console.bodies import mask_text
from apps.console.marks import Mark
from apps.core import clock, human
from apps.core.errors import Invalid
from apps.core.masking import mask_addresses, mask_recipient
from apps.outbox.deadletters.selection import Selection
from apps.outbox.deadletters.selectors import newest_selected, snoozed_and_died, snoozed_letters
from apps.outbox.models import Cause, DeadLetter, Replay, ReplayItem, TriageMark, TriageVerb
from apps.outbox.replays.planning import OUTCOME_TEXT, TAKEN, Plan
from apps.outbox.replays.selectors import Failures
from apps.outbox.replays.wire import wire_of

NAMED = {
    "timeout": _l("time-out"),
    "dns": _l("name not found"),
    "tls": "TLS",
    "refused": _l("connection refused"),
}
# What a link or a form calls the parts of a selection. A dialog has fields of its own with the plain names.
FIELDS: Final = {
    "cause": "cause",
    "service": "service",
    "tenant_id": "tenant_id",
    "died_after": "died_after",
    "died_before": "died_before",
    "reason": "death_reason",
    "assignee": "held_by",
    "text": "q",
    "status_code": "status_code",
    "up_to": "up_to",
    "unassigned": "unassigned",
    "snoozed": "snoozed",
    "everything": "everything",
}
NUMBERS: Final = ("status_code", "up_to")
FLAGS: Final = ("unassigned", "snoozed", "everything")
# A list puts all that matches its filters under these names, beside the ids of the rows that are chosen.
WHOLE: Final = "whole"
WHOLE_PREFIX: Final = "all-"


def selection_of(given: QueryDict) -> Selection:
    """The letters a dialog is about, from its address; raises :class:`Invalid`."""
    whole = given.get(WHOLE) == "1"
    prefix = WHOLE_PREFIX if whole else ""
    data = {
        name: _read(name, str(given[prefix + field])) for name, field in FIELDS.items() if given.get(prefix + field)
    }
    ids = [] if whole else given.getlist("ids")
    if ids:
        if not all(text.isascii() and text.isdigit() for text in ids):
            raise Invalid.field("ids", _("must be numbers of dead letters"))
        data["ids"] = [int(text) for text in ids]
    return Selection.parse(data)


def _read(name: str, text: str) -> Any:
    if name in NUMBERS and text.isascii() and text.isdigit():
        return int(text)
    return text == "1" if name in FLAGS else text


def selection_fields(selection: Selection, prefix: str = "") -> list[tuple[str, str]]:
    """The same as hidden fields of a form."""
    fields: list[tuple[str, str]] = []
    for name, value in selection.as_dict().items():
        if isinstance(value, list):
            fields += [("ids", str(item)) for item in value]
        else:
            text = str(int(value)) if isinstance(value, bool) else str(value)
            fields.append((prefix + FIELDS[name], text))
    return fields


def as_of_now(selection: Selection) -> Selection:
    """``selection`` without what dies after this moment: what a dialog counts is what its button does."""
    if selection.ids or selection.up_to is not None:
        return selection
    newest = newest_selected(selection)
    return replace(selection, up_to=newest) if newest else selection


def cause_label(service: str, error_class: str, status_code: int | None) -> str:
    """``midtrans · HTTP 503``, ``midtrans · time-out``: what people call a cause."""
    words = str(NAMED.get(error_class) or error_class.replace("_", " ").strip() or _("error"))
    for protocol in ("http", "smtp"):
        if status_code and words.startswith(protocol):
            return f"{service} · {protocol.upper()} {status_code}"
    return f"{service} · {words} ({status_code})" if status_code else f"{service} · {words}"


def selection_label(selection: Mapping[str, Any], known: Mapping[str, Cause]) -> str:
    """What a replay was asked to replay, in words."""
    cause = known.get(str(selection.get("cause", "")))
    if cause is not None:
        label = cause_label(cause.service, cause.error_class, cause.status_code)
        tenant = selection.get("tenant_id")
        return _("{cause} · tenant {tenant}").format(cause=label, tenant=tenant) if tenant else label
    ids = selection.get("ids")
    if ids:
        services = human.listed(list(selection.get("services", [])))
        count = ngettext("{n} chosen letter", "{n} chosen letters", len(ids)).format(n=human.number(len(ids)))
        return f"{services} · {count}"
    if selection.get("everything"):
        return _("all open dead letters")
    hidden = ("services", "up_to")
    parts = [f"{name.replace('_', ' ')} {value}" for name, value in selection.items() if name not in hidden]
    return ", ".join(parts)


def causes_of(replays: Iterable[Replay]) -> dict[str, Cause]:
    """The causes that replays name, in one query."""
    marks_of = {str(replay.selection["cause"]) for replay in replays if replay.selection.get("cause")}
    return Cause.objects.in_bulk(list(marks_of)) if marks_of else {}


@dataclass(frozen=True, slots=True)
class ReplayRow:
    replay: Replay
    mark: Mark
    label: str


def replay_rows(replays: Iterable[Replay]) -> list[ReplayRow]:
    found = list(replays)
    known = causes_of(found)
    return [ReplayRow(replay, marks.REPLAY[replay.state], selection_label(replay.selection, known)) for replay in found]


@dataclass(frozen=True, slots=True)
class ItemRow:
    item: ReplayItem
    mark: Mark
    recipient: str
    status: str
    note: str


def item_rows(items: Iterable[ReplayItem]) -> list[ItemRow]:
    """Items with their messages' recipients."""
    return [
        ItemRow(item, marks.ITEM[item.state], item.message.recipient, item.message.status, in_words(item.note))
        for item in items
    ]


def in_words(why: str) -> str:
    """A stored reason for leaving a letter out, in the person's language."""
    number = why.removeprefix(TAKEN)
    if number != why:
        return _("already in replay {replay}").format(replay=number)
    return _(why) if why else why


# For the catalogue: these are stored in English.
STORED: Final = (
    *(_l(text) for text in OUTCOME_TEXT.values()),
    _l("closed or put back before it was taken in"),
    _l("not an open dead letter"),
    _l("the message was pruned"),
    _l("the message has expired"),
    _l("the message is no longer a dead letter"),
    _l("cancelled after it was put back"),
    _l("expired before it could be sent"),
    _l("the replay was cancelled"),
    _l("taken out of the replay"),
    _l("the dead letter was discarded meanwhile"),
    _l("the dead letter was replayed meanwhile"),
)


def plan_lines(plan: Plan) -> list[str]:
    """What a replay will do, to how many, and what it will not: one line each."""
    lines = [_put_back(plan)] if plan.eligible else [_("Nothing can be put back.")]
    if plan.eligible and plan.oldest:
        lines.append(_("The oldest died {ago}.").format(ago=human.ago(plan.oldest, clock.now())))
    for why, count in plan.ineligible.items():
        text = ngettext("{n} is left out: {why}.", "{n} are left out: {why}.", count)
        lines.append(text.format(n=human.number(count), why=in_words(why)))
    lines += _warnings(plan)
    lines += [_("Waits: {reason}.").format(reason=reason) for reason in plan.waits_for]
    if plan.estimated_seconds is not None and plan.eligible:
        lines.append(_("About {time} once it is let through.").format(time=human.span(plan.estimated_seconds)))
    return lines


def _put_back(plan: Plan) -> str:
    text = ngettext("{n} message is put back: {services}.", "{n} messages are put back: {services}.", plan.eligible)
    parts = [_("{n} to {service}").format(n=human.number(n), service=name) for name, n in plan.services.items()]
    return text.format(n=human.number(plan.eligible), services=human.listed(parts))


def _warnings(plan: Plan) -> list[str]:
    lines = []
    if plan.ambiguous:
        text = ngettext(
            "{n} may have arrived already. It carries the same Idempotency-Key, so a receiver that honours it takes it "
            "once.",
            "{n} may have arrived already. They carry the same Idempotency-Key, so a receiver that honours it takes "
            "them once.",
            plan.ambiguous,
        )
        lines.append(text.format(n=human.number(plan.ambiguous)))
    if plan.replayed_before:
        text = ngettext(
            "{n} was replayed before and died again.", "{n} were replayed before and died again.", plan.replayed_before
        )
        lines.append(text.format(n=human.number(plan.replayed_before)))
    if plan.snoozed:
        text = ngettext("{n} of them is snoozed.", "{n} of them are snoozed.", plan.snoozed)
        lines.append(text.format(n=human.number(plan.snoozed)))
    return lines


def plan_services(plan: Plan) -> list[tuple[str, int, Mark]]:
    """Each service with how many go to it and the state of its breaker."""
    return [
        (name, count, marks.breaker_mark(plan.breakers[name]) if name in plan.breakers else marks.UNKNOWN)
        for name, count in plan.services.items()
    ]


@dataclass(frozen=True, slots=True)
class Sample:
    """A request as it would go out, personal data masked."""

    letter: DeadLetter
    head: list[tuple[str, str]]
    body: str
    problem: str


def sample_of(letter: DeadLetter) -> Sample:
    wire = wire_of(letter.message)
    head = {"To": mask_recipient(wire.recipient), "Subject": mask_text(wire.subject), "Idempotency-Key": wire.identity}
    head |= {name: mask_addresses(value) for name, value in wire.headers.items()}
    return Sample(
        letter, [item for item in head.items() if item[1]], mask_text(wire.body), mask_addresses(wire.problem)
    )


@dataclass(frozen=True, slots=True)
class FailureRow:
    label: str
    url_of: str
    letters: int
    message: str


def failure_rows(found: Iterable[Failures]) -> list[FailureRow]:
    """What letters of a replay died of again, in words."""
    rows = []
    for item in found:
        cause = item.cause
        label = cause_label(cause.service, cause.error_class, cause.status_code) if cause else _("cause not recorded")
        rows.append(FailureRow(label, item.fingerprint if cause else "", item.letters, cause.message if cause else ""))
    return rows


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One thing a person did with a letter."""

    at: datetime
    title: str
    text: str
    tone: str
    letters: int
    triage_id: int


TONES: Final = {"discard": "unknown", "undo": "warning"}


def history_rows(history: Iterable[TriageMark]) -> list[HistoryRow]:
    return [_history_row(mark) for mark in history]


def _history_row(mark: TriageMark) -> HistoryRow:
    triage = mark.triage
    who = triage.actor if triage.actor_kind == "person" else f"{triage.actor_kind}:{triage.actor}"
    titles = {
        TriageVerb.ASSIGN: _("{who} assigned it to {to}") if triage.assignee else _("{who} assigned it to nobody"),
        TriageVerb.NOTE: _("{who} noted"),
        TriageVerb.SNOOZE: _("{who} snoozed it until {until}") if triage.until else _("{who} woke it"),
        TriageVerb.DISCARD: _("{who} discarded it"),
        TriageVerb.UNDO: _("{who} undid what was done before"),
    }
    until = human.clock(triage.until, clock.now()) if triage.until else ""
    title = titles[TriageVerb(triage.verb)].format(who=who, to=triage.assignee, until=until)
    text = triage.text or _before(mark)
    return HistoryRow(triage.created_at, title, text, TONES.get(triage.verb, "info"), triage.total, triage.pk)


def _before(mark: TriageMark) -> str:
    if mark.triage.verb == TriageVerb.ASSIGN and mark.before:
        return _("It was assigned to {who}.").format(who=mark.before)
    until = parse_datetime(mark.before) if mark.triage.verb == TriageVerb.SNOOZE and mark.before else None
    return _("It was snoozed until {until}.").format(until=human.clock(until, clock.now())) if until else ""


def people() -> list[str]:
    """Who letters can be assigned to, by e-mail address; looked up twice a minute for all viewers together."""
    found: list[str] = remembered("console.people", 30, _people)
    return found


def snoozed_and_died_lately() -> tuple[int, int]:
    """How many letters are snoozed now, and how many messages died in the last hour: that is looked up every 5 s for
    all viewers together, by the same query.
    """
    seen: list[int] = []

    def look() -> int:
        snoozed, died = snoozed_and_died(60)
        seen.append(snoozed)
        return died

    died_lately: int = remembered("console.died_lately", 5, look)
    return (seen[0] if seen else snoozed_letters()), died_lately


def remembered(key: str, seconds: int, find: Callable[[], Any]) -> Any:
    """From the shared cache; without one it is looked up each time."""
    try:
        return cache.get_or_set(key, find, seconds)
    except (RedisError, OSError):
        return find()


def _people() -> list[str]:
    return list(User.objects.filter(is_active=True).order_by("email").values_list("email", flat=True)[:200])

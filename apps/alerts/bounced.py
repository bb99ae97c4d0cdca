"""What became of the messages of notifications; and somebody else, when one does not arrive.

A page that became a dead letter, expired or was cancelled, or that has not left after a minute (a breaker is open, the
provider is slow), brings the escalation's next step forward. Where there is none left, another target is told. Both
happen once for each page, in the transaction that writes its fate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.alerts import telling
from apps.alerts.episodes import OPEN_STATES
from apps.alerts.models import Escalation, Fate, Notification, NotificationOutcome
from apps.alerts.nudge import nudge_now
from apps.alerts.policies import in_force, thawed
from apps.alerts.reaching import Directory, Way
from apps.alerts.routing import Routing, Target
from apps.alerts.story import note_event
from apps.core.db import database_now
from apps.outbox.models import DeadLetter, Message, MessageStatus

log = structlog.get_logger(__name__)

# In place of a message that the outbox would not take.
NO_MESSAGE: Final = 0
PATIENCE: Final = timedelta(seconds=60)
CHUNK: Final = 500
LATE: Final = "late"
DEAD: Final = (MessageStatus.DLQ, MessageStatus.EXPIRED, MessageStatus.CANCELLED)
PAGES: Final = (telling.PAGE, telling.INSTEAD)
# More than this that go elsewhere the same way are told together.
TOGETHER: Final = 10


def heard_of_death(*, dead_letter_ids: Sequence[int], **_: Any) -> None:
    """A message died: look at once, if it was a page."""
    messages = DeadLetter.objects.filter(pk__in=dead_letter_ids).values("message_id")
    if Notification.objects.filter(message_id__in=messages).exists():
        nudge_now()


def under_way() -> QuerySet[Notification]:
    waiting = Notification.objects.filter(fate=Fate.NONE, outcome=NotificationOutcome.QUEUED)
    return waiting.filter(message_id__isnull=False)


def follow(now: datetime) -> int:
    """Look at every message that is under way. Returns how many did not arrive."""
    late = database_now() - PATIENCE
    return sum(_follow(ids, now, late) for ids in _chunks())


def _chunks() -> Iterator[list[int]]:
    last = -1
    while True:
        newer = under_way().filter(message_id__gt=last).order_by("message_id")
        ids: list[int] = [pk for pk in newer.values_list("message_id", flat=True).distinct()[:CHUNK] if pk is not None]
        if not ids:
            return
        last = ids[-1]
        yield ids


def _follow(ids: Sequence[int], now: datetime, late: datetime) -> int:
    """``late``: what was accepted before and has not left is late, by the clock that both times are of."""
    found = {pk: (status, at) for pk, status, at in _messages(ids)}
    fates: dict[str, list[int]] = defaultdict(list)
    for pk in ids:
        fates[_fate(pk, found.get(pk), late)].append(pk)
    for fate in (Fate.SENT, Fate.GONE):
        under_way().filter(message_id__in=fates[fate]).update(fate=fate, fate_at=now)
    died = _did_not_arrive(Q(message_id__in=fates[Fate.DIED]), now, fate=Fate.DIED, fate_at=now)
    slow = Q(message_id__in=fates[LATE], delayed_at__isnull=True)
    return died + _did_not_arrive(slow, now, delayed_at=now)


def _messages(ids: Sequence[int]) -> QuerySet[Message, tuple[int, str, datetime]]:
    return Message.objects.filter(pk__in=ids).values_list("pk", "status", "created_at")


def _fate(pk: int, message: tuple[str, datetime] | None, late: datetime) -> str:
    if message is None:
        return Fate.DIED if pk == NO_MESSAGE else Fate.GONE
    status, accepted_at = message
    if status == MessageStatus.SENT:
        return Fate.SENT
    if status in DEAD:
        return Fate.DIED
    return LATE if accepted_at <= late else Fate.NONE


@transaction.atomic
def _did_not_arrive(which: Q, now: datetime, **change: Any) -> int:
    """Escalations are held first, as everywhere; what another process has seen to meanwhile is left alone."""
    escalations = under_way().filter(which).values_list("escalation_id", flat=True)
    wanted = sorted(set(escalations))
    if not wanted:
        return 0
    held: dict[int, Escalation] = {}
    for start in range(0, len(wanted), CHUNK):
        rows = Escalation.objects.select_for_update(of=("self",)).select_related("episode").order_by("pk")
        held |= {row.pk: row for row in rows.filter(pk__in=wanted[start : start + CHUNK])}
    notes = [note for note in under_way().filter(which).order_by("pk") if note.escalation_id in held]
    # Where others were told already because it was slow, its death changes nothing for them.
    acting = [note for note in notes if note.delayed_at is None]
    for start in range(0, len(notes), CHUNK):
        Notification.objects.filter(pk__in=[note.pk for note in notes[start : start + CHUNK]]).update(**change)
    _act([(held[note.escalation_id], note) for note in acting], now)
    return len(notes)


def _act(failed: Sequence[tuple[Escalation, Notification]], now: datetime) -> None:
    arriving = _arriving([row.pk for row, _ in failed])
    elsewhere: dict[int, tuple[Escalation, Notification]] = {}
    for row, note in failed:
        if not _matters(row, note, now):
            continue
        if row.next_at is not None:
            _hurry(row, note, now, alone=(row.pk, row.cycle, note.step) not in arriving)
        elif (row.pk, row.cycle, note.step) not in arriving:
            elsewhere.setdefault(row.pk, (row, note))
    if elsewhere:
        _tell_others(list(elsewhere.values()), now)


def _matters(row: Escalation, note: Notification, now: datetime) -> bool:
    over = row.ended_at is not None or row.episode.state not in OPEN_STATES
    return not over and note.kind in PAGES and note.cycle == row.cycle and not telling.is_acknowledged(row.episode, now)


def _arriving(rows: Sequence[int]) -> set[tuple[int, int, int]]:
    """(escalation, cycle, step) of which somebody has been reached, or will be in time as far as is known."""
    found: set[tuple[int, int, int]] = set()
    for start in range(0, len(rows), CHUNK):
        notes = Notification.objects.filter(escalation__in=rows[start : start + CHUNK], kind__in=PAGES)
        found |= set(notes.filter(good()).values_list("escalation_id", "cycle", "step"))
    return found


def good() -> Q:
    """Notifications that arrived, or are on their way in good time."""
    queued = Q(outcome=NotificationOutcome.QUEUED)
    return queued & (Q(fate__in=(Fate.SENT, Fate.GONE)) | Q(fate=Fate.NONE, delayed_at__isnull=True))


def _hurry(row: Escalation, note: Notification, now: datetime, *, alone: bool) -> None:
    """The next step now: once in a cycle, and again only where nobody else of the step was reached."""
    passed = row.step > note.step + 1
    if passed or row.next_at is None or row.next_at <= now or (row.hurried == row.cycle and not alone):
        return
    row.next_at, row.hurried = now, row.cycle
    row.save(update_fields=["next_at", "hurried"])
    note_event(row.episode, "page_failed", now, target=note.target, notification=note.pk, then="next_step")
    log.warning("alerts.page_failed", episode_id=row.episode_id, target=note.target, then="next_step")


def _tell_others(failed: Sequence[tuple[Escalation, Notification]], now: datetime) -> None:
    """Another target of the routing for each; many of one policy and way together."""
    directory = Directory(now)
    _, routing = in_force()
    tried = _tried([row for row, _ in failed])
    groups: dict[tuple[str, str, Way], list[Escalation]] = defaultdict(list)
    for row, note in failed:
        name, way = _another(row, directory, tried[row.pk], routing)
        if way is None:
            note_event(row.episode, "page_failed", now, target=note.target, notification=note.pk, then="nobody_left")
            log.error("alerts.nobody_left", episode_id=row.episode_id, target=note.target)
        else:
            note_event(row.episode, "page_failed", now, target=note.target, notification=note.pk, then=name)
            groups[f"{row.routing_id}:{row.route}", name, way].append(row)
    notes: list[Notification] = []
    for (_, name, way), rows in groups.items():
        for part in [rows] if len(rows) > TOGETHER else [[row] for row in rows]:
            notes += telling.told(part, telling.INSTEAD, name, way, now, telling.Reasons(part))
    Notification.objects.bulk_create(notes, batch_size=500)


def _tried(rows: Sequence[Escalation]) -> dict[int, set[tuple[str, str, str]]]:
    """(target, service, recipient) that were told in the cycle each row is in."""
    found: dict[int, set[tuple[str, str, str]]] = {row.pk: set() for row in rows}
    for start in range(0, len(rows), CHUNK):
        ids = [row.pk for row in rows[start : start + CHUNK]]
        notes = Notification.objects.filter(escalation__in=ids, cycle=F("escalation__cycle"), kind__in=PAGES)
        for pk, target, service, recipient in notes.values_list("escalation", "target", "service", "recipient"):
            found[pk].add((target, service, recipient))
    return found


def _another(
    row: Escalation, directory: Directory, tried: set[tuple[str, str, str]], routing: Routing
) -> tuple[str, Way | None]:
    """A target that was not told in this cycle: of a service not tried first, of the escalation's own policy first."""
    names, services = {name for name, _, _ in tried}, {service for _, service, _ in tried}
    ways = {(service, recipient) for _, service, recipient in tried}
    found: list[tuple[bool, str, Way]] = []
    for targets, owners in _choices(row, routing):
        for name in targets:
            way = directory.way(name, targets, owners, row.episode)
            if name not in names and not way.problem and (way.service, way.recipient) not in ways:
                found.append((way.service in services, name, way))
    found.sort(key=lambda each: each[0])
    return (found[0][1], found[0][2]) if found else ("", None)


def _choices(row: Escalation, routing: Routing) -> Iterator[tuple[dict[str, Target], dict[str, str]]]:
    """In the order of steps and routes: a database need not keep that of the targets."""
    _, own, owners = thawed(row.policy)
    yield {name: own[name] for name in _in_order([row.policy["route"]], own)}, owners
    document = routing.model_dump()["routes"]
    yield (
        {name: routing.targets[name] for name in _in_order([document[-1], *document], routing.targets)},
        routing.owners,
    )


def _in_order(routes: Sequence[Mapping[str, Any]], known: Iterable[str]) -> list[str]:
    named = [name for route in routes for step in route["steps"] for name in step["notify"]]
    return list(dict.fromkeys([*named, *sorted(known)]))


# --- for pages ----------------------------------------------------------------------------------
def nobody_reached(now: datetime) -> QuerySet[Escalation]:
    """Firing alerts that people should know of and nobody does: no page of the cycle arrived or is on its way."""
    pages = Notification.objects.filter(escalation=OuterRef("pk"), cycle=OuterRef("cycle"), kind__in=PAGES)
    skipped = Q(outcome=NotificationOutcome.SKIPPED)
    awake = Q(episode__acknowledged_at__isnull=True) | Q(episode__acknowledged_until__lte=now)
    running = Escalation.objects.filter(awake, ended_at__isnull=True, episode__state__in=OPEN_STATES)
    unknown = running.filter(Exists(pages), ~Exists(pages.filter(good() | skipped)))
    return unknown.select_related("episode").order_by("-pk")

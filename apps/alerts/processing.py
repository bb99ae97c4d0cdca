"""From stored deliveries to the alert log and its episodes.

One source is worked on by one process at a time (its row is locked) and in the order its posts were stored, so
nothing overtakes and two workers cannot deadlock. A delivery is one transaction: killed anywhere, it is done again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F, Max
from django.db.models.functions import Now

from apps.alerts import watching
from apps.alerts.applying import apply, opened, resolve
from apps.alerts.episodes import Decision, Seen, Verdict, decide, resolves_at
from apps.alerts.models import AlertDelivery, AlertLog, AlertSource, DeliveryState, Episode, Quarantined
from apps.alerts.parsing import Observation, Parsed, Unreadable, parse, unpacked
from apps.alerts.reconciling import AGENT
from apps.alerts.severity import severity_of
from apps.alerts.signals import episodes_changed
from apps.services.models import Service

log = structlog.get_logger(__name__)

MAX_TRIES: Final = 5
CHUNK: Final = 500
PER_RUN: Final = 200
OVERTAKERS: Final = 20


def process_all() -> int:
    """Work through what is stored, every source in turn. Returns how many deliveries were done."""
    waiting = AlertDelivery.objects.filter(state=DeliveryState.STORED).values_list("source_id", flat=True)
    return sum(process_source(name) for name in sorted(set(waiting[:PER_RUN])))


def process_source(name: str) -> int:
    done = 0
    while done < PER_RUN and _process_next(name):
        done += 1
    return done


def _process_next(name: str) -> bool:
    """The oldest stored delivery of a source. False when there is none, or another process is at it."""
    delivery_id = None
    try:
        with transaction.atomic():
            source = _locked(name)
            delivery = _oldest(name) if source else None
            if source is None or delivery is None:
                return False
            delivery_id = delivery.pk
            changed = process(source, delivery)
            transaction.on_commit(lambda: episodes_changed.send(sender=Episode, episode_ids=changed))
    except Exception as error:  # whatever one body causes, those behind it are read
        if delivery_id is None:
            raise
        log.exception("alerts.processing_failed", delivery_id=delivery_id)
        _tried(delivery_id)
        # A database in trouble is given until the next sweep, not five tries in a moment.
        return not isinstance(error, OperationalError)
    return True


def _locked(name: str) -> AlertSource | None:
    skip = connection.features.has_select_for_update_skip_locked
    return AlertSource.objects.select_for_update(skip_locked=skip).filter(pk=name).first()


def _oldest(name: str) -> AlertDelivery | None:
    return AlertDelivery.objects.filter(source=name, state=DeliveryState.STORED).order_by("pk").first()


def _tried(delivery_id: int) -> None:
    """A body that breaks us every time must not stand in the way of those behind it for ever."""
    with transaction.atomic():
        AlertDelivery.objects.filter(pk=delivery_id).update(tries=F("tries") + 1)
        AlertDelivery.objects.filter(pk=delivery_id, tries__gte=MAX_TRIES).update(
            state=DeliveryState.QUARANTINED,
            problem=f"processing it failed {MAX_TRIES} times; the log says why",
            processed_at=Now(),
        )


def process(source: AlertSource, delivery: AlertDelivery) -> list[int]:
    """Take one delivery in, in the caller's transaction. Returns the ids of the episodes it changed."""
    try:
        said = parse(unpacked(bytes(delivery.body), _encoding(delivery), settings.ALERT_BODY_BYTES))
    except Unreadable as error:
        _end(delivery, DeliveryState.QUARANTINED, problem=str(error))
        return []
    _quarantine(delivery, said)
    overtaken = _overtaken(delivery)
    book = _Book(source, delivery, overtaken, _newest(source, said.observations), _services(said.observations))
    lines = [book.take(seen) for seen in said.observations]
    book.save()
    _write(lines)
    watching.heard(source, delivery, said, overtaken=overtaken)
    _end(delivery, DeliveryState.PROCESSED, said=said)
    return book.changed_ids()


def _overtaken(delivery: AlertDelivery) -> bool:
    """Was one that was stored after it read before it? Then its transaction was the slower one."""
    after = AlertDelivery.objects.filter(source=delivery.source_id, pk__gt=delivery.pk).order_by("pk")
    return DeliveryState.PROCESSED in set(after.values_list("state", flat=True)[:OVERTAKERS])


def _encoding(delivery: AlertDelivery) -> str:
    return delivery.headers.get("Content-Encoding", "")


def _quarantine(delivery: AlertDelivery, said: Parsed) -> None:
    Quarantined.objects.bulk_create(
        [Quarantined(delivery=delivery, position=bad.position, reason=bad.reason, raw=bad.raw) for bad in said.rejected]
    )


def _newest(source: AlertSource, seen: list[Observation]) -> dict[str, Episode]:
    """The newest episode of each alert; when one is open it is that one."""
    found: dict[str, Episode] = {}
    marks = sorted({one.fingerprint for one in seen})
    for start in range(0, len(marks), CHUNK):
        alerts = Episode.objects.filter(source=source, fingerprint__in=marks[start : start + CHUNK])
        ids = alerts.values("fingerprint").annotate(newest=Max("pk")).values_list("newest", flat=True)
        found |= {episode.fingerprint: episode for episode in Episode.objects.filter(pk__in=list(ids))}
    return found


def _services(seen: list[Observation]) -> set[str]:
    named = {one.labels.get("service", "") for one in seen} - {""}
    return set(Service.objects.filter(pk__in=list(named)[:CHUNK]).values_list("pk", flat=True)) if named else set()


@dataclass(slots=True)
class _Book:
    """The episodes one delivery touches, kept in memory until they are written together."""

    source: AlertSource
    delivery: AlertDelivery
    overtaken: bool
    newest: dict[str, Episode]
    services: set[str]
    created: list[Episode] = field(default_factory=list)
    changed: dict[int, Episode] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.delivery.received_at

    def take(self, seen: Observation) -> AlertLog:
        decision, episode = self._decided(seen)
        return AlertLog(
            delivery=self.delivery,
            position=seen.position,
            at=self.now,
            source=self.source.name,
            fingerprint=seen.fingerprint,
            status=seen.status,
            name=seen.name,
            severity=severity_of(seen.labels),
            starts_at=seen.starts_at,
            ends_at=seen.ends_at,
            verdict=decision.verdict,
            episode=episode,
            extra=seen.extra,
        )

    def _decided(self, seen: Observation) -> tuple[Decision, Episode | None]:
        if watching.is_watchdog(self.source, seen):
            return Decision(Verdict.HEARTBEAT), None
        current = self._known(seen.fingerprint)
        confirmed = not self.delivery.address and self.delivery.headers.get("User-Agent") == AGENT
        told = Seen(seen.status, seen.starts_at, seen.ends_at, self.now, self.overtaken, confirmed)
        decision = decide(current.as_current() if current else None, told)
        if decision.new_episode:
            return decision, self._open(seen, decision, current)
        if decision.state is not None and current is not None:
            apply(current, seen, decision, self.now)
            if current.pk is not None:
                self.changed[current.pk] = current
        return decision, current

    def _known(self, fingerprint: str) -> Episode | None:
        """The newest episode, ended first if it was due before this post came, whether or not a sweep saw to it."""
        current = self.newest.get(fingerprint)
        if current is None or current.pk is None:
            return current
        life = watching.life_of(self.source, self.now)
        due = resolves_at(current.as_current(), life)
        if due is not None and due <= self.now:
            resolve(current, life, due)
            self.changed[current.pk] = current
        return current

    def _open(self, seen: Observation, decision: Decision, previous: Episode | None) -> Episode:
        service = seen.labels.get("service", "")
        episode = opened(self.source, seen, decision, self.now, service if service in self.services else "")
        episode.previous = previous if previous is not None and previous.pk is not None else None
        self.newest[seen.fingerprint] = episode
        self.created.append(episode)
        return episode

    def save(self) -> None:
        # What ended before what follows it: one of them may be open.
        if self.changed:
            Episode.objects.bulk_update(list(self.changed.values()), CHANGING, batch_size=100)
        Episode.objects.bulk_create(self.created, batch_size=CHUNK)

    def changed_ids(self) -> list[int]:
        return [episode.pk for episode in self.created] + list(self.changed)


CHANGING: Final = (
    *("state", "labels", "annotations", "name", "severity", "generator_url", "starts_at", "ends_at"),
    *("last_fired_at", "last_resolved_at", "normal_since", "refired", "fired_again", "flapping"),
    *("inferred", "absent_since", "resolved_at", "proof"),
)


def _write(lines: Iterable[AlertLog]) -> None:
    AlertLog.objects.bulk_create(list(lines), batch_size=CHUNK)


ENDING: Final = (
    *("state", "problem", "processed_at"),
    *("receiver", "group_key", "external_url", "truncated", "alerts"),
)


def _end(delivery: AlertDelivery, state: str, *, problem: str = "", said: Parsed | None = None) -> None:
    delivery.state = state
    delivery.problem = problem
    delivery.processed_at = Now()
    if said is not None:
        delivery.receiver = said.receiver[:300]
        delivery.group_key = said.group_key
        delivery.external_url = said.external_url[:500]
        delivery.truncated = said.truncated
        delivery.alerts = len(said.observations) + len(said.rejected)
    delivery.save(update_fields=ENDING)

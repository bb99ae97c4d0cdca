"""How long breakers let nothing through but tests, from their history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from django.db.models import OuterRef, Q, Subquery

from apps.breakers.machine import Kind, State
from apps.breakers.models import BreakerEvent, SharedBreaker
from apps.postmortems.figures.messages import Result
from apps.postmortems.figures.scope import Rows, Scope

# The state a breaker is in from such an event on. Being tested (half-open) is part of being open.
AFTER: Final = {
    Kind.OPENED: State.OPEN,
    Kind.REOPENED: State.OPEN,
    Kind.FORCED_OPEN: State.FORCED_OPEN,
    Kind.CLOSED: State.CLOSED,
    Kind.RESET: State.CLOSED,
    Kind.FORCED_CLOSED: State.FORCED_CLOSED,
    Kind.METRICS_ONLY: State.METRICS_ONLY,
    Kind.OVERRIDE_ENDED: State.CLOSED,
}
SHUT: Final = frozenset({State.OPEN, State.FORCED_OPEN})


@dataclass(frozen=True, slots=True)
class Event:
    breaker: str
    at: int
    kind: str
    after_forced_open: bool = False

    @property
    def state(self) -> State:
        """A forced opening ends in a test, not in a closed breaker."""
        return State.OPEN if self.after_forced_open else AFTER[Kind(self.kind)]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A breaker was in ``state`` from ``begins`` to ``ends``, in ms since 1970."""

    breaker: str
    state: State
    begins: int
    ends: int

    @property
    def seconds(self) -> float:
        return (self.ends - self.begins) / 1000

    def as_dict(self) -> dict[str, str]:
        return {"from": _iso(self.begins), "to": _iso(self.ends), "state": self.state.value.lower()}


def stretches(events: Iterable[Event], *, start: int, end: int) -> list[Stretch]:
    """Pure: what ``events`` (of each breaker in order, the last one before ``start`` first) say of start to end."""
    found = []
    for name, own in groupby(sorted(events, key=lambda event: event.breaker), key=lambda event: event.breaker):
        known = list(own)
        if known[0].at > start:
            found.append(Stretch(name, _before(known[0]), start, min(known[0].at, end)))
        ends = [*[event.at for event in known[1:]], end]
        found += [
            Stretch(name, event.state, max(event.at, start), min(until, end))
            for event, until in zip(known, ends, strict=True)
        ]
    return [stretch for stretch in found if stretch.ends > stretch.begins]


def _before(first: Event) -> State:
    """Without an older event: what can only have re-opened, closed or ended was open."""
    return State.OPEN if first.kind in (Kind.REOPENED, Kind.CLOSED) else State.CLOSED


def stretches_of(scope: Scope, start: datetime, end: datetime) -> list[Stretch]:
    begins, ends = _ms(start), _ms(end)
    return stretches(_events(scope, begins, ends), start=begins, end=ends)


def _events(scope: Scope, start: int, end: int) -> list[Event]:
    """Two queries: the last event of each breaker before the span, and those in it."""
    known = BreakerEvent.objects.filter(kind__in=AFTER)
    earlier = known.filter(breaker=OuterRef("pk"), at__lt=start).order_by("-id").values("pk")[:1]
    breakers = SharedBreaker.objects.filter(scope.of_services("name")).annotate(earlier=Subquery(earlier))
    found = {pk: (name, before) for pk, name, before in breakers.values_list("pk", "name", "earlier")}
    before = [pk for _name, pk in found.values() if pk]
    inside = Q(breaker__in=found, at__gte=start, at__lt=end)
    rows = known.filter(inside | Q(pk__in=before)).order_by("breaker_id", "at", "id")
    return [
        Event(found[row.breaker_id][0], row.at, row.kind, _ended_forced_open(row.kind, row.detail))
        for row in rows.only("breaker_id", "at", "kind", "detail")
    ]


def _ended_forced_open(kind: str, detail: dict[str, object]) -> bool:
    return kind == Kind.OVERRIDE_ENDED and detail.get("override") in (1, "FORCED_OPEN")


def open_time(scope: Scope) -> Result:
    seconds: dict[str, float] = {}
    for stretch in stretches_of(scope, scope.start, scope.end):
        if stretch.state in SHUT:
            seconds[stretch.breaker] = seconds.get(stretch.breaker, 0) + stretch.seconds
    parts = tuple((name, round(each, 3)) for name, each in sorted(seconds.items()))
    return Result(round(sum(each for _name, each in parts), 3), parts)


def history_rows(scope: Scope) -> Rows:
    return Rows("service-history", scope.services) if len(scope.services) == 1 else Rows("services")


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat()

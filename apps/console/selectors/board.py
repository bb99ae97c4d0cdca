"""Services at a glance: state, figures, backlog and the last hour of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _

from apps.breakers.models import BreakerEvent
from apps.breakers.selectors import BreakerSnapshot
from apps.console import marks
from apps.console.marks import Mark
from apps.console.selectors.bands import Change, tones
from apps.console.shell import Portal
from apps.core import charts, human
from apps.core.clock import now
from apps.outbox.figures import MinutePoint, figures_of_both
from apps.outbox.models import DeliveryLane
from apps.outbox.selectors import Backlog, ServiceFigures
from apps.services.models import Service

HISTORY_MINUTES: Final = 60
BAND_WIDTH: Final = 360
WORST_FIRST: Final = ("OPEN", "FORCED_OPEN", "HALF_OPEN", "FORCED_CLOSED", "METRICS_ONLY", "CLOSED")


@dataclass(frozen=True, slots=True)
class Tile:
    """A service and what can be said about it at a glance. ``tone`` colours its border when not good."""

    service: Service
    state: str
    mark: Mark
    snapshot: BreakerSnapshot | None
    figures: ServiceFigures
    history: ServiceFigures
    backlog: Backlog
    slowed_until: datetime | None
    slowed_by: str
    rates: list[float | None]
    spans: list[charts.Span]
    threshold: float
    label: str

    @property
    def tone(self) -> str:
        if self.service.paused_at is not None and self.mark.tone == "good":
            return "unknown"
        return self.mark.tone

    @property
    def attempts(self) -> int:
        """Completed attempts of the last five minutes."""
        return self.figures.sent + self.figures.failed

    @property
    def waiting(self) -> int:
        return self.backlog.waiting + self.backlog.sending

    @property
    def retry_at(self) -> datetime | None:
        """When it is tested next, to whole seconds so that two looks agree."""
        if self.snapshot is None or not self.snapshot.retry_in:
            return None
        return at_seconds(now() + timedelta(seconds=self.snapshot.retry_in))


def at_seconds(at: datetime) -> datetime:
    """Rounded to the nearest second."""
    return (at + timedelta(milliseconds=500)).replace(microsecond=0)


def tiles(portal: Portal, *, only: str = "") -> list[Tile]:
    """Every service (or the one that is named), what is not well first."""
    lately, hour = figures_of_both(short=5, long=HISTORY_MINUTES)
    lanes = _with_lanes(portal)
    history = changes_since(now() - timedelta(minutes=HISTORY_MINUTES))
    found = [
        _tile(portal, service, lately, hour, lanes[service.name], history.get(service.name, []))
        for service in portal.services
        if only in ("", service.name)
    ]
    return sorted(
        found, key=lambda tile: (WORST_FIRST.index(tile.state), tile.service.paused_at is None, tile.service.name)
    )


def _with_lanes(portal: Portal) -> dict[str, tuple[datetime | None, str]]:
    """Until when each service is slowed, and by what: read with the services, in one query."""
    lane = DeliveryLane.objects.filter(pk=OuterRef("pk"))
    rows = Service.objects.annotate(
        slowed_until=Subquery(lane.values("slowed_until")), slowed_by=Subquery(lane.values("slowed_by"))
    )
    found = list(rows)
    portal.services = [*found]
    return {row.name: (row.slowed_until, row.slowed_by or "") for row in found}


def changes_since(start: datetime) -> dict[str, list[Change]]:
    """The history of all breakers since ``start``, oldest first."""
    rows = (
        BreakerEvent.objects.filter(at__gte=int(start.timestamp() * 1000))
        .order_by("at", "id")
        .values_list("breaker__name", "at", "kind", "detail")
    )
    found: dict[str, list[Change]] = {}
    for name, at, kind, detail in rows[:2000]:
        found.setdefault(name, []).append(Change(datetime.fromtimestamp(at / 1000, UTC), kind, detail))
    return found


def _tile(
    portal: Portal,
    service: Service,
    lately: Mapping[str, ServiceFigures],
    hour: Mapping[str, ServiceFigures],
    lane: tuple[datetime | None, str],
    changes: list[Change],
) -> Tile:
    snapshot = portal.breakers.get(service.name)
    state = str(snapshot.state) if snapshot else "CLOSED"
    mark = marks.breaker_mark(state)
    moment = now()
    history = hour.get(service.name) or quiet_hour(moment)
    rates = rates_of(history)
    spans = charts.band(
        tones(changes, start=moment - timedelta(minutes=HISTORY_MINUTES), end=moment, current=mark.tone),
        start=moment - timedelta(minutes=HISTORY_MINUTES),
        end=moment,
        width=BAND_WIDTH,
    )
    slowed_until, slowed_by = lane
    slowed = slowed_until is not None and slowed_until > moment
    return Tile(
        service=service,
        state=state,
        mark=mark,
        snapshot=snapshot,
        figures=lately.get(service.name, ServiceFigures(5)),
        history=history,
        backlog=portal.backlog.get(service.name, Backlog()),
        slowed_until=slowed_until if slowed else None,
        slowed_by=slowed_by if slowed else "",
        rates=rates,
        spans=spans,
        threshold=1 - service.breaker_policy.error_threshold_percentage / 100,
        label=spark_label(service.name, rates, mark),
    )


def quiet_hour(moment: datetime) -> ServiceFigures:
    """The figures of a service that delivered nothing."""
    last = moment.replace(second=0, microsecond=0)
    minutes = [last - timedelta(minutes=back) for back in range(HISTORY_MINUTES - 1, -1, -1)]
    return ServiceFigures(HISTORY_MINUTES, series=[MinutePoint(minute) for minute in minutes])


def rates_of(figures: ServiceFigures) -> list[float | None]:
    """Share of attempts that were sent, minute by minute; None where there was none."""
    return [point.sent / (point.sent + point.failed) if point.sent + point.failed else None for point in figures.series]


def spark_label(name: str, rates: list[float | None], mark: Mark) -> str:
    """What the little chart shows, in words."""
    known = [rate for rate in rates if rate is not None]
    if not known:
        return _("{name}: no delivery in the last hour. Breaker {state}.").format(name=name, state=mark.label)
    text = _("Success rate of {name} in the last hour: lowest {lowest}, latest {latest}. Breaker {state}.")
    lowest, latest = human.percent(min(known)), human.percent(known[-1])
    return text.format(name=name, lowest=lowest, latest=latest, state=mark.label)

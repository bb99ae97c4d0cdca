"""What the charts of a post-mortem are drawn from: deliveries per minute, states of breakers, marks.

``{"from", "to", "step_s", "times": [...], "services": {name: {"sent": [...], "failed": [...], "died": [...]}},
"breakers": {name: [{"from", "to", "state"}]}, "marks": [{"at", "kind", "title", "url"}]}``
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from django.db.models import F

from apps.outbox.models import DeliveryMinute
from apps.postmortems.figures.breakers import stretches_of
from apps.postmortems.figures.scope import Scope

# Before and after the incident, so that what is usual can be seen beside it.
AROUND: Final = timedelta(minutes=10)
MOST_POINTS: Final = 240
MOST_SERVICES: Final = 8
MINUTE: Final = 60
COUNTERS: Final = ("sent", "failed", "died")
# Lines of the timeline that are marks on a chart: source and what (every what of it without one) -> kind of mark.
MARKED: Final = {("alerts", "fired"): "alert", ("deployments", ""): "deployment"}


def series_of(scope: Scope, lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    start = (scope.start - AROUND).replace(second=0, microsecond=0)
    end = scope.end + AROUND
    minutes = max(1, ceil((end - start).total_seconds() / MINUTE))
    step = timedelta(minutes=ceil(minutes / MOST_POINTS))
    times = [start + step * position for position in range(ceil(timedelta(minutes=minutes) / step))]
    services = _services(_rows(scope, start, end), start, step, len(times))
    bands: dict[str, list[dict[str, str]]] = defaultdict(list)
    for stretch in stretches_of(scope, start, end):
        bands[stretch.breaker].append(stretch.as_dict())
    return {
        "from": start.isoformat(),
        "to": end.isoformat(),
        "step_s": int(step.total_seconds()),
        "times": [at.isoformat() for at in times],
        "services": services,
        "breakers": {name: bands[name] for name in sorted(bands) if name in services or name in scope.services},
        "marks": _marks(lines),
    }


def _rows(scope: Scope, start: datetime, end: datetime) -> list[tuple[str, datetime, int, int, int]]:
    rows = DeliveryMinute.objects.filter(scope.of_services(), minute__gte=start, minute__lt=end)
    bad = F("failed") + F("timed_out")
    return list(rows.order_by("minute").values_list("service", "minute", "sent", bad, "died"))


def _services(
    rows: Iterable[tuple[str, datetime, int, int, int]], start: datetime, step: timedelta, points: int
) -> dict[str, dict[str, list[int]]]:
    """The ones that failed most, when there are more than anybody would look at."""
    found: dict[str, dict[str, list[int]]] = {}
    for service, minute, *counts in rows:
        own = found.setdefault(service, {name: [0] * points for name in COUNTERS})
        for name, count in zip(COUNTERS, counts, strict=True):
            own[name][(minute - start) // step] += count
    worst = sorted(found, key=lambda name: (-sum(found[name]["failed"]), name))[:MOST_SERVICES]
    return {name: found[name] for name in sorted(worst)}


def _marks(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    found = []
    for line in lines:
        kind = MARKED.get((line["source"], line["what"])) or MARKED.get((line["source"], ""))
        if kind:
            found.append({"at": line["at"], "kind": kind, "title": line["title"], "url": line["url"]})
    return found

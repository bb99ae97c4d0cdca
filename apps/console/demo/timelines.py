"""What the timelines of the made-up incidents were filled with, and what people wrote and pinned."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from apps.incidents.models import OPEN_STATES, Incident, State, TimelineEntry
from apps.incidents.timeline import collect
from apps.incidents.timeline.of_incident import HAND

# Minutes after the start, who, what, link.
WRITTEN: Final = (
    (9.0, "ana@example.com", "Called the bank's hotline: they see it too, no time of repair yet.", ""),
    (16.5, "budi@example.com", "Orders are kept and answered with “queued”, so nobody has to pay twice.", "/outbox"),
)


def make(moment: datetime) -> None:
    """Made up as of ``moment``; the same moment gives the same data."""
    for incident in Incident.objects.exclude(state=State.MERGED).order_by("pk"):
        collect(incident, moment)
    running = Incident.objects.filter(state__in=OPEN_STATES).order_by("-started_at").first()
    if running is not None:
        _write(running, moment)
        first = running.timeline.filter(what="breaker_opened").order_by("at").first()
        if first is not None:
            TimelineEntry.objects.filter(pk=first.pk).update(pinned=True)


def _write(incident: Incident, moment: datetime) -> None:
    for number, (minutes, who, text, url) in enumerate(WRITTEN):
        at = min(incident.started_at + timedelta(minutes=minutes), moment)
        said = {"at": at, "actor": who, "text": text, "url": url, "what": "line"}
        TimelineEntry.objects.get_or_create(incident=incident, source=HAND, ref=f"made-up-{number}", defaults=said)

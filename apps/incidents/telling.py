"""Telling people of an incident: in the Slack channels where an alert of that severity would be told of first.

Nobody is paged for an incident: its alerts have paged already. The messages go through the outbox, in the caller's
transaction, in the order of their key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import structlog

from apps.alerts.models import Episode
from apps.alerts.notices import Notice, composed
from apps.alerts.policies import in_force
from apps.alerts.reaching import Directory, Way
from apps.core.errors import PortalError
from apps.incidents.models import Incident, Severity
from apps.outbox.services import enqueue

log = structlog.get_logger(__name__)

PRIORITY: Final = 7
AS_ALERT: Final[Mapping[str, str]] = {
    Severity.SEV1: "critical",
    Severity.SEV2: "critical",
    Severity.SEV3: "warning",
    Severity.SEV4: "notice",
}
RESOLVED: Final = "resolved"


def tell(incident: Incident, *, headline: str, text: str, now: datetime, over: bool = False) -> list[dict[str, Any]]:
    """Put a message for each channel into the outbox; who is told, for the update that says so."""
    told: list[dict[str, Any]] = []
    for way in _ways(incident, now):
        try:
            accepted = enqueue(
                service=way.service,
                recipient=way.recipient,
                priority=PRIORITY,
                ordering_key=key_of(incident),
                source="incidents",
                **composed(way.channel, _notice(incident, headline, text, over=over)),
            )
        except PortalError as error:
            # The incident is opened or closed all the same; what was not said is seen beside the update.
            log.warning("incidents.not_told", incident_id=incident.pk, service=way.service, error=error.message)
            told.append({"service": way.service, "recipient": way.recipient, "problem": error.message})
        else:
            told.append({"service": way.service, "recipient": way.recipient, "message_id": accepted.message_id})
    return told


def key_of(incident: Incident) -> str:
    return f"opsportal-incident-{incident.pk}"


def _notice(incident: Incident, headline: str, text: str, *, over: bool) -> Notice:
    return Notice(
        kind=RESOLVED if over else "incident",
        key=key_of(incident),
        title=headline,
        severity=incident.severity,
        source="opsportal",
        text=text,
        began=incident.started_at,
    )


def _ways(incident: Incident, now: datetime) -> Iterator[Way]:
    _, routing = in_force()
    route = routing.route_of({"severity": AS_ALERT[incident.severity], "source": "incident"})
    directory = Directory(now)
    nobodys = Episode(service="")
    seen: set[tuple[str, str]] = set()
    for name in route.steps[0].notify:
        way = directory.way(name, routing.targets, routing.owners, nobodys)
        if not way.problem and way.channel == "slack" and (way.service, way.recipient) not in seen:
            seen.add((way.service, way.recipient))
            yield way

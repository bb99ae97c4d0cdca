"""Every incident that is over has a post-mortem: at once by a signal, and by a sweep should that be lost."""

from __future__ import annotations

from typing import Final

import structlog

from apps.core.actor import SYSTEM
from apps.incidents.models import Incident
from apps.incidents.models import State as IncidentState
from apps.outbox.nudge import Nudger
from apps.postmortems.models import PostMortem
from apps.postmortems.services import draft

log = structlog.get_logger(__name__)

AT_ONCE: Final = 50
nudge_now: Final = Nudger("postmortems.sweep", "control")


def draft_missing() -> int:
    """Draft what is missing; returns how many there are now that were not. One that fails stops no other."""
    missing = Incident.objects.filter(state=IncidentState.RESOLVED, postmortem=None).order_by("pk")
    return sum(draft_of(pk) for pk in missing.values_list("pk", flat=True)[:AT_ONCE])


def draft_of(incident_id: int) -> bool:
    """Draft one; False when that failed, which is in the log and is tried again by the next sweep."""
    try:
        draft(incident_id=incident_id, actor=SYSTEM)
    except Exception:
        log.exception("postmortem.drafting_failed", incident_id=incident_id)
        return False
    return True


def heard(incident_id: int, what: str) -> None:
    """An incident has changed: have the sweep draft it or look at its facts now. Whoever changed it does not wait."""
    PostMortem.objects.filter(incident=incident_id).exclude(checked_at=None).update(checked_at=None)
    nudge_now()

"""News for the apps above. A sweep stands behind each, so a lost signal costs seconds."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.dispatch import Signal

# Sent after the commit with incident_id and what: opened, changed (title, severity, start), linked, roles, said, state,
# resolved, reopened or merged.
incident_changed = Signal()


def announce(incident_id: int, what: str) -> None:
    """Send :data:`incident_changed` when the transaction commits; a failing receiver stops nobody."""
    transaction.on_commit(partial(incident_changed.send_robust, sender=None, incident_id=incident_id, what=what))

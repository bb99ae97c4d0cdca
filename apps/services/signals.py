"""News of this app for the apps above it. Sent after the change is committed."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.dispatch import Signal

# Sent with ``service``: the name of a service that was made, changed, paused or resumed.
service_changed = Signal()


def announce(name: str) -> None:
    """Send :data:`service_changed` when the transaction commits; a failing receiver stops nobody."""
    transaction.on_commit(partial(service_changed.send_robust, sender=None, service=name))

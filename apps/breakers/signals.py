"""News for the apps above."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit with service (name), kind (see machine.Kind), epoch and event_id (BreakerEvent).
# A transition found by an agent is announced from a thread of its own. A lost signal costs nothing for
# good: breaker_event is the record, and a sweep over its ids finds what was missed.
breaker_changed = Signal()

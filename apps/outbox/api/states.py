"""The state of a service's breaker for answers: at most a second old, so accepting costs no query for it."""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog
from django.db import DatabaseError

from apps.breakers.selectors import snapshot_all
from apps.core.errors import PortalError

log = structlog.get_logger(__name__)

FRESH_S: Final = 1.0
_lock = threading.Lock()
_seen: tuple[float, dict[str, str]] = (float("-inf"), {})


def breaker_state(service: str) -> str:
    """CLOSED for a service whose breaker has nothing to tell yet.

    Asked when the message is stored already, so a problem here must not turn the answer into an error.
    """
    global _seen
    at, states = _seen
    if time.monotonic() - at > FRESH_S and _lock.acquire(blocking=False):
        try:
            states = {snapshot.service: str(snapshot.state) for snapshot in snapshot_all()}
        except (PortalError, DatabaseError) as error:
            log.warning("api.breaker_states_unknown", error=str(error))
        finally:
            _seen = (time.monotonic(), states)
            _lock.release()
    return states.get(service, "CLOSED")


def forget() -> None:
    """Ask anew next time (tests)."""
    global _seen
    _seen = (float("-inf"), {})

"""The state of a service's breaker for answers: at most a second old, so accepting costs no query for it."""

from __future__ import annotations

import threading
import time
from typing import Final

from apps.breakers.selectors import snapshot_all

FRESH_S: Final = 1.0
_lock = threading.Lock()
_seen: tuple[float, dict[str, str]] = (float("-inf"), {})


def breaker_state(service: str) -> str:
    """CLOSED for a service whose breaker has nothing to tell yet."""
    global _seen
    at, states = _seen
    if time.monotonic() - at > FRESH_S and _lock.acquire(blocking=False):
        try:
            states = {snapshot.service: str(snapshot.state) for snapshot in snapshot_all()}
            _seen = (time.monotonic(), states)
        finally:
            _lock.release()
    return states.get(service, "CLOSED")

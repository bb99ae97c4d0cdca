"""The portal's own alerts: the same log, the same routes, by the same door. New kinds join through :func:`tell`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from apps.alerts.episodes import State
from apps.alerts.fingerprint import fingerprint_of
from apps.alerts.models import AlertDelivery, AlertSource, Episode, SourceKind
from apps.alerts.nudge import nudge
from apps.alerts.parsing import FIRING, RESOLVED

SOURCE: Final = "portal"
AGENT: Final = "opsportal"


def tell(
    name: str,
    *,
    firing: bool,
    now: datetime,
    labels: Mapping[str, str],
    text: str,
    annotations: Mapping[str, str] | None = None,
) -> bool:
    """Say that one of our own alerts fires, or no longer does. False when that is known already.
    ``annotations`` may add a runbook_url, a url, a description.

    In the caller's transaction: the alert is kept exactly if what caused it is.
    """
    marked = {"alertname": name, **labels}
    known = (
        Episode.objects.filter(source=SOURCE, fingerprint=fingerprint_of(marked)).exclude(state=State.RESOLVED).first()
    )
    if firing == (known is not None and known.state == State.FIRING) or (known is None and not firing):
        return False
    if not firing and known is not None and known.state == State.RECOVERING:
        return False
    _store(_body(marked, {**(annotations or {}), "summary": text}, firing, known, now), now)
    return True


def _body(
    labels: Mapping[str, str], annotations: Mapping[str, str], firing: bool, known: Episode | None, now: datetime
) -> bytes:
    began = known.starts_at if known is not None and known.starts_at else now
    alert: dict[str, Any] = {
        "status": FIRING if firing else RESOLVED,
        "labels": dict(labels),
        "annotations": dict(annotations),
        "startsAt": (now if firing else began).isoformat(),
    }
    if not firing:
        alert["endsAt"] = now.isoformat()
    return json.dumps({"version": "4", "receiver": SOURCE, "alerts": [alert]}).encode()


def _store(body: bytes, now: datetime) -> None:
    source, _ = AlertSource.objects.get_or_create(pk=SOURCE, defaults={"kind": SourceKind.PORTAL, "watchdog": ""})
    AlertDelivery.objects.create(
        source=source,
        received_at=now,
        body=body,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        headers={"User-Agent": AGENT},
    )
    nudge()

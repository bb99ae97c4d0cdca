"""A source of alerts, and bodies as they are posted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.alerts.models import AlertDelivery, AlertSource
from apps.alerts.processing import process_all
from apps.alerts.services import create_source
from apps.core.actor import SYSTEM

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PAYLOADS = Path(__file__).parent / "payloads"


def payload_files() -> list[Path]:
    """Ours, and those of the folder ALERT_PAYLOADS names."""
    more = os.environ.get("ALERT_PAYLOADS", "")
    folders = [PAYLOADS, *([Path(more)] if more else [])]
    return [path for folder in folders for path in sorted(folder.glob("*.json"))]


def alert(name: str = "DiskFull", *, status: str = "firing", **fields: Any) -> dict[str, Any]:
    labels = {"alertname": name, "severity": "critical", **fields.pop("labels", {})}
    starts = fields.pop("starts", NOON)
    ends = fields.pop("ends", None)
    return {
        "status": status,
        "labels": labels,
        "annotations": {"summary": f"{name} is bad"},
        "startsAt": starts.isoformat() if isinstance(starts, datetime) else starts,
        "endsAt": ends.isoformat() if ends else "0001-01-01T00:00:00Z",
        **fields,
    }


def body(*alerts: Any, **fields: Any) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "alerts": list(alerts), **fields}).encode()


class Sender:
    """A source that posts, and a clock for when its posts were stored."""

    def __init__(self, source: AlertSource, token: str) -> None:
        self.source, self.token = source, token
        self.http = Client(raise_request_exception=False)

    def post(self, content: bytes, **headers: str) -> Any:
        given = {"Authorization": f"Bearer {self.token}", "User-Agent": "Alertmanager/0.25.0", **headers}
        return self.http.post("/webhooks/alertmanager", data=content, content_type="application/json", headers=given)

    def tell(self, content: bytes, at: datetime) -> AlertDelivery:
        """Post, as if it had been stored at ``at``, and take it in."""
        assert self.post(content).status_code == 200
        stored = AlertDelivery.objects.order_by("-pk")[0]
        AlertDelivery.objects.filter(pk=stored.pk).update(received_at=at)
        process_all()
        stored.refresh_from_db()
        return stored


@pytest.fixture
def sender(db: None) -> Sender:
    made = create_source(name="eu1", actor=SYSTEM)
    return Sender(made.source, made.token)


def after(**span: float) -> datetime:
    return NOON + timedelta(**span)


Tell = Callable[..., AlertDelivery]

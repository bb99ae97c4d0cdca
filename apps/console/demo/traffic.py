"""Figures of the last hour, minute by minute."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Final

from apps.outbox.models import DeliveryMinute
from apps.outbox.stats import LATENCY_BOUNDS_MS, bucket_of

TRAFFIC: Final = {
    "midtrans": (240, 310),
    "whatsapp": (90, 900),
    "smtp": (60, 260),
    "billing-webhook": (620, 60),
    "database": (900, 3),
    "slack": (8, 190),
}


def make_minutes(moment: datetime, random: Random) -> None:
    """The last hour, minute by minute. midtrans falls six minutes ago; whatsapp was down for a while."""
    start = moment.replace(second=0, microsecond=0)
    rows = []
    for back in range(65):
        for service, (rate, typical) in TRAFFIC.items():
            share = _success(service, back, random)
            if share is None:
                continue
            total = max(1, int(rate * random.uniform(0.85, 1.1) * (0.15 if share < 0.7 else 1)))
            sent = round(total * share)
            rows.append(_minute(service, start - timedelta(minutes=back), sent, total - sent, typical, random))
    DeliveryMinute.objects.bulk_create(rows, ignore_conflicts=True)


def go_on(moment: datetime, random: Random) -> None:
    """Traffic of the last three minutes, where there is none yet: the made-up night goes on."""
    start = moment.replace(second=0, microsecond=0)
    rows = [
        _minute(service, start - timedelta(minutes=back), round(rate * 0.99), round(rate * 0.01), typical, random)
        for back in range(3)
        for service, (rate, typical) in TRAFFIC.items()
        if service != "midtrans"
    ]
    rows.append(_minute("midtrans", start - timedelta(minutes=2), 1, 7, 9000, random))
    DeliveryMinute.objects.bulk_create(rows, ignore_conflicts=True)


def _success(service: str, back: int, random: Random) -> float | None:
    if service == "midtrans":
        if back < 4:
            return None
        return (
            (0.62, 0.31, 0.12)[6 - back] if 4 <= back <= 6 else 0.55 if 47 <= back <= 48 else random.uniform(0.975, 1)
        )
    if service == "whatsapp":
        return (
            None
            if 3 <= back <= 16
            else 0.35 + 0.1 * random.random()
            if 17 <= back <= 22
            else random.uniform(0.9, 0.99)
            if back > 2
            else 0.8
        )
    if service == "smtp":
        return random.uniform(0.96, 1)
    return 1.0 if service == "database" else random.uniform(0.985, 1)


def _minute(service: str, minute: datetime, sent: int, failed: int, typical: int, random: Random) -> DeliveryMinute:
    latency = [0] * len(LATENCY_BOUNDS_MS)
    for _ in range(min(sent, 60)):
        latency[bucket_of(random.lognormvariate(0, 0.5) * typical)] += max(1, sent // 60)
    return DeliveryMinute(
        service=service, minute=minute, sent=sent, failed=failed, duration_ms=sent * typical, latency=latency
    )

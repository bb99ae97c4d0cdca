"""Seven services and the state of their breakers: midtrans is down, whatsapp is being tested."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from apps.breakers.models import BreakerEvent, BreakerWorker, SharedBreaker, StoredState, WindowBucket
from apps.breakers.records import bucket_ms, rule_of
from apps.services.models import Service

WORKERS: Final = (
    ("delivery@a-1", "delivery"),
    ("delivery@a-2", "delivery"),
    ("delivery@b-1", "delivery"),
    ("control@a-1", "control"),
)
DEFINITIONS: Final[dict[str, dict[str, Any]]] = {
    "midtrans": {
        "owner": "payments",
        "criticality": "critical",
        "channel": "http",
        "settings": {
            "url": "https://api.midtrans.example/v2/charge",
            "method": "POST",
            "headers": {"X-Team": "payments"},
        },
        "breaker": {
            "timeout": 10,
            "error_threshold_percentage": 50,
            "volume_threshold": 5,
            "reset_timeout": 60,
            "rolling_count_timeout": 10,
            "rolling_count_buckets": 10,
            "slow_call_duration": 5,
        },
        "runbook_url": "https://runbooks.example/midtrans",
    },
    "whatsapp": {
        "owner": "messaging",
        "channel": "whatsapp",
        "settings": {"phone_number_id": "106540352242922"},
        "breaker": {
            "timeout": 8,
            "error_threshold_percentage": 70,
            "reset_timeout": 300,
            "rolling_count_timeout": 60,
            "rolling_count_buckets": 60,
        },
    },
    "smtp": {
        "owner": "mail",
        "channel": "email",
        "settings": {"host": "mail.example", "port": 587, "from_address": "shop@example.com"},
        "breaker": {
            "timeout": 5,
            "error_threshold_percentage": 60,
            "reset_timeout": 120,
            "rolling_count_timeout": 30,
            "rolling_count_buckets": 30,
        },
    },
    "billing-webhook": {
        "owner": "partners",
        "channel": "http",
        "settings": {"url": "https://partner.example/hooks/billing"},
        "limits": {"max_in_flight": 64, "max_per_second": 200},
    },
    "database": {
        "owner": "platform",
        "criticality": "critical",
        "channel": "http",
        "settings": {"url": "https://db-proxy.example/health"},
        "breaker": {
            "timeout": 3,
            "error_threshold_percentage": 50,
            "reset_timeout": 10,
            "rolling_count_timeout": 5,
            "rolling_count_buckets": 5,
            "scope": "local",
        },
    },
    "slack": {"owner": "alerts", "channel": "slack", "settings": {"url": "https://hooks.slack.example/T000"}},
    "pagerduty": {"owner": "alerts", "channel": "pagerduty", "settings": {}},
}


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def make_services() -> None:
    """The services, where they are not configured already."""
    for name, fields in DEFINITIONS.items():
        Service.objects.get_or_create(name=name, defaults=fields)


def make_breakers(moment: datetime) -> None:
    """Breakers with their history; each opening carries its evidence."""
    for name in DEFINITIONS:
        SharedBreaker.objects.get_or_create(name=name, defaults={"epoch": 41})
    opened = moment - timedelta(minutes=6, seconds=12)
    _events(
        "midtrans",
        [
            (moment - timedelta(minutes=48), "opened", evidence(7, 3, 2, "http_503"), 37),
            (moment - timedelta(minutes=46), "closed", probe("", 0.4), 38),
            (opened, "opened", evidence(3, 4, 2, "http_503"), 39),
            (opened + timedelta(seconds=61), "reopened", probe("http_503", 4.1) | {"wait": 120, "streak": 1}, 40),
            (opened + timedelta(seconds=186), "reopened", probe("timeout", 10.0) | {"wait": 240, "streak": 2}, 41),
        ],
    )
    tested = moment - timedelta(minutes=21)
    _events(
        "whatsapp",
        [
            (
                tested,
                "opened",
                evidence(2, 6, 1, "http_500", rule={"window": 60, "percentage": 70, "volume": 5, "reset": 300}),
                41,
            )
        ],
    )
    _set_states(moment)


def _events(name: str, rows: list[tuple[datetime, str, dict[str, Any], int]]) -> None:
    breaker = SharedBreaker.objects.get(name=name)
    BreakerEvent.objects.bulk_create(
        BreakerEvent(breaker=breaker, at=ms(at), kind=kind, detail=detail, epoch=epoch)
        for at, kind, detail, epoch in rows
    )


def evidence(ok: int, failed: int, timed_out: int, error: str, rule: dict[str, Any] | None = None) -> dict[str, Any]:
    """What an opening was decided on, in the shape of apps.breakers.evidence."""
    counts = {"ok": ok, "fail": failed, "timeout": timed_out, "slow": timed_out, "rejected": 0, "ignored": 0}
    return {
        "counts": counts,
        "failure_rate": round(100 * (failed + timed_out) / (ok + failed + timed_out), 1),
        "rule": rule or {"percentage": 50, "volume": 5, "window": 10, "comparison": ">=", "reset": 60},
        "errors": [
            {"class": error, "count": failed, "samples": ["884213", "884219"]},
            {"class": "timeout", "count": timed_out, "samples": ["884240"]},
        ],
        "workers": [
            {"worker": "delivery@a-1", **counts},
            {"worker": "delivery@a-2", "ok": 0, "fail": 0, "timeout": 0, "slow": 0, "rejected": 0, "ignored": 0},
        ],
    }


def probe(error: str, seconds: float) -> dict[str, Any]:
    return {
        "probe": {"worker": "delivery@a-2", "seconds": seconds, "class": error, "sample": "884266"},
        "round": {"ok": not error, "failed": bool(error)},
    }


def _set_states(moment: datetime) -> None:
    SharedBreaker.objects.filter(name="midtrans").update(
        state=StoredState.OPEN,
        opened_at=ms(moment - timedelta(minutes=6, seconds=12)),
        wait_ms=240_000,
        probe_at=ms(moment + timedelta(seconds=41)),
        reopen_streak=2,
    )
    SharedBreaker.objects.filter(name="whatsapp").update(
        state=StoredState.OPEN,
        opened_at=ms(moment - timedelta(minutes=21)),
        wait_ms=300_000,
        probe_at=ms(moment - timedelta(seconds=2)),
    )


def refresh(moment: datetime) -> None:
    """Make workers, windows and the next test look as if they were alive now."""
    SharedBreaker.objects.filter(name="midtrans").update(probe_at=ms(moment + timedelta(seconds=41)))
    epochs = dict(SharedBreaker.objects.values_list("name", "epoch"))
    for position, (name, queue) in enumerate(WORKERS):
        lag = 14 if name == "delivery@b-1" else 1
        seen = epochs | ({"midtrans": 40} if lag > 5 else {})
        BreakerWorker.objects.update_or_create(
            worker=name,
            defaults={
                "host": name.partition("@")[2],
                "pid": 300 + position,
                "queue": queue,
                "synced_at": ms(moment - timedelta(seconds=lag)),
                "seen": seen,
            },
        )
    _windows(moment)


def _windows(moment: datetime) -> None:
    """Six of nine calls to midtrans failed; two of thirty to smtp."""
    WindowBucket.objects.filter(worker__in=[name for name, _ in WORKERS]).delete()
    for name, counts in (
        ("midtrans", {"delivery@a-1": (1, 3, 1, 1), "delivery@a-2": (2, 1, 1, 1)}),
        ("smtp", {"delivery@a-1": (15, 1, 0, 0), "delivery@a-2": (13, 1, 0, 0)}),
        ("billing-webhook", {"delivery@a-1": (612, 0, 0, 0), "delivery@a-2": (598, 1, 0, 0)}),
    ):
        breaker = SharedBreaker.objects.get(name=name)
        rule = rule_of(Service.objects.get(name=name).breaker_policy)
        newest = ms(moment) // bucket_ms(rule)
        WindowBucket.objects.bulk_create(
            WindowBucket(
                breaker=breaker,
                worker=worker,
                slot=newest % rule.buckets,
                bucket=newest,
                epoch=breaker.epoch,
                ok=ok,
                fail=failed,
                timeout=timed_out,
                slow=slow,
            )
            for worker, (ok, failed, timed_out, slow) in counts.items()
        )

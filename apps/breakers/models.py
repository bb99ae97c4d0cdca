"""What all processes share about the breakers. Times are integer milliseconds of the database's clock.

Written by one agent thread per process (:mod:`apps.breakers.agent`) and by operators
(:mod:`apps.breakers.services`); the SQL is in :mod:`apps.breakers.sql`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import models

from apps.breakers.machine import Kind, State


class StoredState(models.IntegerChoices):
    """HALF_OPEN is not stored: it is OPEN with ``probe_at`` in the past, so nothing can be stuck in it."""

    CLOSED = 0, "Closed"
    OPEN = 1, "Open"


class Override(models.IntegerChoices):
    NONE = 0, "None"
    FORCED_OPEN = 1, "Forced open"
    FORCED_CLOSED = 2, "Forced closed"
    METRICS_ONLY = 3, "Metrics only"

    @property
    def state(self) -> State | None:
        return State[self.name] if self.value else None


class SharedBreaker(models.Model):
    """The breaker of a service. ``epoch`` grows with every transition, override and reset: it fences."""

    name = models.CharField(max_length=64, unique=True)
    state = models.SmallIntegerField(choices=StoredState.choices, db_default=StoredState.CLOSED)
    epoch = models.BigIntegerField(db_default=1)
    opened_at = models.BigIntegerField(null=True)
    wait_ms = models.IntegerField(db_default=0)
    probe_at = models.BigIntegerField(db_default=0)
    reopen_streak = models.SmallIntegerField(db_default=0)
    override = models.SmallIntegerField(choices=Override.choices, db_default=Override.NONE)
    override_until = models.BigIntegerField(null=True)
    override_by = models.CharField(max_length=200, db_default="")
    override_reason = models.TextField(db_default="")
    # The config_version of the service that was last acted upon.
    cfg_version = models.IntegerField(db_default=0)
    evidence: models.JSONField[dict[str, Any] | None, dict[str, Any] | None] = models.JSONField(null=True)

    class Meta:
        db_table = "breaker"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WindowBucket(models.Model):
    """A ring of fixed size: each worker writes only its own rows. ``slot`` is ``bucket % buckets``."""

    pk = models.CompositePrimaryKey("breaker", "worker", "slot")
    breaker = models.ForeignKey(SharedBreaker, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    worker = models.CharField(max_length=120)
    slot = models.SmallIntegerField()
    bucket = models.BigIntegerField()
    epoch = models.BigIntegerField()
    ok = models.IntegerField(db_default=0)
    fail = models.IntegerField(db_default=0)
    timeout = models.IntegerField(db_default=0)
    slow = models.IntegerField(db_default=0)
    rejected = models.IntegerField(db_default=0)
    ignored = models.IntegerField(db_default=0)
    # {error class: [how many, [sample, ...]]} of this worker in this bucket, for the evidence of a transition.
    errors: models.JSONField[dict[str, Any] | None, dict[str, Any] | None] = models.JSONField(null=True)

    class Meta:
        db_table = "breaker_window"

    def __str__(self) -> str:
        return f"{self.breaker_id} {self.worker} {self.bucket}"


class ProbeOutcome(models.IntegerChoices):
    RUNNING = 0, "Running"
    OK = 1, "OK"
    FAILED = 2, "Failed"


class ProbeSlot(models.Model):
    """The limit on probes: a live lease occupies a row, and there are only as many rows as permits."""

    pk = models.CompositePrimaryKey("breaker", "slot")
    breaker = models.ForeignKey(SharedBreaker, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    slot = models.SmallIntegerField()
    epoch = models.BigIntegerField()
    owner = models.CharField(max_length=160)
    lease_until = models.BigIntegerField()
    outcome = models.SmallIntegerField(choices=ProbeOutcome.choices, db_default=ProbeOutcome.RUNNING)

    class Meta:
        db_table = "breaker_probe"

    def __str__(self) -> str:
        return f"{self.breaker_id} {self.slot} {self.owner}"


class BreakerEvent(models.Model):
    """One transition, override or change, with its evidence frozen in ``detail``."""

    breaker = models.ForeignKey(SharedBreaker, on_delete=models.CASCADE, related_name="events")
    at = models.BigIntegerField()
    epoch = models.BigIntegerField()
    kind = models.CharField(max_length=32, choices=[(kind.value, kind.value.replace("_", " ")) for kind in Kind])
    actor = models.CharField(max_length=200, db_default="")
    detail: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "breaker_event"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["breaker", "-id"], name="breaker_event_breaker"),
            models.Index(fields=["at"], name="breaker_event_at"),
        ]

    def __str__(self) -> str:
        return f"{self.breaker_id} {self.kind} {self.epoch}"

    @property
    def happened_at(self) -> datetime:
        return datetime.fromtimestamp(self.at / 1000, UTC)


class HistoryBucket(models.Model):
    """What all workers counted in the 10 s that begin ``at``, kept for two weeks to replay other thresholds."""

    pk = models.CompositePrimaryKey("breaker", "at")
    breaker = models.ForeignKey(SharedBreaker, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    at = models.BigIntegerField()
    ok = models.IntegerField(db_default=0)
    fail = models.IntegerField(db_default=0)
    timeout = models.IntegerField(db_default=0)
    slow = models.IntegerField(db_default=0)
    rejected = models.IntegerField(db_default=0)

    class Meta:
        db_table = "breaker_history"

    def __str__(self) -> str:
        return f"{self.breaker_id} {self.at}"


class BreakerWorker(models.Model):
    """One process with an agent: when it last synced, and which epoch of each breaker it acts upon.

    ``local_open`` holds the breakers it keeps open for itself: {service: {"state", "retry_in_ms", ...}}.
    """

    worker = models.CharField(max_length=120, primary_key=True)
    host = models.CharField(max_length=100, db_default="")
    pid = models.IntegerField(db_default=0)
    queue = models.CharField(max_length=64, db_default="")
    synced_at = models.BigIntegerField()
    seen: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(default=dict)
    local_open: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "breaker_worker"
        ordering = ["worker"]

    def __str__(self) -> str:
        return self.worker

"""What the engine keeps beside its messages: whose turn it is, and what each minute came to."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from apps.services.models import Service


class DeliveryLane(models.Model):
    """What all workers share about delivering to one service: one locked row per claim.

    ``tokens`` is the rate limit's bucket; ``slowed_until`` is where Retry-After put it;
    ``tenant_cursor`` is the tenant served last.
    """

    service = models.OneToOneField(Service, on_delete=models.CASCADE, primary_key=True, db_column="service")
    tokens = models.FloatField(db_default=0.0)
    refilled_at = models.DateTimeField(db_default=Now())
    slowed_until = models.DateTimeField(null=True)
    slowed_by = models.TextField(blank=True, db_default="")
    tenant_cursor = models.CharField(max_length=64, blank=True, db_default="")

    class Meta:
        db_table = "delivery_lane"

    def __str__(self) -> str:
        return f"lane of {self.service_id}"


class DeliveryMinute(models.Model):
    """Deliveries of one service in one minute: exact counters, added to by each settled batch.

    ``latency`` counts successes by duration; its bounds are ``apps.outbox.stats.LATENCY_BOUNDS_MS``.
    """

    service = models.CharField(max_length=64)
    minute = models.DateTimeField()
    sent = models.IntegerField(db_default=0)
    failed = models.IntegerField(db_default=0)
    timed_out = models.IntegerField(db_default=0)
    slowed = models.IntegerField(db_default=0)
    died = models.IntegerField(db_default=0)
    expired = models.IntegerField(db_default=0)
    duration_ms = models.BigIntegerField(db_default=0)
    latency: models.JSONField[list[int], list[int]] = models.JSONField(default=list)

    class Meta:
        db_table = "delivery_minute"
        constraints = [models.UniqueConstraint(fields=["service", "minute"], name="delivery_minute_once")]
        indexes = [models.Index(fields=["minute"], name="delivery_minute_minute")]

    def __str__(self) -> str:
        return f"{self.service} {self.minute:%H:%M}"

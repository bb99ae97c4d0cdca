"""Where alerts come from, and what was posted."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedTextField


class SourceKind(models.TextChoices):
    ALERTMANAGER = "alertmanager", "Alertmanager"
    GRAFANA = "grafana", "Grafana"
    VMALERT = "vmalert", "vmalert"
    PORTAL = "portal", _("This portal")


class AlertSource(models.Model):
    """One sender of alerts. Two tokens are live at a time, so that rotating one loses nothing.

    Tokens are random, so a plain SHA-256 of each is enough. Seconds everywhere.
    """

    name = models.SlugField(primary_key=True, max_length=64)
    kind = models.CharField(max_length=16, choices=SourceKind.choices, default=SourceKind.ALERTMANAGER)
    token_hash = models.CharField(max_length=64, unique=True, null=True)
    previous_token_hash = models.CharField(max_length=64, unique=True, null=True)
    # Alertmanager's API v2, for what the webhook never tells; empty: not asked.
    api_url = models.CharField(max_length=500, blank=True, default="")
    api_secret = EncryptedTextField(blank=True, default="")
    api_at = models.DateTimeField(null=True)
    api_problem = models.CharField(max_length=500, blank=True, default="")
    watchdog = models.CharField(
        max_length=100, default="Watchdog", help_text="alertname of the alert that always fires."
    )
    watchdog_timeout = models.PositiveIntegerField(default=900)
    watchdog_at = models.DateTimeField(null=True)
    blind_since = models.DateTimeField(null=True)
    alive_since = models.DateTimeField(null=True)
    last_post_at = models.DateTimeField(null=True)
    agent = models.CharField(max_length=200, blank=True, default="")
    payload_version = models.CharField(max_length=16, blank=True, default="")
    truncated = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)
    # Each Alertmanager of a pair by its externalURL: {url: {"at": RFC 3339, "address": ..., "agent": ...}}.
    peers: models.JSONField[dict[str, dict[str, str]], dict[str, dict[str, str]]] = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200, blank=True, default="")
    disabled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_source"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class SourceHour(models.Model):
    """What a source posted within one hour, counted as it is taken in, so that no page counts bodies."""

    source = models.ForeignKey(AlertSource, on_delete=models.CASCADE, db_column="source", related_name="hours")
    hour = models.DateTimeField()
    posts = models.PositiveIntegerField(default=0)
    alerts = models.PositiveBigIntegerField(default=0)
    truncated = models.PositiveBigIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)
    largest = models.PositiveIntegerField(default=0, help_text="Bytes of the largest body.")

    class Meta:
        db_table = "alert_source_hour"
        constraints = [models.UniqueConstraint(fields=["source", "hour"], name="alert_source_hour_once")]

    def __str__(self) -> str:
        return f"{self.source_id} at {self.hour:%Y-%m-%d %H}:00"


class Refusal(models.Model):
    """Posts that were turned away, counted per reason and address, so that a wrong token is seen."""

    reason = models.CharField(max_length=32)
    address = models.CharField(max_length=64)
    agent = models.CharField(max_length=200, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    count = models.BigIntegerField(default=1)
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "alert_refusal"
        constraints = [models.UniqueConstraint(fields=["reason", "address"], name="alert_refusal_once")]

    def __str__(self) -> str:
        return f"{self.reason} from {self.address}"


class DeliveryState(models.TextChoices):
    STORED = "stored", _("Stored")
    PROCESSED = "processed", _("Processed")
    QUARANTINED = "quarantined", _("Quarantined")


class AlertDelivery(models.Model):
    """A body as it was posted, byte for byte. It is committed before the answer; what it says is found out after."""

    source = models.ForeignKey(AlertSource, on_delete=models.PROTECT, db_column="source", related_name="deliveries")
    received_at = models.DateTimeField(db_default=Now())
    body = models.BinaryField()
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    headers: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    address = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(max_length=16, choices=DeliveryState.choices, db_default=DeliveryState.STORED)
    tries = models.PositiveSmallIntegerField(db_default=0)
    processed_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True, db_default="")
    receiver = models.CharField(max_length=300, blank=True, db_default="")
    group_key = models.TextField(blank=True, db_default="")
    external_url = models.CharField(max_length=500, blank=True, db_default="")
    truncated = models.PositiveIntegerField(db_default=0)
    alerts = models.PositiveIntegerField(db_default=0)

    class Meta:
        db_table = "alert_delivery"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], name="alert_delivery_stored", condition=Q(state="stored")),
            models.Index(fields=["source", "-id"], name="alert_delivery_source"),
            models.Index(fields=["received_at"], name="alert_delivery_at"),
            models.Index(fields=["source", "-id"], name="alert_delivery_quarantine", condition=Q(state="quarantined")),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} of {self.source_id}"


class Quarantined(models.Model):
    """One alert of a delivery that could not be taken, and why. The others of its body were."""

    delivery = models.ForeignKey(AlertDelivery, on_delete=models.CASCADE, related_name="rejected")
    position = models.PositiveIntegerField()
    reason = models.TextField()
    raw = models.TextField(blank=True)

    class Meta:
        db_table = "alert_quarantine"
        constraints = [models.UniqueConstraint(fields=["delivery", "position"], name="alert_quarantine_once")]

    def __str__(self) -> str:
        return f"alert {self.position} of delivery {self.delivery_id}"

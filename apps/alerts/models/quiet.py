"""What keeps alerts quiet: silences in Alertmanager, maintenance windows of ours."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.alerts.models.episodes import Episode
from apps.alerts.models.sources import AlertSource


class SilenceState(models.TextChoices):
    """WANTED: Alertmanager is yet to be told. ENDING: it is yet to be told of the end."""

    WANTED = "wanted", _("Wanted")
    ACTIVE = "active", _("Active")
    ENDING = "ending", _("Ending")
    EXPIRED = "expired", _("Over")
    FAILED = "failed", _("Failed")


class Silence(models.Model):
    """A silence of one alert in its Alertmanager, made from here. The row says what is wanted; a task makes it so.

    ``told_until`` is the end Alertmanager knows; another one than ``until`` is still to be told.
    """

    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="silences")
    source = models.ForeignKey(AlertSource, on_delete=models.PROTECT, db_column="source", related_name="silences")
    matchers: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(default=list)
    reason = models.TextField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    until = models.DateTimeField()
    state = models.CharField(max_length=16, choices=SilenceState.choices, default=SilenceState.WANTED)
    remote_id = models.CharField(max_length=64, blank=True, default="")
    told_until = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True, default="")
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "alert_silence"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["next_try_at"], name="alert_silence_due", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"silence of episode {self.episode_id}"


class Maintenance(models.Model):
    """A time in which the alerts that ``match`` (as a route's match) page nobody. They are logged as ever."""

    match: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.TextField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    # Ended before its time.
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "alert_maintenance"
        ordering = ["-id"]
        indexes = [models.Index(fields=["ends_at"], name="alert_maintenance_end")]

    def __str__(self) -> str:
        return f"maintenance {self.pk}"

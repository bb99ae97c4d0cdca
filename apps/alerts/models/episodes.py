"""What became of what was posted: the alert log, its episodes, and their story."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q

from apps.alerts.episodes import OPEN_STATES, Current, State, Verdict
from apps.alerts.models.sources import AlertDelivery, AlertSource
from apps.alerts.severity import Severity


class Episode(models.Model):
    """One continuous firing of one alert. At most one is open for each (source, fingerprint)."""

    source = models.ForeignKey(AlertSource, on_delete=models.PROTECT, db_column="source", related_name="episodes")
    fingerprint = models.CharField(max_length=64)
    name = models.TextField()
    severity = models.CharField(max_length=16, choices=Severity.choices)
    state = models.CharField(max_length=16, choices=State.choices)
    labels: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    annotations: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    generator_url = models.TextField(blank=True, default="")
    service = models.CharField(max_length=64, blank=True, default="")
    # Of the sender's clock; the others are of the database's.
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField()
    last_fired_at = models.DateTimeField()
    last_resolved_at = models.DateTimeField(null=True)
    normal_since = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    # RFC 3339 texts of the last times it fired again.
    refired: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    fired_again = models.PositiveIntegerField(default=0)
    flapping = models.BooleanField(default=False)
    # What makes the resolution true, and what it lacks: [[word, true], ...]; empty while open.
    proof: models.JSONField[list[list[Any]], list[list[Any]]] = models.JSONField(default=list)
    inferred = models.BooleanField(default=False)
    # As Alertmanager's API told last: since when it is not there, and what keeps it quiet.
    absent_since = models.DateTimeField(null=True)
    suppressed = models.BooleanField(default=False)
    suppressed_by: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    previous = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="followed_by")
    # The same for all severities of one condition; while ``outranked_by`` is open, this one pages nobody.
    condition = models.CharField(max_length=64, blank=True, default="")
    outranked_by = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="outranks")
    # Work of people. An acknowledgement ends by itself at ``acknowledged_until``, if there is one.
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True, default="")
    acknowledged_until = models.DateTimeField(null=True)
    assignee = models.CharField(max_length=200, blank=True, default="")
    snoozed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_episode"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "fingerprint"], condition=Q(state__in=OPEN_STATES), name="alert_episode_one_open"
            )
        ]
        indexes = [
            models.Index(fields=["source", "fingerprint", "-id"], name="alert_episode_alert"),
            models.Index(fields=["state", "-id"], name="alert_episode_open", condition=Q(state__in=OPEN_STATES)),
            models.Index(
                fields=["source", "condition"], name="alert_episode_condition", condition=Q(state__in=OPEN_STATES)
            ),
            models.Index(fields=["resolved_at"], name="alert_episode_resolved", condition=Q(resolved_at__isnull=False)),
            models.Index(fields=["first_seen_at"], name="alert_episode_first_seen"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"

    def as_current(self) -> Current:
        """For the pure functions that decide."""
        return Current(
            state=self.state,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            last_fired_at=self.last_fired_at,
            last_resolved_at=self.last_resolved_at,
            normal_since=self.normal_since,
            resolved_at=self.resolved_at,
        )


class AlertLog(models.Model):
    """One line for every alert of every delivery, with what it was taken for. Other programs read it."""

    # The body may be purged before the line is.
    delivery = models.ForeignKey(AlertDelivery, on_delete=models.SET_NULL, related_name="lines", null=True)
    position = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()
    source = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=16)
    name = models.TextField()
    severity = models.CharField(max_length=16, choices=Severity.choices)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=24, choices=[(word.value, word.value) for word in Verdict])
    episode = models.ForeignKey(Episode, on_delete=models.SET_NULL, null=True, related_name="lines")
    extra: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "alert_logs"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["delivery", "position"], name="alert_log_once")]
        indexes = [
            models.Index(fields=["source", "fingerprint", "-id"], name="alert_log_alert"),
            models.Index(fields=["at"], name="alert_log_at"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.status}: {self.verdict}"


class EpisodeEvent(models.Model):
    """What happened to an episode that no post tells: acknowledged, noted, escalated, resolved."""

    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=32)
    actor = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    detail: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "alert_event"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} of episode {self.episode_id}"

"""Where each alert stands in telling people, what was told to whom, and the heartbeat of it all."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.alerts.models.episodes import Episode
from apps.alerts.models.quiet import Maintenance
from apps.alerts.models.routing import RoutingVersion


class Escalation(models.Model):
    """Where an episode stands in telling people. ``policy`` is its route and targets as they were when it began.

    ``next_at`` is of the database's clock: the planned time of ``step``, absolute, so a clock that jumps back fires
    nothing twice. ``step`` only grows within a ``cycle``.
    """

    episode = models.OneToOneField(Episode, on_delete=models.CASCADE, related_name="escalation")
    route = models.CharField(max_length=64)
    routing = models.ForeignKey(RoutingVersion, on_delete=models.PROTECT, null=True)
    policy: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    started_at = models.DateTimeField()
    cycle = models.PositiveIntegerField(default=0)
    step = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # The maintenance window that holds the step which is due.
    held_by = models.ForeignKey(Maintenance, on_delete=models.SET_NULL, null=True, related_name="holds")
    # The last cycle in which a page that did not arrive brought the next step forward.
    hurried = models.IntegerField(default=-1)

    class Meta:
        db_table = "alert_escalation"
        indexes = [
            models.Index(
                fields=["next_at"], name="escalation_due", condition=Q(ended_at__isnull=True, next_at__isnull=False)
            ),
            models.Index(fields=["id"], name="escalation_running", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"escalation of {self.episode_id}"


class Storm(models.Model):
    """Many alerts of one route and step that are told together: one message, and updates of the counts.

    It takes alerts in until none has come for a while (``closed_at``), and is over when all of them are.
    """

    policy = models.CharField(max_length=100, help_text="Version of the routing, and route.")
    route = models.CharField(max_length=64)
    step = models.PositiveSmallIntegerField()
    opened_at = models.DateTimeField()
    joined_at = models.DateTimeField()
    told_at = models.DateTimeField()
    alerts = models.PositiveIntegerField(default=0)
    told_alerts = models.PositiveIntegerField(default=0)
    closed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_storm"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "step"], condition=Q(closed_at__isnull=True), name="alert_storm_one_open"
            )
        ]
        indexes = [models.Index(fields=["id"], name="alert_storm_running", condition=Q(ended_at__isnull=True))]

    def __str__(self) -> str:
        return f"storm of {self.route}, step {self.step}"


class Fate(models.TextChoices):
    """What became of the message of a notification. NONE while it is on its way, or when there is none."""

    NONE = "", _("On its way")
    SENT = "sent", _("Delivered")
    DIED = "died", _("Not delivered")
    GONE = "gone", _("Unknown")


class NotificationOutcome(models.TextChoices):
    QUEUED = "queued", _("In the outbox")
    SKIPPED = "skipped", _("Not needed")
    IMPOSSIBLE = "impossible", _("Nobody to send it to")


class Notification(models.Model):
    """One telling of one target at one step, made in the transaction that moved the escalation on.

    ``planned_at`` is when it was due and ``decided_at`` when that was acted upon; the difference is how late it was.
    ``why`` says what led to it, for whoever asks.
    """

    escalation = models.ForeignKey(Escalation, on_delete=models.CASCADE, related_name="notifications")
    cycle = models.PositiveIntegerField(default=0)
    step = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16)
    target = models.CharField(max_length=64)
    service = models.CharField(max_length=64, blank=True)
    recipient = models.CharField(max_length=500, blank=True)
    outcome = models.CharField(max_length=16, choices=NotificationOutcome.choices)
    message_id = models.BigIntegerField(null=True)
    planned_at = models.DateTimeField()
    decided_at = models.DateTimeField()
    together = models.PositiveIntegerField(default=1, help_text="How many episodes this message speaks of.")
    storm = models.ForeignKey(Storm, on_delete=models.SET_NULL, null=True, related_name="notifications")
    # Seconds by which the engine was late; holding, snoozing and silencing are not lateness.
    late_s = models.PositiveIntegerField(default=0)
    fate = models.CharField(max_length=8, choices=Fate.choices, blank=True, default=Fate.NONE)
    fate_at = models.DateTimeField(null=True)
    # Since when it counts as not arriving in time, so that others were told instead.
    delayed_at = models.DateTimeField(null=True)
    why: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "alert_notification"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["escalation", "cycle", "step", "kind", "target"], name="alert_notification_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["message_id"], name="alert_notification_under_way", condition=Q(fate="", outcome="queued")
            ),
            models.Index(fields=["decided_at"], name="alert_notification_decided"),
            models.Index(fields=["message_id"], name="alert_notification_message"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.target}"


class EngineHeartbeat(models.Model):
    """When the escalation sweep last ran to its end, and what those who watch it have seen and done."""

    name = models.SlugField(primary_key=True, max_length=32)
    beat_at = models.DateTimeField()
    problem = models.CharField(max_length=500, blank=True, default="")
    alarmed_at = models.DateTimeField(null=True)
    pinged_at = models.DateTimeField(null=True)
    ping_problem = models.CharField(max_length=500, blank=True, default="")
    watched_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "engine_heartbeat"

    def __str__(self) -> str:
        return self.name

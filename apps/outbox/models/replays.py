"""Putting dead letters back, as a job."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.outbox.models.letters import DeadLetter
from apps.outbox.models.messages import Message


class ReplayState(models.TextChoices):
    PREPARING = "preparing", _("Taking in letters")
    CANARY = "canary", _("Trying the first few")
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    STOPPED = "stopped", _("Stopped: too many failed again")
    DONE = "done", _("Done")
    CANCELLED = "cancelled", _("Cancelled")


class Replay(models.Model):
    """An operator's job that puts dead letters back. ``per_second`` null means as fast as limits allow."""

    state = models.CharField(max_length=10, choices=ReplayState.choices)
    resume_state = models.CharField(max_length=10, blank=True, db_default="")
    selection: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    reason = models.TextField(blank=True, db_default="")
    created_by = models.CharField(max_length=200)
    canary = models.PositiveIntegerField(db_default=0)
    per_second = models.FloatField(null=True)
    stop_above_percent = models.FloatField(db_default=20.0)
    total = models.PositiveIntegerField(db_default=0)
    # While it is prepared: how many letters are in it, and the message up to which all are.
    prepared = models.PositiveIntegerField(db_default=0)
    reached = models.BigIntegerField(db_default=0)
    skipped = models.PositiveIntegerField(db_default=0)
    released = models.PositiveIntegerField(db_default=0)
    sent = models.PositiveIntegerField(db_default=0)
    failed = models.PositiveIntegerField(db_default=0)
    tokens = models.FloatField(db_default=0.0)
    advanced_at = models.DateTimeField(null=True)
    # The last minute, as [seconds since the epoch, letters settled by then]: the rate now.
    pace: models.JSONField[list[list[float]], list[list[float]]] = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField())
    )
    canary_passed_at = models.DateTimeField(null=True)
    left_out: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField())
    )
    token = models.CharField(max_length=64, null=True, unique=True)
    note = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "replay"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"replay {self.pk}"


class ReplayItem(models.Model):
    """One dead letter in a replay and what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RELEASED = "released", _("On its way")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed again")
        SKIPPED = "skipped", _("Left out")

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="items")
    dead_letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    state = models.CharField(max_length=10, choices=State.choices, db_default=State.WAITING)
    note = models.CharField(max_length=200, blank=True, db_default="")
    # What it died of again, so that failures can be grouped.
    cause = models.CharField(max_length=16, blank=True, db_default="")
    released_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "replay_item"
        indexes = [
            models.Index(fields=["replay", "state", "id"], name="replay_item_state"),
            models.Index(fields=["replay", "cause"], name="replay_item_failed", condition=Q(state="failed")),
            models.Index(fields=["replay", "note"], name="replay_item_skipped", condition=Q(state="skipped")),
        ]
        constraints = [
            # The guard against two operators: a letter is in one unfinished replay at most.
            models.UniqueConstraint(
                fields=["dead_letter"], name="replay_item_active_once", condition=Q(state__in=("waiting", "released"))
            )
        ]

    def __str__(self) -> str:
        return f"dead letter {self.dead_letter_id} in replay {self.replay_id}"

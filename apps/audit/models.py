"""The audit trail: append-only and hash-chained."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now


class AuditEntry(models.Model):
    """What a person, a key or the system changed: who, what, why, from where, before and after.

    ``hash`` covers the row and ``previous_hash``, so that a changed, removed or re-ordered row shows.
    """

    at = models.DateTimeField(db_default=Now())
    actor_kind = models.CharField(max_length=16)
    actor = models.CharField(max_length=200)
    ip = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=64)
    target = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    before: models.JSONField[Any, Any] = models.JSONField(null=True)
    after: models.JSONField[Any, Any] = models.JSONField(null=True)
    request_id = models.CharField(max_length=128, blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        db_table = "audit_entry"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["target", "-id"], name="audit_target"),
            models.Index(fields=["actor", "-id"], name="audit_actor"),
            models.Index(fields=["actor_kind", "-id"], name="audit_actor_kind"),
            models.Index(fields=["action", "-id"], name="audit_action"),
            models.Index(fields=["ip", "-id"], name="audit_ip"),
            models.Index(fields=["request_id", "-id"], name="audit_request"),
            models.Index(fields=["at", "id"], name="audit_at"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"


class AuditAnchor(models.Model):
    """A hash of the trail that was seen at some time. A trail whose end was cut off lacks a row that has an anchor."""

    entry_id = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audit_anchor"
        ordering = ["-id"]
        indexes = [models.Index(fields=["entry_id"], name="audit_anchor_entry")]

    def __str__(self) -> str:
        return f"{self.entry_id} {self.hash[:12]}"


class AuditChain(models.Model):
    """The name of this database's trail: a random text, made once. The oldest row counts."""

    name = models.CharField(max_length=32)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audit_chain"
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class AuditCheck(models.Model):
    """One verification of the chain: what was asked, how far it is, and what came of it.

    ``upto_id`` and ``upto_hash`` are the last row that fits; a check goes on from there, in slices.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        FITS = "fits"
        BROKEN = "broken"

    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    whole = models.BooleanField(default=False, help_text="From the first row; else from where the check before ended.")
    asked_by = models.CharField(max_length=200, blank=True, default="")
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now(), help_text="When it last did something.")
    finished_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    checked = models.BigIntegerField(default=0)
    upto_id = models.BigIntegerField(default=0)
    upto_hash = models.CharField(max_length=64, blank=True, default="")
    broken_at = models.BigIntegerField(null=True)
    problem = models.TextField(blank=True, default="")

    class Meta:
        db_table = "audit_check"
        ordering = ["-id"]
        indexes = [models.Index(fields=["state", "-id"], name="audit_check_state")]

    def __str__(self) -> str:
        return f"check {self.pk}: {self.state}"

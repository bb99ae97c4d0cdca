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
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target}"

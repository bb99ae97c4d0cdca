"""The idempotency store: one execution per key, its answer kept for a while."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now


class IdempotencyRecord(models.Model):
    """One use of a key within a scope (a caller and what it calls).

    ``claim`` and ``claimed_until`` fence the one execution under way; ``finished_at`` is null until
    it has an answer. ``payload_hash`` is the SHA-256 of what came with the key.
    """

    scope = models.CharField(max_length=128)
    key = models.CharField(max_length=255)
    payload_hash = models.CharField(max_length=64)
    answer: models.JSONField[Any, Any] = models.JSONField(null=True)
    claim = models.CharField(max_length=32)
    claimed_until = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "idempotency_store"
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_scope_key")]
        indexes = [models.Index(fields=["expires_at"], name="idempotency_expires")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"

"""Who is told of what, and who is on call."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now


class RoutingVersion(models.Model):
    """The routing document (:mod:`apps.alerts.routing`). The newest version is in force; none is ever changed."""

    document: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200)
    reason = models.TextField(blank=True)

    class Meta:
        db_table = "alert_routing"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"routing {self.pk}"


class Rotation(models.Model):
    """People who take turns in being on call."""

    name = models.SlugField(primary_key=True, max_length=64)
    service = models.CharField(max_length=64, help_text="The service that reaches them.")
    # [{"email": ..., "recipient": ...}, ...] in the order of their turns.
    people: models.JSONField[list[dict[str, str]], list[dict[str, str]]] = models.JSONField(default=list)
    days = models.PositiveSmallIntegerField(default=7)
    at = models.TimeField()
    zone = models.CharField(max_length=64, default="UTC")
    begins = models.DateTimeField()
    # Grows with every change, so that two who edit at once notice.
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "on_call_rotation"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RotationOverride(models.Model):
    """Somebody is on call instead of whoever's turn it is."""

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="overrides")
    person = models.CharField(max_length=254)
    # Of somebody who does not take turns; empty: as the rotation reaches them.
    recipient = models.CharField(max_length=500, blank=True, default="")
    since = models.DateTimeField()
    until = models.DateTimeField()
    reason = models.TextField(blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "on_call_override"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.person} on {self.rotation_id}"

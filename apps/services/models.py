"""The registry of external dependencies."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.core.fields import EncryptedTextField
from apps.services.policies import BreakerPolicy, Limits, Ordering, RetryPolicy


class Criticality(models.TextChoices):
    CRITICAL = "critical", _("Critical")
    NORMAL = "normal", _("Normal")


class Channel(models.TextChoices):
    HTTP = "http", "HTTP"
    EMAIL = "email", _("E-mail")
    WHATSAPP = "whatsapp", "WhatsApp"
    SLACK = "slack", "Slack"
    TELEGRAM = "telegram", "Telegram"
    PAGERDUTY = "pagerduty", "PagerDuty"
    PLANE = "plane", "Plane"


class Service(models.Model):
    """An external dependency, known by its slug, with everything that decides how it is called."""

    NAME: ClassVar[re.Pattern[str]] = re.compile(r"[a-z][a-z0-9_-]{0,63}")

    name = models.CharField(
        max_length=64,
        primary_key=True,
        validators=[RegexValidator(r"^[a-z][a-z0-9_-]{0,63}\Z", "Use lower-case letters, digits, - and _.")],
    )
    owner = models.CharField(max_length=100, blank=True, db_default="")
    criticality = models.CharField(max_length=16, choices=Criticality.choices, db_default=Criticality.NORMAL)
    channel = models.CharField(max_length=16, choices=Channel.choices)
    settings: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    retry: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    breaker: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    limits: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    ordering: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    probe: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    secret_ref = models.CharField(max_length=100, blank=True, db_default="")
    secret = EncryptedTextField(blank=True, db_default="")
    previous_secret = EncryptedTextField(blank=True, db_default="")
    runbook_url = models.CharField(max_length=500, blank=True, db_default="")
    paused_at = models.DateTimeField(null=True, blank=True)
    paused_by = models.CharField(max_length=200, blank=True, db_default="")
    paused_reason = models.TextField(blank=True, db_default="")
    # What config/services.yaml said last time, so that a sync changes only what the file changed.
    file_state: models.JSONField[dict[str, Any] | None, dict[str, Any] | None] = models.JSONField(null=True)
    config_version = models.PositiveIntegerField(db_default=1)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "service"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy.parse(self.retry, at="retry")

    @property
    def breaker_policy(self) -> BreakerPolicy:
        return BreakerPolicy.parse(self.breaker, at="breaker")

    @property
    def limits_policy(self) -> Limits:
        return Limits.parse(self.limits, at="limits")

    @property
    def ordering_policy(self) -> Ordering:
        return Ordering.parse(self.ordering, at="ordering")

    def secrets(self) -> list[str]:
        """The live secrets, current first: the environment's, then the ones kept here."""
        found = [environment_secret(self.secret_ref), self.secret, self.previous_secret]
        return list(dict.fromkeys(secret for secret in found if secret))


class ServiceVersion(models.Model):
    """What a service was defined as, change by change, so that an earlier one can be looked at and brought back.

    ``version`` is the service's config_version; pausing raises that too, so numbers may be missing here.
    """

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    definition: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    at = models.DateTimeField(db_default=Now())
    by = models.CharField(max_length=200, blank=True, db_default="")
    reason = models.TextField(blank=True, db_default="")

    class Meta:
        db_table = "service_version"
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["service", "version"], name="service_version_once")]

    def __str__(self) -> str:
        return f"{self.service_id} {self.version}"


def environment_secret(name: str) -> str:
    """The value of an environment variable, or of the file its ``_FILE`` twin names; empty if neither."""
    if not name:
        return ""
    path = os.environ.get(f"{name}_FILE", "")
    if path:
        return Path(path).read_text(encoding="utf-8").strip()
    return os.environ.get(name, "")

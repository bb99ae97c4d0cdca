"""What senders call severities, and what we make of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class Severity(models.TextChoices):
    """The routes of product.md. UNKNOWN goes to a default that is visible, never nowhere."""

    CRITICAL = "critical", _("Critical")
    WARNING = "warning", _("Warning")
    NOTICE = "notice", _("Notice")
    INFO = "info", _("Info")
    SECURITY = "security", _("Security")
    UNKNOWN = "unknown", _("Unknown")


ALIASES: Final[Mapping[str, Severity]] = {
    **dict.fromkeys(("critical", "crit", "page", "p1", "sev1", "emergency", "fatal", "disaster"), Severity.CRITICAL),
    **dict.fromkeys(("warning", "warn", "major", "high", "error", "p2", "sev2", "average"), Severity.WARNING),
    **dict.fromkeys(("notice", "minor", "p3", "sev3", "medium"), Severity.NOTICE),
    **dict.fromkeys(("info", "information", "informational", "low", "p4", "p5", "sev4", "debug"), Severity.INFO),
    Severity.SECURITY: Severity.SECURITY,
}
_SAYS_SECURITY: Final = ("category", "team", "type")


def severity_of(labels: Mapping[str, str]) -> Severity:
    """From the label ``severity`` (or ``priority``), whatever its case; security also by category, team or type."""
    if any(labels.get(name, "").strip().lower() == Severity.SECURITY for name in _SAYS_SECURITY):
        return Severity.SECURITY
    word = (labels.get("severity") or labels.get("priority") or "").strip().lower()
    return ALIASES.get(word, Severity.UNKNOWN)

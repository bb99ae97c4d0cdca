"""Roles and what each may do. A role holds everything the roles below it hold."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core import actor as may


class Role(models.TextChoices):
    VIEWER = "viewer", _("Viewer")
    OPERATOR = "operator", _("Operator")
    LEAD = "lead", _("Lead")
    ADMIN = "admin", _("Admin")


_VIEWER: Final = frozenset({may.MESSAGES_READ, may.SERVICES_READ, may.ALERTS_READ, may.INCIDENTS_READ})
_OPERATOR: Final = _VIEWER | {
    may.MESSAGES_WRITE,
    may.MESSAGES_REVEAL,
    may.DEADLETTERS_TRIAGE,
    may.REPLAYS_RUN,
    may.BREAKERS_OVERRIDE,
    may.SERVICES_PAUSE,
    may.AUDIT_READ,
    may.ALERTS_WORK,
    may.INCIDENTS_WORK,
}
_LEAD: Final = _OPERATOR | {
    may.SERVICES_EDIT,
    may.TEMPLATES_EDIT,
    may.ALERTS_EDIT,
    may.APIKEYS_MANAGE,
    may.INCIDENTS_EDIT,
    may.POSTMORTEMS_PUBLISH,
}
ROLE_PERMISSIONS: Final[dict[str, frozenset[str]]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.LEAD: _LEAD,
    Role.ADMIN: may.ALL_PERMISSIONS,
}


def permissions_of(role: str) -> frozenset[str]:
    """The permissions of a role; an unknown role has none."""
    return ROLE_PERMISSIONS.get(role, frozenset())

"""Who does something, and what they may do. Checked in the service layer, not only in templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from django.utils.translation import gettext as _

from apps.core.errors import Forbidden

MESSAGES_READ: Final = "messages.read"
MESSAGES_WRITE: Final = "messages.write"
MESSAGES_REVEAL: Final = "messages.reveal"
DEADLETTERS_TRIAGE: Final = "deadletters.triage"
REPLAYS_RUN: Final = "replays.run"
BREAKERS_OVERRIDE: Final = "breakers.override"
SERVICES_READ: Final = "services.read"
SERVICES_EDIT: Final = "services.edit"
SERVICES_PAUSE: Final = "services.pause"
APIKEYS_MANAGE: Final = "apikeys.manage"
PEOPLE_MANAGE: Final = "people.manage"
AUDIT_READ: Final = "audit.read"
TEMPLATES_EDIT: Final = "templates.edit"
ALERTS_READ: Final = "alerts.read"
ALERTS_WORK: Final = "alerts.work"
ALERTS_EDIT: Final = "alerts.edit"
INCIDENTS_READ: Final = "incidents.read"
INCIDENTS_WORK: Final = "incidents.work"
INCIDENTS_EDIT: Final = "incidents.edit"
POSTMORTEMS_PUBLISH: Final = "postmortems.publish"

ALL_PERMISSIONS: Final = frozenset(
    {
        MESSAGES_READ,
        MESSAGES_WRITE,
        MESSAGES_REVEAL,
        DEADLETTERS_TRIAGE,
        REPLAYS_RUN,
        BREAKERS_OVERRIDE,
        SERVICES_READ,
        SERVICES_EDIT,
        SERVICES_PAUSE,
        APIKEYS_MANAGE,
        PEOPLE_MANAGE,
        AUDIT_READ,
        TEMPLATES_EDIT,
        ALERTS_READ,
        ALERTS_WORK,
        ALERTS_EDIT,
        INCIDENTS_READ,
        INCIDENTS_WORK,
        INCIDENTS_EDIT,
        POSTMORTEMS_PUBLISH,
    }
)


@dataclass(frozen=True, slots=True)
class Actor:
    """``kind`` is person, apikey, cli or system; ``name`` is what the audit trail shows."""

    kind: str
    name: str
    permissions: frozenset[str] = field(default_factory=frozenset)
    ip: str = ""

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    def __str__(self) -> str:
        return self.name if self.kind == "person" else f"{self.kind}:{self.name}"


SYSTEM: Final = Actor("system", "opsportal", ALL_PERMISSIONS)


def cli_actor(name: str) -> Actor:
    """Someone with a shell on the host: may do everything, and is named in the trail."""
    return Actor("cli", name, ALL_PERMISSIONS)


def require(actor: Actor, permission: str) -> None:
    """Raise :class:`Forbidden` unless ``actor`` holds ``permission``."""
    if not actor.may(permission):
        raise Forbidden(
            _(
                "{who} may not do this: it needs the permission {permission}. "
                "Ask a lead or an admin for a role or a key scope that has it."
            ).format(who=actor, permission=permission),
            detail={"permission": permission},
        )

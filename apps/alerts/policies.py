"""The routing in force, and what of it a new escalation freezes."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.alerts.models import Episode, RoutingVersion
from apps.alerts.routing import DEFAULT, Route, Routing, Target, parsed
from apps.audit.services import record
from apps.core.actor import ALERTS_EDIT, Actor, require
from apps.core.errors import Conflict, Invalid


def in_force() -> tuple[RoutingVersion | None, Routing]:
    """The newest version; the shipped document while there is none."""
    newest = RoutingVersion.objects.order_by("-pk").first()
    return newest, parsed(newest.document if newest else DEFAULT)


@transaction.atomic
def save_routing(*, document: Any, actor: Actor, reason: str, seen_version: int | None = None) -> RoutingVersion:
    """A new version. Raises Invalid naming each field, Conflict when somebody saved one since ``seen_version``."""
    require(actor, ALERTS_EDIT)
    if not reason.strip():
        raise Invalid.field("reason", _("say why: it goes into the audit trail"))
    parsed(document)
    newest = RoutingVersion.objects.select_for_update().order_by("-pk").first()
    if seen_version is not None and seen_version != (newest.pk if newest else 0):
        raise Conflict(_("Somebody has saved the routing since this page was opened. Look at theirs, then save again."))
    version = RoutingVersion.objects.create(document=document, created_by=str(actor), reason=reason.strip()[:2000])
    record(
        actor=actor,
        action="routing.saved",
        target=f"routing:{version.pk}",
        before=newest.document if newest else None,
        after=document,
        reason=reason,
    )
    return version


def facts_of(episode: Episode) -> dict[str, str]:
    """What routes match against: the labels, with severity in our words, the source and the service."""
    return {**episode.labels, "severity": episode.severity, "source": episode.source_id, "service": episode.service}


def frozen(routing: Routing, route: Route) -> dict[str, Any]:
    """What an escalation of ``route`` needs of ``routing``, and nothing that a later edit could change."""
    named = {name for step in route.steps for name in step.notify} | set(routing.owners.values())
    return {
        "route": route.model_dump(),
        "targets": {name: routing.targets[name].model_dump() for name in sorted(named)},
        "owners": dict(routing.owners),
    }


def thawed(policy: dict[str, Any]) -> tuple[Route, dict[str, Target], dict[str, str]]:
    targets = {name: Target.model_validate(given) for name, given in policy["targets"].items()}
    return Route.model_validate(policy["route"]), targets, policy["owners"]

"""The routing in force, and what of it a new escalation freezes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog
from django.db import connection, transaction
from django.utils.translation import gettext as _

from apps.alerts.models import Episode, RoutingVersion
from apps.alerts.routing import DEFAULT, SEVERITY_LABEL, Route, Routing, Target, parsed
from apps.audit.services import record
from apps.core.actor import ALERTS_EDIT, Actor, require
from apps.core.errors import Conflict, Invalid, NotFound

log = structlog.get_logger(__name__)

# One number for "saving the routing" among PostgreSQL's advisory locks ("oproutes" in ASCII).
SAVING_LOCK: Final = 0x6F70726F75746573


def in_force() -> tuple[RoutingVersion | None, Routing]:
    """The newest version; the shipped document while there is none.

    One that this release cannot read must not stop people from being told: the shipped document stands in for it.
    """
    newest = RoutingVersion.objects.order_by("-pk").first()
    try:
        return newest, parsed(newest.document if newest else DEFAULT)
    except Invalid as error:
        log.error("alerts.routing_unreadable", version=newest.pk if newest else 0, problem=error.message)
        return None, parsed(DEFAULT)


@transaction.atomic
def save_routing(*, document: Any, actor: Actor, reason: str, seen_version: int | None = None) -> RoutingVersion:
    """A new version. Raises Invalid naming each field, Conflict when somebody saved one since ``seen_version``
    (0: there was none).
    """
    require(actor, ALERTS_EDIT)
    if not reason.strip():
        raise Invalid.field("reason", _("say why: it goes into the audit trail"))
    parsed(document)
    _one_at_a_time()
    newest = RoutingVersion.objects.order_by("-pk").first()
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


def _one_at_a_time() -> None:
    """Until the transaction ends nobody else saves. SQLite has one writer at a time anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SAVING_LOCK])


def restore_routing(*, number: int, actor: Actor, reason: str, seen_version: int | None = None) -> RoutingVersion:
    """Version ``number`` again, as a new version. Raises NotFound, Conflict, and Invalid for one that is too old."""
    require(actor, ALERTS_EDIT)
    document = version_of(number).document
    return save_routing(document=document, actor=actor, reason=reason, seen_version=seen_version)


def version_of(number: int) -> RoutingVersion:
    found = RoutingVersion.objects.filter(pk=number).first()
    if found is None:
        raise NotFound(_("There is no version {number} of the routing.").format(number=number))
    return found


def facts_of(episode: Episode) -> dict[str, str]:
    """What routes match against: the labels, with severity in our words, the source and the service."""
    return facts(episode.labels, severity=episode.severity, source=episode.source_id, service=episode.service)


def facts(labels: Mapping[str, str], *, severity: str, source: str, service: str) -> dict[str, str]:
    written = (labels.get("severity") or labels.get("priority") or "").strip().lower()
    return {**labels, SEVERITY_LABEL: written, "severity": severity, "source": source, "service": service}


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

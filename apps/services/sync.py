"""Bringing the services of config/services.yaml into the database. Three-way: docs/howto/configure-services.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import transaction

from apps.audit.services import record
from apps.core import actor as may
from apps.core.actor import Actor, require
from apps.core.errors import Invalid
from apps.services.definition import (
    EMPTY,
    Definition,
    check_definition,
    definition_of,
    differences,
    flatten,
    merge,
    store_definition,
)
from apps.services.models import Service
from apps.services.services import pause
from apps.services.shown import shown_definition, shown_value
from apps.services.signals import announce
from apps.services.versions import keep_version
from apps.services.yamlfile import ServicesFile, read_services_file


@dataclass(frozen=True, slots=True)
class Change:
    """One option: from what the service has to what the file brings. None stands for "not set"."""

    path: str
    before: Any
    after: Any


@dataclass(slots=True)
class ServicePlan:
    """What a sync does to one service. ``kept`` are edits made in the portal that stay."""

    name: str
    kind: str  # new | changed | same | missing | pause
    changes: list[Change] = field(default_factory=list)
    kept: list[Change] = field(default_factory=list)
    definition: Definition = field(default_factory=dict)
    file_state: Definition = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``; secrets in headers are masked."""
        return {
            "service": self.name,
            "action": self.kind,
            "changes": [_shown(change) for change in self.changes],
            "kept": [_shown(change) for change in self.kept],
        }


def _shown(change: Change) -> dict[str, Any]:
    return {
        "field": change.path,
        "before": shown_value(change.path, change.before),
        "after": shown_value(change.path, change.after),
    }


@transaction.atomic
def sync_services(
    *, path: Path, actor: Actor, dry_run: bool = False, disable_missing: bool = False
) -> list[ServicePlan]:
    """Make the database follow the file, in one transaction; gives what was (or would be) done, by name.

    Only what the file changed since the last sync is applied, so edits made in the portal stay.
    Services that left the file are reported, and with ``disable_missing`` paused; never deleted.
    Raises :class:`ServicesFileInvalid` with file, line and field of every problem.
    """
    require(actor, may.SERVICES_EDIT)
    found = read_services_file(path)
    stored = {service.name: service for service in Service.objects.select_for_update().order_by("name")}
    plans = [_plan(found, name, stored.get(name)) for name in found.services]
    found.check()
    plans += [_plan_missing(service, disable_missing) for service in stored.values() if _left_file(service, found)]
    if not dry_run:
        for plan in plans:
            _apply(plan, stored.get(plan.name), actor, path)
    return sorted(plans, key=lambda plan: plan.name)


def _left_file(service: Service, found: ServicesFile) -> bool:
    return service.file_state is not None and service.name not in found.services


def _plan_missing(service: Service, disable_missing: bool) -> ServicePlan:
    pauses = disable_missing and service.paused_at is None
    return ServicePlan(service.name, "pause" if pauses else "missing")


def _plan(found: ServicesFile, name: str, service: Service | None) -> ServicePlan:
    given = found.services[name]
    if service is None:
        definition = check_definition(given)
        changes = [Change(path, None, value) for path, value in sorted(flatten(given).items())]
        return ServicePlan(name, "new", changes, [], definition, given)
    stored = definition_of(service)
    merged = _checked_merge(found, name, merge(stored=stored, before=service.file_state, after=given))
    changes = [Change(*difference) for difference in differences(stored, merged)]
    kept = [Change(*difference) for difference in differences(merged, check_definition(given))]
    kind = "changed" if changes else "same"
    return ServicePlan(name, kind, changes, kept, merged, given)


def _checked_merge(found: ServicesFile, name: str, merged: Definition) -> Definition:
    """Each side is valid alone; together an edit of the portal may contradict the file."""
    try:
        return check_definition({**EMPTY, **merged})
    except Invalid as error:
        for problem in error.detail:
            found.blame(
                ("services", name, *problem["field"].split(".")),
                f"{problem['message']} (together with what was edited in the portal)",
            )
        return merged


def _apply(plan: ServicePlan, service: Service | None, actor: Actor, path: Path) -> None:
    reason = f"sync of {path.name}"
    if plan.kind == "new":
        service = Service(name=plan.name, config_version=1)
    if plan.kind in ("new", "changed") and service is not None:
        _store(plan, service, actor, reason)
    elif plan.kind == "same" and service is not None and service.file_state != plan.file_state:
        Service.objects.filter(pk=service.pk).update(file_state=plan.file_state)
    elif plan.kind == "pause":
        pause(name=plan.name, actor=actor, reason=f"It is no longer in {path.name}.")


def _store(plan: ServicePlan, service: Service, actor: Actor, reason: str) -> None:
    before = None if plan.kind == "new" else shown_definition(service)
    was = (service.config_version, definition_of(service))
    store_definition(service, plan.definition)
    service.file_state = plan.file_state
    if before is not None:
        service.config_version += 1
    service.save(force_insert=before is None)
    keep_version(service, by=str(actor), reason=reason, before=None if before is None else was)
    after = shown_definition(service)
    paths = {change.path.partition(".")[0] for change in plan.changes}
    record(
        actor=actor,
        action="service.created" if before is None else "service.changed",
        target=f"service:{service.name}",
        before=before and {name: before[name] for name in sorted(paths)},
        after={name: after[name] for name in sorted(paths)},
        reason=reason,
    )
    announce(service.name)

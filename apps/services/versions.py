"""The versions of a service's settings: kept with every change, compared, and where the file says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from apps.core.errors import Invalid, NotFound
from apps.core.pagination import Page, page_by_id
from apps.services.definition import Definition, check_definition, definition_of, differences
from apps.services.models import Service, ServiceVersion
from apps.services.shown import shown_value


@dataclass(frozen=True, slots=True)
class Difference:
    """One option, and what it is on both sides; secrets in headers are masked, None stands for "not set"."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version with what it changed against the one before it; ``before`` None for the first that was kept."""

    row: ServiceVersion
    changes: list[Difference]
    first: bool


def keep_version(
    service: Service, *, by: str, reason: str, before: tuple[int, Definition] | None = None
) -> ServiceVersion:
    """Keep what the service is defined as now; and what it was, when nobody kept that. In the caller's transaction."""
    if before is not None:
        version, definition = before
        defaults = {"definition": definition, "at": service.created_at}
        if not service.versions.exists():
            ServiceVersion.objects.get_or_create(service=service, version=version, defaults=defaults)
    return ServiceVersion.objects.create(
        service=service,
        version=service.config_version,
        definition=definition_of(service),
        by=by[:200],
        reason=reason[:10_000],
    )


def versions(
    name: str, *, cursor: int | None = None, limit: int = 20
) -> tuple[list[VersionView], Page[ServiceVersion]]:
    """The versions of a service, newest first, each with what it changed."""
    rows = ServiceVersion.objects.filter(service_id=name)
    page = page_by_id(rows, cursor=cursor, limit=limit)
    older = rows.filter(pk__lt=page.items[-1].pk).order_by("-pk").first() if page.items else None
    return [
        _view(row, page.items[at + 1] if at + 1 < len(page.items) else older) for at, row in enumerate(page.items)
    ], page


def _view(row: ServiceVersion, before: ServiceVersion | None) -> VersionView:
    changes = compared(before.definition, row.definition) if before is not None else []
    return VersionView(row, changes, before is None)


def version_of(name: str, version: int) -> ServiceVersion:
    """Raises :class:`NotFound`."""
    found = ServiceVersion.objects.filter(service_id=name, version=version).first()
    if found is None:
        text = _("{name} has no version {version} that was kept.").format(name=name, version=version)
        raise NotFound(text, detail={"service": name, "version": version})
    return found


def compared(before: Definition, after: Definition) -> list[Difference]:
    """What differs, as it may be shown."""
    return [
        Difference(path, shown_value(path, old), shown_value(path, new))
        for path, old, new in differences(before, after)
    ]


def drift(service: Service) -> list[Difference] | None:
    """What was edited here and is otherwise in config/services.yaml, as of its last sync; None without a file.

    ``before`` is what the file says.
    """
    if service.file_state is None:
        return None
    try:
        file = check_definition(service.file_state)
    except Invalid:
        # Written by an older release, whose options have changed since: the next sync says so with line and field.
        file = {**definition_of(service), **service.file_state}
    return compared(file, definition_of(service))

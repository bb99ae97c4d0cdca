"""Changes to services. Each is one transaction with its audit row and bumps ``config_version``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from apps.audit.services import changed_fields, record
from apps.core import actor as may
from apps.core import clock
from apps.core.actor import Actor, require
from apps.core.errors import Conflict, Invalid, NotFound
from apps.services.definition import FIELDS, check_definition, definition_of, store_definition, unknown_key
from apps.services.models import Service
from apps.services.shown import shown_definition
from apps.services.signals import announce
from apps.services.versions import keep_version, version_of


def locked(name: str) -> Service:
    """The service, held against other changes until the transaction ends; raises :class:`NotFound`."""
    service = Service.objects.select_for_update().filter(pk=name).first()
    if service is None:
        raise NotFound(_("There is no service named {name!r}.").format(name=name), detail={"service": name})
    return service


@transaction.atomic
def create_service(*, name: str, definition: Mapping[str, Any], actor: Actor, reason: str = "") -> Service:
    """Add a service that is not in config/services.yaml. Raises Invalid (fields named) and Conflict."""
    require(actor, may.SERVICES_EDIT)
    if not Service.NAME.fullmatch(name):
        raise Invalid.field("name", _("use lower-case letters, digits, - and _, beginning with a letter, at most 64"))
    if Service.objects.filter(pk=name).exists():
        raise Conflict(_("There is already a service named {name}.").format(name=name), detail={"service": name})
    service = Service(name=name, config_version=1)
    store_definition(service, check_definition(definition))
    service.save(force_insert=True)
    keep_version(service, by=str(actor), reason=reason)
    _record(service, actor, "service.created", after=shown_definition(service), reason=reason)
    return service


@transaction.atomic
def update_service(
    *, name: str, changes: Mapping[str, Any], actor: Actor, reason: str = "", seen_version: int | None = None
) -> Service:
    """Replace the fields in ``changes`` (a mapping such as ``retry`` as a whole).

    ``seen_version`` is the config_version the person looked at; a newer one raises :class:`Conflict`
    instead of overwriting somebody's edit. Raises :class:`Invalid` with every wrong field.
    """
    require(actor, may.SERVICES_EDIT)
    unknown = [unknown_key(field, FIELDS) for field in changes if field not in FIELDS]
    if unknown:
        raise Invalid.fields(unknown)
    service = locked(name)
    _refuse_stale(service, seen_version)
    before, was, was_version = shown_definition(service), definition_of(service), service.config_version
    store_definition(service, check_definition({**definition_of(service), **changes}))
    old, new = changed_fields(before, shown_definition(service))
    # A value that is masked everywhere else (a header with a token) counts as changed, too.
    if old or new or was != definition_of(service):
        _bump(service)
        keep_version(service, by=str(actor), reason=reason, before=(was_version, was))
        _record(service, actor, "service.changed", before=old, after=new, reason=reason)
    return service


@transaction.atomic
def restore_version(*, name: str, version: int, actor: Actor, reason: str, seen_version: int | None = None) -> Service:
    """Bring the settings of an earlier version back, as a new change. Raises as :func:`update_service` does."""
    require(actor, may.SERVICES_EDIT)
    kept = version_of(name, version)
    return update_service(name=name, changes=kept.definition, actor=actor, reason=reason, seen_version=seen_version)


def _refuse_stale(service: Service, seen_version: int | None) -> None:
    if seen_version is not None and seen_version != service.config_version:
        text = _("{name} was changed by someone else meanwhile. Reload, look at what changed, and edit again.")
        raise Conflict(
            text.format(name=service.name),
            detail={"seen_version": seen_version, "config_version": service.config_version},
        )


def _bump(service: Service) -> None:
    service.config_version += 1
    service.save()


def _record(service: Service, actor: Actor, action: str, **facts: Any) -> None:
    record(actor=actor, action=action, target=f"service:{service.name}", **facts)
    announce(service.name)


@transaction.atomic
def pause(*, name: str, actor: Actor, reason: str) -> Service:
    """Stop delivering to a service; accepting goes on. Pausing a paused one changes nothing."""
    require(actor, may.SERVICES_PAUSE)
    if not reason.strip():
        raise Invalid.field("reason", _("say why, for whoever finds the service paused"))
    service = locked(name)
    if service.paused_at is not None:
        return service
    service.paused_at, service.paused_by, service.paused_reason = clock.now(), str(actor)[:200], reason.strip()
    _bump(service)
    _record(service, actor, "service.paused", reason=reason)
    return service


@transaction.atomic
def resume(*, name: str, actor: Actor, reason: str = "") -> Service:
    """Deliver again. Resuming a service that is not paused changes nothing."""
    require(actor, may.SERVICES_PAUSE)
    service = locked(name)
    if service.paused_at is None:
        return service
    before = {"paused_by": service.paused_by, "paused_reason": service.paused_reason}
    service.paused_at, service.paused_by, service.paused_reason = None, "", ""
    _bump(service)
    _record(service, actor, "service.resumed", before=before, reason=reason)
    return service


@transaction.atomic
def rotate_secret(*, name: str, secret: str, actor: Actor, reason: str = "") -> Service:
    """Make ``secret`` the current one; the one before it stays live until retired, so receivers can follow."""
    require(actor, may.SERVICES_EDIT)
    service = locked(name)
    if not secret or len(secret) > 10_000 or "\x00" in secret:
        raise Invalid.field("secret", _("must be text of 1 to 10000 characters without NUL"))
    if secret == service.secret:
        raise Invalid.field("secret", _("is the current secret already"))
    service.secret, service.previous_secret = secret, service.secret
    _bump(service)
    _record(service, actor, "service.secret_rotated", reason=reason)
    return service


@transaction.atomic
def retire_previous_secret(*, name: str, actor: Actor, reason: str = "") -> Service:
    """End the overlap of a rotation: only the current secret stays live."""
    require(actor, may.SERVICES_EDIT)
    service = locked(name)
    if service.previous_secret:
        service.previous_secret = ""
        _bump(service)
        _record(service, actor, "service.secret_retired", reason=reason)
    return service

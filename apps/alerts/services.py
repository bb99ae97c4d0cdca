"""Changes to sources of alerts. Each is one transaction with its audit row."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.alerts import tokens
from apps.alerts.models import AlertSource, SourceKind
from apps.alerts.own import SOURCE
from apps.audit.services import record
from apps.core import clock
from apps.core.actor import ALERTS_EDIT, Actor, require
from apps.core.errors import Conflict, Invalid, NotFound


@dataclass(frozen=True, slots=True)
class NewToken:
    """``token`` is not stored and cannot be shown again."""

    source: AlertSource
    token: str


@transaction.atomic
def create_source(
    *, name: str, actor: Actor, kind: str = SourceKind.ALERTMANAGER, api_url: str = "", watchdog: str = "Watchdog"
) -> NewToken:
    """Make a source and its token. Raises Invalid, and Conflict when the name is taken."""
    require(actor, ALERTS_EDIT)
    if kind not in SourceKind.values or kind == SourceKind.PORTAL:
        raise Invalid.field("kind", _("must be one of {known}").format(known="alertmanager, grafana, vmalert"))
    if not name.replace("-", "").replace("_", "").isalnum() or len(name) > 64 or not name.isascii() or name == SOURCE:
        raise Invalid.field(
            "name", _("use letters, digits, - and _, up to 64; {taken} is the portal itself").format(taken=SOURCE)
        )
    if api_url and not api_url.startswith(("http://", "https://")):
        raise Invalid.field("api_url", _("is the address of Alertmanager, such as http://alertmanager:9093"))
    token = tokens.make()
    source = AlertSource(name=name, kind=kind, api_url=api_url, watchdog=watchdog, token_hash=tokens.digest(token))
    source.created_by = str(actor)
    try:
        with transaction.atomic():
            source.save(force_insert=True)
    except IntegrityError:
        raise Conflict(_("There is already a source of alerts named {name}.").format(name=name)) from None
    record(actor=actor, action="alertsource.created", target=f"alertsource:{name}", after={"kind": kind})
    return NewToken(source, token)


@transaction.atomic
def rotate_token(*, name: str, actor: Actor) -> NewToken:
    """A new token; the one before it stays good until the next rotation, so nothing is refused meanwhile."""
    require(actor, ALERTS_EDIT)
    source = _locked(name)
    token = tokens.make()
    source.previous_token_hash, source.token_hash = source.token_hash, tokens.digest(token)
    source.save(update_fields=["previous_token_hash", "token_hash"])
    record(actor=actor, action="alertsource.rotated", target=f"alertsource:{name}")
    return NewToken(source, token)


@transaction.atomic
def end_previous_token(*, name: str, actor: Actor) -> AlertSource:
    """From now on only the newest token is good."""
    require(actor, ALERTS_EDIT)
    source = _locked(name)
    source.previous_token_hash = None
    source.save(update_fields=["previous_token_hash"])
    record(actor=actor, action="alertsource.old_token_ended", target=f"alertsource:{name}")
    return source


@transaction.atomic
def disable_source(*, name: str, actor: Actor, reason: str) -> AlertSource:
    """Refuse its posts from now on; what it sent is kept."""
    require(actor, ALERTS_EDIT)
    source = _locked(name)
    source.disabled_at = clock.now()
    source.save(update_fields=["disabled_at"])
    record(actor=actor, action="alertsource.disabled", target=f"alertsource:{name}", reason=reason)
    return source


def _locked(name: str) -> AlertSource:
    source = AlertSource.objects.select_for_update().filter(pk=name).exclude(kind=SourceKind.PORTAL).first()
    if source is None:
        raise NotFound(
            _("There is no source of alerts named {name}. `manage.py alertsource list` shows them.").format(name=name)
        )
    return source

"""Changes to sources of alerts and to what they posted. Each is one transaction with its audit row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.alerts import tokens
from apps.alerts.models import AlertDelivery, AlertSource, DeliveryState, Refusal, SourceKind
from apps.alerts.nudge import nudge
from apps.alerts.own import SOURCE
from apps.audit.services import record
from apps.core.actor import ALERTS_EDIT, ALERTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound

# Names that addresses of pages need, and our own.
TAKEN: Final = (SOURCE, "new")
WATCHDOG_TIMEOUT: Final = 900
SHORTEST_TIMEOUT: Final = 30
LONGEST_TIMEOUT: Final = 7 * 24 * 3600
MAX_SECRET: Final = 4000
CHANGEABLE: Final = (
    *("api_url", "api_secret", "api_at", "api_problem"),
    *("watchdog", "watchdog_timeout", "watchdog_at", "blind_since", "alive_since"),
)


@dataclass(frozen=True, slots=True)
class NewToken:
    """``token`` is not stored and cannot be shown again."""

    source: AlertSource
    token: str


@transaction.atomic
def create_source(
    *,
    name: str,
    actor: Actor,
    kind: str = SourceKind.ALERTMANAGER,
    api_url: str = "",
    watchdog: str = "Watchdog",
    watchdog_timeout: int = WATCHDOG_TIMEOUT,
) -> NewToken:
    """Make a source and its token. Raises Invalid, and Conflict when the name is taken."""
    require(actor, ALERTS_EDIT)
    problems = [*_name_problems(name, kind), *_problems(api_url, watchdog, watchdog_timeout)]
    if problems:
        raise Invalid.fields(problems)
    token = tokens.make()
    source = AlertSource(name=name, kind=kind, api_url=api_url, watchdog=watchdog, token_hash=tokens.digest(token))
    source.watchdog_timeout = watchdog_timeout
    source.created_by = str(actor)
    try:
        with transaction.atomic():
            source.save(force_insert=True)
    except IntegrityError:
        raise Conflict(_("There is already a source of alerts named {name}.").format(name=name)) from None
    after = {"kind": kind, **_shown(source)}
    record(actor=actor, action="alertsource.created", target=f"alertsource:{name}", after=after)
    return NewToken(source, token)


def _name_problems(name: str, kind: str) -> list[dict[str, str]]:
    problems = []
    if kind not in SourceKind.values or kind == SourceKind.PORTAL:
        text = _("must be one of {known}").format(known="alertmanager, grafana, vmalert")
        problems.append({"field": "kind", "message": text})
    plain = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    if not plain or len(name) > 64 or name in TAKEN:
        text = _("use letters, digits, - and _, up to 64; {taken} are taken by the portal itself")
        problems.append({"field": "name", "message": text.format(taken=", ".join(TAKEN))})
    return problems


def _problems(api_url: str, watchdog: str, watchdog_timeout: int) -> list[dict[str, str]]:
    problems = []
    if api_url and not _is_address(api_url):
        text = _("is the address of Alertmanager, such as http://alertmanager:9093")
        problems.append({"field": "api_url", "message": text})
    if len(watchdog) > 100 or not watchdog.isprintable():
        text = _("is the alertname of one alert, up to 100 characters")
        problems.append({"field": "watchdog", "message": text})
    if not SHORTEST_TIMEOUT <= watchdog_timeout <= LONGEST_TIMEOUT:
        text = _("must be from {least} to {most} seconds").format(least=SHORTEST_TIMEOUT, most=LONGEST_TIMEOUT)
        problems.append({"field": "watchdog_timeout", "message": text})
    return problems


def _is_address(text: str) -> bool:
    """A base address: the path of the API is put behind it, and its secret has a field of its own."""
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = text.isprintable() and " " not in text and len(text) <= 500
    return fits and plain and not (parts.username or parts.password or parts.query or parts.fragment)


def _shown(source: AlertSource) -> dict[str, Any]:
    """For the trail: everything but secrets."""
    names = ("api_url", "watchdog", "watchdog_timeout")
    return {name: getattr(source, name) for name in names} | {"api_secret": bool(source.api_secret)}


@transaction.atomic
def change_source(
    *,
    name: str,
    actor: Actor,
    api_url: str,
    watchdog: str,
    watchdog_timeout: int,
    api_secret: str | None = None,
    reason: str = "",
) -> AlertSource:
    """``api_secret`` None leaves it as it is, empty takes it away. Raises Invalid naming each field."""
    require(actor, ALERTS_EDIT)
    problems = _problems(api_url, watchdog, watchdog_timeout)
    if api_secret and (len(api_secret) > MAX_SECRET or not api_secret.isprintable()):
        text = _("is one line of up to {most} characters").format(most=MAX_SECRET)
        problems.append({"field": "api_secret", "message": text})
    if problems:
        raise Invalid.fields(problems)
    source = _locked(name)
    before = _shown(source)
    if source.api_url != api_url:
        # What the old address answered, or failed to, says nothing of the new one.
        source.api_at, source.api_problem = None, ""
        # Nor may a secret follow to another host by an edit that did not mean it.
        source.api_secret = "" if api_secret is None and _host(source.api_url) != _host(api_url) else source.api_secret
    if source.watchdog != watchdog:
        # What was heard of another heartbeat says nothing of this one: until it is heard nobody can tell.
        source.watchdog_at = source.blind_since = source.alive_since = None
    source.api_url, source.watchdog, source.watchdog_timeout = api_url, watchdog, watchdog_timeout
    source.api_secret = source.api_secret if api_secret is None else api_secret
    source.save(update_fields=CHANGEABLE)
    after = _shown(source) | ({"api_secret": "changed"} if api_secret else {})
    record(
        actor=actor,
        action="alertsource.changed",
        target=f"alertsource:{name}",
        before=before,
        after=after,
        reason=reason,
    )
    return source


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


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
    if source.previous_token_hash is None:
        raise Conflict(_("{name} has one token; there is no older one to end.").format(name=name))
    source.previous_token_hash = None
    source.save(update_fields=["previous_token_hash"])
    record(actor=actor, action="alertsource.old_token_ended", target=f"alertsource:{name}")
    return source


@transaction.atomic
def disable_source(*, name: str, actor: Actor, reason: str) -> AlertSource:
    """Refuse its posts from now on; what it sent is kept."""
    require(actor, ALERTS_EDIT)
    source = _locked(name)
    if source.disabled_at is not None:
        raise Conflict(_("{name} is disabled already.").format(name=name))
    source.disabled_at = database_now()
    source.save(update_fields=["disabled_at"])
    record(actor=actor, action="alertsource.disabled", target=f"alertsource:{name}", reason=reason)
    return source


@transaction.atomic
def enable_source(*, name: str, actor: Actor, reason: str = "") -> AlertSource:
    """Take its posts again, with the tokens it had."""
    require(actor, ALERTS_EDIT)
    source = _locked(name)
    if source.disabled_at is None:
        raise Conflict(_("{name} is not disabled.").format(name=name))
    source.disabled_at = None
    source.save(update_fields=["disabled_at"])
    record(actor=actor, action="alertsource.enabled", target=f"alertsource:{name}", reason=reason)
    return source


@transaction.atomic
def retry_delivery(*, delivery_id: int, actor: Actor, reason: str = "") -> AlertDelivery:
    """A delivery that was put aside whole is read again, as what it was: stored when it was stored.

    Raises Conflict for one that is not put aside: its alerts are in the log already.
    """
    require(actor, ALERTS_WORK)
    delivery = AlertDelivery.objects.select_for_update().defer("body").filter(pk=delivery_id).first()
    if delivery is None:
        raise NotFound(_("There is no delivery {number}.").format(number=delivery_id))
    if delivery.state != DeliveryState.QUARANTINED:
        raise Conflict(_("Delivery {number} is not put aside; it was taken in.").format(number=delivery_id))
    before = {"problem": delivery.problem, "tries": delivery.tries}
    delivery.state, delivery.tries, delivery.problem = DeliveryState.STORED, 0, ""
    delivery.processed_at = None
    delivery.save(update_fields=["state", "tries", "problem", "processed_at"])
    target = f"alertdelivery:{delivery_id}"
    record(actor=actor, action="alertdelivery.retried", target=target, before=before, reason=reason)
    nudge()
    return delivery


@transaction.atomic
def forget_refusal(*, refusal_id: int, actor: Actor) -> None:
    """Its cause was seen to: counted anew should it happen again."""
    require(actor, ALERTS_EDIT)
    refusal = Refusal.objects.select_for_update().filter(pk=refusal_id).first()
    if refusal is None:
        raise NotFound(_("These refusals are no longer counted: somebody has cleared them."))
    before = {"reason": refusal.reason, "address": refusal.address, "count": refusal.count}
    record(actor=actor, action="alertsource.refusal_cleared", target="alert refusals", before=before)
    refusal.delete()


def _locked(name: str) -> AlertSource:
    source = AlertSource.objects.select_for_update().filter(pk=name).exclude(kind=SourceKind.PORTAL).first()
    if source is None:
        raise NotFound(
            _("There is no source of alerts named {name}. `manage.py alertsource list` shows them.").format(name=name)
        )
    return source

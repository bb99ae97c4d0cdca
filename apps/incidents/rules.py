"""Rules that open incidents by themselves: what one takes, and its changes by people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _
from pydantic import ValidationError

from apps.alerts.routing import Route, Step
from apps.audit.services import changed_fields, record
from apps.core.actor import INCIDENTS_EDIT, Actor, require
from apps.core.errors import Conflict, Invalid, NotFound
from apps.incidents.models import Rule, Severity

LONGEST_S: Final = 7 * 24 * 3600
MOST_TOGETHER: Final = 1000
KEPT: Final = ("match", "after_s", "at_least", "severity", "enabled", "resolve_after_s")


def matcher(match: Mapping[str, Any]) -> Route:
    """``match`` read exactly as a route of the routing reads it: ``.matches(facts)``. Raises Invalid."""
    try:
        return Route(name="rule", match=dict(match), steps=[Step(after=0, notify=["nobody"])])
    except (ValidationError, TypeError, ValueError) as error:
        raise Invalid.field("match", _problem(error)) from None


def as_text(match: Mapping[str, Any]) -> str:
    """For an editor."""
    return json.dumps(match, ensure_ascii=False, indent=2)


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(found["msg"].removeprefix("Value error, ") for found in error.errors(include_url=False))
    return str(error)


@transaction.atomic
def save_rule(
    *,
    name: str,
    actor: Actor,
    match: Mapping[str, Any],
    severity: str,
    after_s: int = 0,
    at_least: int = 1,
    resolve_after_s: int | None = 300,
    enabled: bool = True,
    seen_version: int | None = None,
    reason: str = "",
) -> Rule:
    """Make a rule, or change one: then ``seen_version`` is the one the person looked at."""
    require(actor, INCIDENTS_EDIT)
    _check(name, match, severity, after_s, at_least, resolve_after_s)
    rule = Rule.objects.select_for_update().filter(pk=name).first()
    _fresh(name, rule, seen_version)
    before = _facts(rule) if rule else {}
    made = rule or Rule(name=name, created_by=str(actor)[:200])
    made.match, made.severity, made.after_s, made.at_least = dict(match), severity, after_s, at_least
    made.resolve_after_s, made.enabled = resolve_after_s, enabled
    was, became = changed_fields(before, _facts(made))
    if rule is not None and not became:
        return made
    made.version = made.version + 1 if rule else 1
    made.save(force_insert=rule is None)
    _noted(
        made.name,
        "incidentrule.changed" if rule else "incidentrule.created",
        actor,
        reason,
        before=was or None,
        after=became,
    )
    return made


def _fresh(name: str, rule: Rule | None, seen_version: int | None) -> None:
    if rule is None and seen_version is not None:
        raise NotFound(_gone(name))
    if rule is not None and seen_version is None:
        raise Conflict(_("There is already a rule named {name}.").format(name=name))
    if rule is not None and rule.version != seen_version:
        raise Conflict(_("The rule {name} was changed meanwhile. Look at it again.").format(name=name))


@transaction.atomic
def switch_rule(*, name: str, actor: Actor, enabled: bool) -> Rule:
    """Twice is once. Incidents that are open stay open."""
    require(actor, INCIDENTS_EDIT)
    rule = _held(name)
    if rule.enabled != enabled:
        rule.enabled, rule.version = enabled, rule.version + 1
        rule.save(update_fields=["enabled", "version"])
        _noted(name, "incidentrule.switched_on" if enabled else "incidentrule.switched_off", actor, "")
    return rule


@transaction.atomic
def delete_rule(*, name: str, actor: Actor, reason: str = "") -> None:
    """Its incidents stay, and are no longer resolved by themselves."""
    require(actor, INCIDENTS_EDIT)
    rule = _held(name)
    before = _facts(rule)
    rule.delete()
    _noted(name, "incidentrule.deleted", actor, reason, before=before)


def _noted(name: str, action: str, actor: Actor, reason: str, **change: Any) -> None:
    record(actor=actor, action=action, target=f"incidentrule:{name}", reason=reason, **change)


def _held(name: str) -> Rule:
    rule = Rule.objects.select_for_update().filter(pk=name).first()
    if rule is None:
        raise NotFound(_gone(name))
    return rule


def _gone(name: str) -> str:
    return _("There is no rule named {name}: it was deleted meanwhile.").format(name=name)


def _facts(rule: Rule) -> dict[str, Any]:
    return {field: getattr(rule, field) for field in KEPT}


def _check(
    name: str, match: Mapping[str, Any], severity: str, after_s: int, at_least: int, resolve_after_s: int | None
) -> None:
    if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii() or len(name) > 64:
        raise Invalid.field("name", _("use letters, digits, - and _, up to 64"))
    if severity not in Severity.values:
        raise Invalid.field("severity", _("must be one of {known}").format(known=", ".join(Severity.values)))
    if not 0 <= after_s <= LONGEST_S:
        raise Invalid.field("after_s", _("must be from 0 seconds to 7 days"))
    if resolve_after_s is not None and not 0 <= resolve_after_s <= LONGEST_S:
        raise Invalid.field("resolve_after_s", _("must be from 0 seconds to 7 days"))
    if not 1 <= at_least <= MOST_TOGETHER:
        raise Invalid.field("at_least", _("must be from 1 to {most}").format(most=MOST_TOGETHER))
    matcher(match)

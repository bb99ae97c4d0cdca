"""The definition of a service as plain values: what it may hold, and how two of them are merged. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.core.errors import Invalid
from apps.services.channel_checks import checked_settings
from apps.services.models import Channel, Criticality, Service
from apps.services.policies import BreakerPolicy, Limits, Ordering, Policy, Probe, RetryPolicy

Definition = dict[str, Any]
Problems = list[dict[str, str]]

POLICIES: Final[dict[str, type[Policy]]] = {
    "retry": RetryPolicy,
    "breaker": BreakerPolicy,
    "limits": Limits,
    "ordering": Ordering,
    "probe": Probe,
}
TEXTS: Final[dict[str, int]] = {"owner": 100, "runbook_url": 500}
MAPPINGS: Final = ("settings", *POLICIES)
FIELDS: Final = ("owner", "criticality", "channel", "settings", *POLICIES, "runbook_url")
EMPTY: Final[Definition] = {
    "owner": "",
    "criticality": Criticality.NORMAL.value,
    "runbook_url": "",
    **{name: {} for name in MAPPINGS},
}


def check_definition(given: Mapping[str, Any]) -> Definition:
    """A complete, storable definition; raises :class:`Invalid` with every problem and its field."""
    problems: Problems = [unknown_key(name, FIELDS) for name in given if name not in FIELDS]
    found: Definition = {**EMPTY, **{name: given[name] for name in FIELDS if given.get(name) is not None}}
    for check in (_check_texts, _check_choices, _check_policies, _check_settings):
        problems += check(found)
    if problems:
        raise Invalid.fields(problems)
    return found


def unknown_key(name: str, known: tuple[str, ...]) -> dict[str, str]:
    """The problem of a key nobody knows, with a guess at what was meant."""
    close = difflib.get_close_matches(str(name), known, n=1)
    text = (
        _("is not a known key. Did you mean {close}?").format(close=close[0])
        if close
        else _("is not a known key. Known: {known}").format(known=", ".join(known))
    )
    return {"field": str(name), "message": text}


def _check_texts(found: Definition) -> Problems:
    return [
        {"field": name, "message": _("must be one line of text, at most {most} characters").format(most=longest)}
        for name, longest in TEXTS.items()
        if not isinstance(found[name], str) or len(found[name]) > longest or not found[name].isprintable()
    ] + _check_runbook(found["runbook_url"])


def _check_runbook(url: Any) -> Problems:
    if isinstance(url, str) and url and not url.startswith(("https://", "http://", "/")):
        return [{"field": "runbook_url", "message": _("must begin with https:// or http://")}]
    return []


def _check_choices(found: Definition) -> Problems:
    problems = []
    if found["criticality"] not in Criticality.values:
        problems.append(_not_one_of("criticality", found["criticality"], Criticality.values))
    if "channel" not in found:
        text = _("is missing. Use one of {known}").format(known=", ".join(Channel.values))
        problems.append({"field": "channel", "message": text})
    elif found["channel"] not in Channel.values:
        problems.append(_not_one_of("channel", found["channel"], Channel.values))
    return problems


def _not_one_of(field: str, value: Any, known: list[str]) -> dict[str, str]:
    text = _("{value!r} is not known. Use one of {known}").format(value=value, known=", ".join(known))
    return {"field": field, "message": text}


def _check_policies(found: Definition) -> Problems:
    problems: Problems = []
    for name, policy in POLICIES.items():
        if not isinstance(found[name], Mapping):
            problems.append({"field": name, "message": _(_("must be a mapping of options"))})
            continue
        problems += _problems_of(policy.parse, found[name], at=name)
    return problems


def _problems_of(parse: Callable[..., Any], *given: Any, **named: Any) -> Problems:
    try:
        parse(*given, **named)
    except Invalid as error:
        return list(error.detail)
    return []


def _check_settings(found: Definition) -> Problems:
    if not isinstance(found["settings"], Mapping):
        return [{"field": "settings", "message": "must be a mapping of options"}]
    if found.get("channel") not in Channel.values:
        return []
    try:
        found["settings"] = checked_settings(found["channel"], found["settings"])
    except Invalid as error:
        return list(error.detail)
    return []


def definition_of(service: Service) -> Definition:
    """The definition a stored service has now."""
    return {name: getattr(service, name) for name in FIELDS}


def store_definition(service: Service, found: Definition) -> None:
    """Put a checked definition onto ``service``; the caller saves it."""
    for name in FIELDS:
        setattr(service, name, found[name])
    service.secret_ref = found["settings"].get("secret_ref", "")


# --- merging -------------------------------------------------------------------------------------
# A definition is flattened to paths one level deep ("owner", "retry.base"), so that an edit of one
# option in the portal and a change of another in the file do not meet.


def flatten(found: Definition) -> dict[str, Any]:
    """``{"retry": {"base": 1}}`` to ``{"retry.base": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if name in MAPPINGS and isinstance(value, Mapping):
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            flat[name] = value
    return flat


def unflatten(flat: Mapping[str, Any]) -> Definition:
    """The way back; mappings without an option become empty ones."""
    found: Definition = {name: {} for name in MAPPINGS}
    for path, value in flat.items():
        name, _, key = path.partition(".")
        if key:
            found[name][key] = value
        else:
            found[name] = value
    return found


def merge(*, stored: Definition, before: Definition | None, after: Definition) -> Definition:
    """``stored`` with what changed in the file from ``before`` to ``after``; the rest stays as it is.

    Without ``before`` everything the file says counts as changed. Another channel brings its own
    settings: those of the old one would mean nothing to it.
    """
    old, new, merged = flatten(before or {}), flatten(after), flatten(stored)
    if merged.get("channel") != new.get("channel") and old.get("channel") != new.get("channel"):
        merged = {path: value for path, value in merged.items() if not path.startswith("settings.")}
        old = {path: value for path, value in old.items() if not path.startswith("settings.")}
    for path in old.keys() | new.keys():
        if path in old and path in new and old[path] == new[path]:
            continue
        if path in new:
            merged[path] = new[path]
        else:
            merged.pop(path, None)
    return unflatten(merged)


def differences(one: Definition, other: Definition) -> list[tuple[str, Any, Any]]:
    """(path, value in one, value in other) for each path that differs; None stands for "not set"."""
    first, second = flatten(one), flatten(other)
    paths = [path for path in sorted(first.keys() | second.keys()) if first.get(path) != second.get(path)]
    return [(path, first.get(path), second.get(path)) for path in paths]

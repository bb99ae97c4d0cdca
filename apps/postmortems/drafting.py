"""The first text of each section, put together from facts in plain sentences. Pure; English, as all that is stored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.utils import timezone, translation

from apps.core import human
from apps.postmortems.facts import figures_by_key, value_of

# An underscore within a word means nothing, and people will read and edit this.
_SPECIAL: Final = re.compile(r"([\\`*\[\]<>#!|~&]|(?<![^\W_])_|_(?![^\W_]))")


def drafted(facts: Mapping[str, Any]) -> dict[str, str]:
    """The sections that facts can say something about."""
    with translation.override("en"), timezone.override("UTC"):
        return {"summary": _summary(facts), "impact": _impact(facts), "trigger": _trigger(facts)}


def quoted(text: str) -> str:
    """``text`` from outside as one line of Markdown that means nothing but itself."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _clock(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"


def _summary(facts: Mapping[str, Any]) -> str:
    incident = facts["incident"]
    began = f"“{quoted(incident['title'])}” ({incident['severity'].upper()}) began at {_clock(incident['started_at'])}"
    took = value_of(facts, "to_resolve")
    if incident["resolved_at"] and took is not None:
        began += f" and was resolved at {_clock(incident['resolved_at'])}, {human.span(took)} later"
    sentences = [f"{began}."]
    if facts["services"]:
        sentences.append(f"It concerned {human.listed([quoted(name) for name in facts['services']])}.")
    if facts["alerts"]:
        names = list(dict.fromkeys(quoted(alert["name"]) for alert in facts["alerts"]))
        sentences.append(f"{_count(len(facts['alerts']), 'alert')} fired: {_some(names)}.")
    return " ".join(sentences)


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = list(names[:most])
    rest = len(names) - len(shown)
    return human.listed([*shown, f"{rest} more"] if rest else shown)


def _count(count: float, noun: str) -> str:
    return f"{human.number(count)} {noun}{'' if count == 1 else 's'}"


def _impact(facts: Mapping[str, Any]) -> str:
    sentences = [
        *_said(facts, "delayed", "message", "sent more than 60 s late, or still waited"),
        *_said(facts, "dead_lettered", "message", "dead-lettered"),
        *_said(facts, "expired", "message", "lost, because they expired before they could be sent"),
        *_said(facts, "failed", "attempt to deliver", "", "failed", plural="attempts to deliver"),
        *_breakers(facts),
    ]
    if not sentences:
        return "No message was delayed, dead-lettered or lost, as far as the portal knows."
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _said(facts: Mapping[str, Any], key: str, noun: str, what: str, verb: str = "", plural: str = "") -> list[str]:
    count = value_of(facts, key)
    if not count:
        return []
    subject = f"{human.number(count)} {noun if count == 1 else plural or noun + 's'}"
    told = verb or f"{'was' if count == 1 else 'were'} {what}"
    return [f"{subject} {told}{_by_service(facts, key, human.number)}."]


def _by_service(facts: Mapping[str, Any], key: str, words: Any) -> str:
    parts = figures_by_key(facts)[key]["parts"]
    if len(parts) < 2:
        return f" ({quoted(parts[0]['name'])})" if parts else ""
    shares = [f"{quoted(part['name'])} {words(part['value'])}" for part in parts]
    return f" ({human.listed(shares)})"


def _breakers(facts: Mapping[str, Any]) -> list[str]:
    parts = figures_by_key(facts).get("breaker_open", {}).get("parts", [])
    return [f"The breaker of {quoted(part['name'])} was open for {human.span(part['value'])}." for part in parts]


def _trigger(facts: Mapping[str, Any]) -> str:
    culprit = facts.get("culprit") or {}
    if culprit.get("title"):
        return f"Those who worked on it hold this for the cause: {quoted(culprit['title'])}."
    suspects = facts.get("suspects") or []
    if suspects:
        return f"Nobody has named the cause. The portal’s first suspect is {_suspected(suspects[0])}."
    return "Nothing is known to have changed shortly before it began."


def _suspected(one: Mapping[str, Any]) -> str:
    """Why it is suspected is said in short: the page says all of it."""
    when = f", at {_clock(one['at'])}" if one.get("at") else ""
    score = f" ({one['score']} of 100 points)" if one.get("score") else ""
    return f"“{quoted(one['title'])}”{when}{score}"

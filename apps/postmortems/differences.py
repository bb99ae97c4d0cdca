"""What later facts say that the ones of the draft do not, line by line. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apps.audit.canonical import canonical_json, plain

FIGURE: Final = "figure"
LINE: Final = "line"
CULPRIT: Final = "culprit"
INCIDENT: Final = "incident"
# What of a line is a fact. Its words may be said better by a later release, which is no news.
_OF_A_LINE: Final = ("at", "what", "detail", "text", "actor", "pinned")
_OF_AN_INCIDENT: Final = ("title", "severity", "started_at", "detected_at", "acknowledged_at", "resolved_at")


@dataclass(frozen=True, slots=True)
class Difference:
    """``before`` None: it is new. ``after`` None: it is gone. Both are pieces of the facts."""

    kind: str
    key: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def differences(facts: Mapping[str, Any], newer: Mapping[str, Any]) -> list[Difference]:
    """Of the incident, then figures, the culprit, and the timeline from its beginning."""
    return [
        *_of(INCIDENT, _incident(facts), _incident(newer)),
        *_of(FIGURE, _figures(facts), _figures(newer)),
        *_of(CULPRIT, _culprit(facts), _culprit(newer)),
        *sorted(_of(LINE, _lines(facts), _lines(newer)), key=_when),
    ]


def digest(facts: Mapping[str, Any]) -> str:
    """The same for facts that say the same, whenever they were asked."""
    said = {
        kind: {key: cut for key, (cut, _whole) in found.items()}
        for kind, found in (
            (INCIDENT, _incident(facts)),
            (FIGURE, _figures(facts)),
            (CULPRIT, _culprit(facts)),
            (LINE, _lines(facts)),
        )
    }
    return hashlib.sha256(canonical_json(plain(said)).encode()).hexdigest()


_Found = dict[str, tuple[Any, dict[str, Any]]]


def _of(kind: str, before: _Found, after: _Found) -> list[Difference]:
    found = []
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key), after.get(key)
        if (one and canonical_json(one[0])) != (other and canonical_json(other[0])):
            found.append(Difference(kind, key, one[1] if one else None, other[1] if other else None))
    return found


def _figures(facts: Mapping[str, Any]) -> _Found:
    return {
        figure["key"]: ([figure.get("value"), figure.get("parts")], dict(figure)) for figure in facts.get("figures", [])
    }


def _lines(facts: Mapping[str, Any]) -> _Found:
    return {
        f"{line['source']} {line['ref']}": ({name: line.get(name) for name in _OF_A_LINE}, dict(line))
        for line in facts.get("timeline", [])
    }


def _culprit(facts: Mapping[str, Any]) -> _Found:
    found = facts.get("culprit") or {}
    return {"": ({name: found.get(name) for name in ("kind", "ref", "title")}, dict(found))} if found else {}


def _incident(facts: Mapping[str, Any]) -> _Found:
    found = facts.get("incident") or {}
    return {name: (found.get(name), {"value": found.get(name)}) for name in _OF_AN_INCIDENT if name in found}


def _when(difference: Difference) -> tuple[str, str]:
    line = difference.after or difference.before or {}
    return str(line.get("at", "")), difference.key

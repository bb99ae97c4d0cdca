"""Who did it? What changed near the start of an incident, ranked by a score that says in words what it is made of.

The score is a sum of whole points, at most 100, each part with its reason. It is an aid to look, not a verdict: a
person names the cause (:mod:`apps.incidents.suspects_naming`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import human
from apps.incidents.models import Incident
from apps.incidents.suspects_found import KINDS
from apps.incidents.suspects_kinds import KIND_POINTS, SUSPECTS, Candidate, SuspectKind, Window, register
from apps.incidents.timeline.collecting import scope_of
from apps.incidents.timeline.words import text_of, title_of
from apps.services.models import Service

log = structlog.get_logger(__name__)

BEFORE: Final = timedelta(hours=2)
AFTER: Final = timedelta(minutes=10)
# Starts are written down to the minute, and clocks differ: so soon after it counts as at the start.
AT_THE_START: Final = timedelta(minutes=1)
SHOWN: Final = 20

# What counts how much. Whatever is before the start gets more for its time alone than anything after it.
BEFORE_POINTS: Final = 20
CLOSE_POINTS: Final = 30
CLOSE_AFTER_POINTS: Final = 15
SERVICE_POINTS: Final = 20
SHARE_POINTS: Final = 5
CRITICAL_POINTS: Final = 5


for _kind in KINDS:
    register(_kind)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a score, and why it is so much."""

    name: str
    points: int
    most: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """``score`` is the sum of the points of ``parts``. ``named``: people hold it for the cause."""

    candidate: Candidate
    icon: str
    label: str
    parts: tuple[Part, ...]
    alike: int = 0
    named: bool = False

    @property
    def score(self) -> int:
        return sum(part.points for part in self.parts)

    @property
    def title(self) -> str:
        return title_of(self.candidate.what, self.candidate.detail)

    @property
    def text(self) -> str:
        return text_of(self.candidate.what, self.candidate.detail)

    @property
    def sentences(self) -> list[str]:
        return [part.words for part in self.parts]


@dataclass(frozen=True, slots=True)
class Scene:
    """What suspects are held against: when it began, which services suffer, and which of all are critical."""

    began: datetime
    services: frozenset[str]
    critical: frozenset[str]


def rank(incident: Incident, now: datetime) -> list[Suspect]:
    """What may have caused ``incident``, the likeliest first. A kind that cannot be read is left out and logged."""
    scope = scope_of(incident, now)
    critical = Service.objects.filter(criticality="critical").values_list("name", flat=True)
    scene = Scene(scope.began, frozenset(scope.services), frozenset(critical))
    window = Window(scope.began - BEFORE, min(now, scope.began + AFTER))
    found = [suspect(one, scene, incident.culprit) for one in _candidates(window)]
    return ranked(found, scene)[:SHOWN]


def _candidates(window: Window) -> list[Candidate]:
    """Of all kinds in one transaction; if one of them breaks, each in its own, so that only that one is missing."""
    try:
        with transaction.atomic():
            return [one for kind in SUSPECTS.values() for one in _within(kind, window)]
    except Exception:
        log.warning("suspects.one_by_one", exc_info=True)
    return [one for kind in SUSPECTS.values() for one in _found(kind, window)]


def _within(kind: SuspectKind, window: Window) -> list[Candidate]:
    return [one for one in kind.find(window) if window.since <= one.at <= window.until]


def _found(kind: SuspectKind, window: Window) -> Sequence[Candidate]:
    try:
        with transaction.atomic():
            return _within(kind, window)
    except Exception:
        log.exception("suspects.kind_failed", kind=kind.name)
        return []


def suspect(one: Candidate, scene: Scene, culprit: Mapping[str, Any]) -> Suspect:
    kind = SUSPECTS[one.kind]
    named = (culprit.get("kind"), culprit.get("ref")) == (one.kind, one.ref)
    return Suspect(candidate=one, icon=kind.icon, label=str(kind.label), parts=scored(one, scene), named=named)


def ranked(found: Iterable[Suspect], scene: Scene) -> list[Suspect]:
    """By score; of equals the closer one first, and of those the one before the start. One of each group."""
    order = sorted(found, key=lambda one: _order(one, scene))
    groups: dict[str, list[Suspect]] = {}
    for one in order:
        groups.setdefault(one.candidate.group or f"{one.candidate.kind}:{one.candidate.ref}", []).append(one)
    firsts = [_with_alike(alike) for alike in groups.values()]
    return sorted(firsts, key=lambda one: _order(one, scene))


def _order(one: Suspect, scene: Scene) -> tuple[Any, ...]:
    away = one.candidate.at - scene.began
    return (-one.score, abs(away), away > timedelta(0), one.candidate.kind, one.candidate.ref)


def _with_alike(alike: Sequence[Suspect]) -> Suspect:
    """The best of a group; if people named another one of it, that one."""
    best = next((one for one in alike if one.named), alike[0])
    return Suspect(
        candidate=best.candidate,
        icon=best.icon,
        label=best.label,
        parts=best.parts,
        alike=len(alike) - 1,
        named=best.named,
    )


# --- the score ------------------------------------------------------------------------------------
def scored(one: Candidate, scene: Scene) -> tuple[Part, ...]:
    """Pure. Closer is never less; something after the start is always less than the same thing before it."""
    away = one.at - scene.began
    return (_order_part(away), _close_part(away), _service_part(one, scene), _kind_part(one), _reach_part(one, scene))


def _order_part(away: timedelta) -> Part:
    if away > AT_THE_START:
        return Part("order", 0, BEFORE_POINTS, _("After the start, so rather a consequence"))
    text = _("When it began") if away > timedelta(0) else _("Before the start")
    return Part("order", BEFORE_POINTS, BEFORE_POINTS, text)


def _close_part(away: timedelta) -> Part:
    after = away > AT_THE_START
    most, window = (CLOSE_AFTER_POINTS, AFTER) if after else (CLOSE_POINTS, BEFORE)
    distance = max(timedelta(0), away if after else -away)
    points = round(most * max(0.0, 1 - distance / window))
    span = human.span(abs(away.total_seconds()))
    text = _("{time} after the start") if away > timedelta(0) else _("{time} before the start")
    return Part("closeness", points, CLOSE_POINTS, text.format(time=span))


def _service_part(one: Candidate, scene: Scene) -> Part:
    shared = sorted(scene.services.intersection(one.services))
    if shared:
        text = ngettext("It changed {names}, which is affected", "It changed {names}, which are affected", len(shared))
        return Part("service", SERVICE_POINTS, SERVICE_POINTS, text.format(names=human.listed(shared)))
    if not one.services:
        return Part("service", 0, SERVICE_POINTS, _("It belongs to no service in particular"))
    if not scene.services:
        return Part("service", 0, SERVICE_POINTS, _("The incident names no service yet"))
    text = _("{names}: not among the affected services").format(names=human.listed(sorted(one.services)))
    return Part("service", 0, SERVICE_POINTS, text)


def _kind_part(one: Candidate) -> Part:
    kind = SUSPECTS[one.kind]
    text = _("{kind}: to blame this often, as experience goes").format(kind=str(kind.label))
    return Part("kind", kind.weight, KIND_POINTS, text)


def _reach_part(one: Candidate, scene: Scene) -> Part:
    """How much of what suffers it touched, and whether something critical is among what it touched."""
    shared, whole = scene.services.intersection(one.services), len(scene.services)
    critical = sorted(scene.critical.intersection(one.services))
    points = (round(SHARE_POINTS * len(shared) / whole) if whole else 0) + (CRITICAL_POINTS if critical else 0)
    text = _("It reached {part} of {whole} affected services").format(part=len(shared), whole=whole)
    if critical:
        text += ", " + _("{names} critical").format(names=human.listed(critical))
    return Part("reach", points, SHARE_POINTS + CRITICAL_POINTS, text)

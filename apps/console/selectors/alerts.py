"""Alerts as a page shows them: their state in words, what is special about them, what comes next and what holds it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ObjectDoesNotExist
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.episodes import OPEN_STATES, Life, Source, State, resolves_at
from apps.alerts.models import AlertSource, Episode, Escalation
from apps.alerts.severity import Severity
from apps.alerts.shown import visible_line
from apps.alerts.telling import is_acknowledged
from apps.alerts.watching import life_of
from apps.console.marks import Mark
from apps.core import human

STATE: Final[Mapping[str, Any]] = {
    State.FIRING: gettext_lazy("FIRING"),
    State.RECOVERING: gettext_lazy("RECOVERING"),
    State.RESOLVED: gettext_lazy("RESOLVED"),
}
FIRING_TONE: Final[Mapping[str, str]] = {
    Severity.CRITICAL: "bad",
    Severity.SECURITY: "bad",
    Severity.WARNING: "warning",
    Severity.UNKNOWN: "warning",
    Severity.NOTICE: "info",
    Severity.INFO: "info",
}
# Labels that a list need not repeat: it has columns for them, or they are the same everywhere.
SAID_ELSEWHERE: Final = ("alertname", "severity", "service", "priority", "prometheus", "__name__")
SHOWN_LABELS: Final = 3
SILENCE: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

PROOFS: Final[Mapping[str, tuple[Any, Any]]] = {
    "told_by_source": (
        gettext_lazy("resolved by its source"),
        gettext_lazy("its source never said so: it is gone from the API"),
    ),
    "normal_for": (gettext_lazy("normal for 5:00"), gettext_lazy("not normal for five minutes")),
    "source_alive": (
        gettext_lazy("the source is alive"),
        gettext_lazy("no heartbeat says that the source was watching"),
    ),
    "confirmed_by_api": (gettext_lazy("the API confirms"), gettext_lazy("the API was not asked or did not confirm")),
    "told_when_over": (gettext_lazy("told of only when it was over"), gettext_lazy("told of while it fired")),
    "outranked": (gettext_lazy("a higher severity took over"), gettext_lazy("no higher severity took over")),
}


def state_mark(episode: Episode) -> Mark:
    """How bad a firing one is follows from its severity."""
    tones = {State.RECOVERING: "warning", State.RESOLVED: "good"}
    tone = (
        FIRING_TONE.get(episode.severity, "warning") if episode.state == State.FIRING else tones[State(episode.state)]
    )
    return Mark(tone, STATE[State(episode.state)])


def severity_label(severity: str) -> str:
    return str(Severity(severity).label) if severity in Severity.values else severity


@dataclass(frozen=True, slots=True)
class Tag:
    """Something special about an alert; ``means`` says it whole. ``until`` is counted down to."""

    mark: Mark
    means: str
    until: datetime | None = None


def tags_of(episode: Episode, life: Source, now: datetime) -> list[Tag]:
    found = []
    if episode.state in OPEN_STATES and life.life is Life.BLIND:
        means = _("{source} sends no heartbeat: nobody knows whether this is still true.")
        found.append(Tag(Mark("unknown", _("SOURCE BLIND")), means.format(source=episode.source_id)))
    if episode.flapping or episode.fired_again:
        found.append(_flapping(episode))
    if episode.suppressed:
        means = _("Kept quiet in its Alertmanager by {by}.").format(by=quieted_by(episode))
        found.append(Tag(Mark("unknown", _("SUPPRESSED"), locked=True), means))
    if _is_outranked(episode):
        means = _("The same condition fires with a higher severity, and that one pages.")
        found.append(Tag(Mark("unknown", _("OUTRANKED")), means))
    if episode.inferred and episode.state in OPEN_STATES:
        means = _("Nobody said that it ended: its Alertmanager does not know it any more.")
        found.append(Tag(Mark("unknown", _("INFERRED")), means))
    if episode.state in OPEN_STATES and episode.snoozed_until is not None and episode.snoozed_until > now:
        found.append(
            Tag(Mark("unknown", _("SNOOZED")), _("Nobody is told of it while it is snoozed."), episode.snoozed_until)
        )
    return found


def _flapping(episode: Episode) -> Tag:
    times = human.number(episode.fired_again)
    if episode.flapping:
        means = _("It ended and fired again {times} times; that pages nobody anew.").format(times=times)
        return Tag(Mark("warning", _("FLAPPING × {times}").format(times=times)), means)
    return Tag(Mark("", _("again × {times}").format(times=times)), _("It ended and fired again within one episode."))


def _is_outranked(episode: Episode) -> bool:
    if episode.outranked_by_id is None or episode.state not in OPEN_STATES:
        return False
    return episode.outranked_by is not None and episode.outranked_by.state in OPEN_STATES


def _brief(name: str) -> str:
    """The names Alertmanager gives its silences are long; their beginning is enough to find one by."""
    return name[:8] if SILENCE.fullmatch(name) else name


def quieted_by(episode: Episode) -> str:
    """The silences and inhibitions that keep it quiet, as Alertmanager names them."""
    names = [visible_line(_brief(name), 60) for name in episode.suppressed_by[:3]]
    return human.listed(names) if names else _("a silence")


@dataclass(frozen=True, slots=True)
class Ahead:
    """Who is told next (``who``), at ``at`` on the database's clock, and what holds it (``hold``, empty: nothing).

    Without ``who`` nobody will be told, and ``hold`` says why.
    """

    who: str = ""
    at: datetime | None = None
    step: int = 0
    steps: int = 0
    hold: str = ""

    def is_due(self, now: datetime) -> bool:
        return self.at is not None and self.at <= now


def escalation_of(episode: Episode) -> Escalation | None:
    try:
        return episode.escalation
    except ObjectDoesNotExist:
        return None


def ahead_of(episode: Episode, now: datetime) -> Ahead | None:
    """What comes next for an open alert; None when it is over."""
    if episode.state not in OPEN_STATES:
        return None
    running = escalation_of(episode)
    if running is None:
        return Ahead(hold=_("Its route is looked up within seconds."))
    steps = running.policy["route"]["steps"]
    if running.step >= len(steps):
        return Ahead(steps=len(steps), hold=_("Everybody was told."))
    acknowledged = is_acknowledged(episode, now)
    left = [
        number
        for number in range(running.step, len(steps))
        if not (acknowledged and steps[number].get("unless") == "acknowledged")
    ]
    if not left:
        return Ahead(steps=len(steps), hold=_("It is acknowledged: nobody else is told."))
    step = left[0]
    at = running.next_at if step == running.step and running.next_at else planned_at(running, step)
    who = ", ".join(visible_line(name, 64) for name in steps[step]["notify"])
    return Ahead(who, at, step + 1, len(steps), hold_of(episode, running, now))


def planned_at(running: Escalation, step: int) -> datetime:
    return running.started_at + timedelta(seconds=running.policy["route"]["steps"][step]["after"])


def hold_of(episode: Episode, running: Escalation, now: datetime) -> str:
    """Why a step that is due would not be taken now; empty when it would."""
    if episode.state == State.RECOVERING:
        return _("held while it recovers")
    if episode.snoozed_until is not None and episode.snoozed_until > now:
        return _("held while it is snoozed")
    if episode.suppressed:
        return _("held by {by}").format(by=quieted_by(episode))
    if _is_outranked(episode):
        return _("held: a higher severity of it pages")
    if running.held_by_id is not None:
        return _("held by a maintenance window")
    return ""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """``ends_at`` is when a recovery is over, None while it is frozen; ``frozen`` says why."""

    episode: Episode
    mark: Mark
    name: str
    summary: str
    labels: list[tuple[str, str]]
    severity: str
    tags: list[Tag]
    ahead: Ahead | None
    acknowledged: bool
    ends_at: datetime | None = None
    frozen: str = ""
    truth: Mark | None = None
    lacked: str = ""


@dataclass(slots=True)
class Lives:
    """The sources, read once, and whether each still watches."""

    now: datetime
    sources: Mapping[str, AlertSource] = field(default_factory=dict)

    @classmethod
    def look(cls, now: datetime) -> Lives:
        rows = AlertSource.objects.only("name", "kind", "watchdog_at", "watchdog_timeout", "blind_since", "alive_since")
        return cls(now, {source.pk: source for source in rows})

    def of(self, name: str) -> Source:
        source = self.sources.get(name)
        return life_of(source, self.now) if source is not None else Source(Life.UNKNOWN)


def alert_rows(episodes: Iterable[Episode], lives: Lives) -> list[AlertRow]:
    return [alert_row(episode, lives.of(episode.source_id), lives.now) for episode in episodes]


def alert_row(episode: Episode, life: Source, now: datetime) -> AlertRow:
    """``episode`` as the list has it: with ``summary``, or with its annotations."""
    summary = getattr(episode, "summary", None)
    if summary is None and "annotations" not in episode.get_deferred_fields():
        summary = episode.annotations.get("summary", "")
    ends_at = resolves_at(episode.as_current(), life)
    frozen = ""
    if episode.state == State.RECOVERING and life.life is Life.BLIND:
        frozen = _("frozen: {source} sends no heartbeat").format(source=episode.source_id)
    ahead = ahead_of(episode, now)
    return AlertRow(
        episode,
        state_mark(episode),
        visible_line(episode.name, 200) or _("(no name)"),
        visible_line(str(summary or ""), 300),
        _telling(episode.labels),
        severity_label(episode.severity),
        tags_of(episode, life, now),
        ahead,
        episode.state in OPEN_STATES and is_acknowledged(episode, now),
        ends_at,
        frozen,
        truth_mark(episode),
        "; ".join(held_and_lacked(episode)[1]),
    )


def _telling(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """The labels that tell it from its like."""
    rest = sorted((name, value) for name, value in labels.items() if name not in SAID_ELSEWHERE)
    rest.sort(key=lambda pair: pair[0] not in ("instance", "job", "namespace", "pod", "host", "tenant"))
    return [(visible_line(name, 40), visible_line(value, 60)) for name, value in rest[:SHOWN_LABELS]]


def held_and_lacked(episode: Episode) -> tuple[list[str], list[str], list[str]]:
    """What the resolution stands on, what it lacks, and both together."""
    held: list[str] = []
    lacked: list[str] = []
    for word, holds in episode.proof:
        words = PROOFS.get(str(word), (str(word), str(word)))
        (held if holds else lacked).append(str(words[0] if holds else words[1]))
    return held, lacked, [*held, *lacked]


def truth_mark(episode: Episode) -> Mark | None:
    """How well a resolution is proven; None while there is none."""
    if episode.state != State.RESOLVED:
        return None
    lacked = held_and_lacked(episode)[1]
    if not lacked:
        return Mark("good", _("PROVEN"))
    return Mark("unknown" if episode.inferred else "warning", _("INFERRED") if episode.inferred else _("UNCONFIRMED"))

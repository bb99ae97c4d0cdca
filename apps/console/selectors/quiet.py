"""What keeps alerts quiet now, and how many each of it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from apps.alerts import maintenance, silencing
from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.models import AlertSource, Episode, Escalation, Maintenance, Silence, SilenceState, SourceKind
from apps.alerts.shown import visible_line
from apps.console.marks import Mark
from apps.console.selectors.alerts_story import page_of
from apps.core.db import database_now

LATELY: Final = timedelta(days=7)
SHOWN: Final = 100
LOOKED_AT: Final = 1000
OFFERED: Final = 200

SILENCE: Final[Mapping[str, Mark]] = {
    "wanted": Mark("info", _("Being made")),
    "active": Mark("good", _("Silent")),
    "ending": Mark("info", _("Being ended")),
    "expired": Mark("unknown", _("Over")),
    "failed": Mark("bad", _("Not silent")),
}
NOT_YET: Final = Mark("warning", _("Not yet silent"))
RUNNING: Final = Mark("warning", _("In force"))
COMING: Final = Mark("info", _("To come"))
OVER: Final = Mark("unknown", _("Over"))
ENDED: Final = Mark("unknown", _("Ended early"))


@dataclass(frozen=True, slots=True)
class WindowRow:
    """``holds`` is how many pages wait for its end."""

    window: Maintenance
    mark: Mark
    match: list[tuple[str, str]]
    holds: int
    over: bool

    @property
    def running(self) -> bool:
        return self.mark is RUNNING


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """``holds``: is its alert quiet because of it right now?"""

    silence: Silence
    mark: Mark
    name: str
    labels: str
    url: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A silence or inhibition that somebody made in Alertmanager itself, as its API told last."""

    source: str
    by: str
    alerts: int


@dataclass(frozen=True, slots=True)
class Quiet:
    windows: list[WindowRow]
    silences: list[SilenceRow]
    elsewhere: list[Elsewhere]
    past: list[WindowRow | SilenceRow]
    can_silence: bool
    held: int


def quiet_now(now: datetime | None = None) -> Quiet:
    at = now or database_now()
    recent = Q(ends_at__gt=at - LATELY) & (Q(ended_at__isnull=True) | Q(ended_at__gt=at - LATELY))
    windows = _windows(list(Maintenance.objects.filter(recent).order_by("starts_at", "pk")[: 2 * SHOWN]), at)
    alive = Q(ended_at__isnull=True) | Q(ended_at__gt=at - LATELY)
    rows = Silence.objects.filter(alive).select_related("episode").order_by("until", "-pk")
    silences = [_silence(row) for row in rows[: 2 * SHOWN]]
    past: list[WindowRow | SilenceRow] = [row for row in windows if row.over]
    past += [row for row in silences if row.silence.ended_at is not None]
    standing = [row for row in silences if row.silence.ended_at is None]
    return Quiet(
        windows=[row for row in windows if not row.over],
        silences=standing,
        elsewhere=_elsewhere({row.silence.remote_id for row in standing}),
        past=sorted(past, key=_ended, reverse=True)[:SHOWN],
        can_silence=AlertSource.objects.filter(_askable()).exists(),
        held=sum(row.holds for row in windows),
    )


def _ended(row: WindowRow | SilenceRow) -> datetime:
    if isinstance(row, WindowRow):
        return row.window.ended_at or row.window.ends_at
    return row.silence.ended_at or row.silence.until


def window_row(window: Maintenance, now: datetime | None = None) -> WindowRow:
    return _windows([window], now or database_now())[0]


def _windows(windows: list[Maintenance], now: datetime) -> list[WindowRow]:
    held = Escalation.objects.filter(held_by__in=[window.pk for window in windows], ended_at__isnull=True)
    counts = dict(
        held.exclude(episode__state=State.RESOLVED).values_list("held_by").annotate(pages=Count("pk")).order_by()
    )
    return [
        WindowRow(window, mark, pairs_of(window.match), counts.get(window.pk, 0), over=mark in (OVER, ENDED))
        for window in windows
        for mark in [_mark(window, now)]
    ]


def _mark(window: Maintenance, now: datetime) -> Mark:
    if window.ended_at is not None:
        return ENDED
    if window.ends_at <= now:
        return OVER
    return RUNNING if window.starts_at <= now else COMING


def pairs_of(match: Mapping[str, str | list[str]]) -> list[tuple[str, str]]:
    """As a route's match is shown: several values are alternatives."""
    return [
        (name, visible_line(given if isinstance(given, str) else " | ".join(given), 200))
        for name, given in match.items()
    ]


def _silence(silence: Silence) -> SilenceRow:
    episode = silence.episode
    quiet = episode.suppressed and silence.remote_id in episode.suppressed_by
    labels = ", ".join(f"{each['name']}={each['value']}" for each in silence.matchers if each["name"] != "alertname")
    return SilenceRow(
        silence,
        NOT_YET if silence.problem and silence.state == SilenceState.WANTED else SILENCE[silence.state],
        visible_line(episode.name, 120),
        visible_line(labels, 200),
        page_of("alert", episode.pk),
        holds=quiet and silence.ended_at is None,
    )


def _elsewhere(ours: set[str]) -> list[Elsewhere]:
    """One line for each silence of others, with how many of our open alerts it keeps quiet."""
    quiet = Episode.objects.filter(state__in=OPEN_STATES, suppressed=True).order_by("-pk")
    counts: Counter[tuple[str, str]] = Counter()
    for source, by in quiet.values_list("source_id", "suppressed_by")[:LOOKED_AT]:
        counts.update((source, visible_line(str(one), 64)) for one in by if one not in ours)
    return [Elsewhere(source, by, alerts) for (source, by), alerts in counts.most_common(SHOWN)]


def _askable() -> Q:
    return Q(kind=SourceKind.ALERTMANAGER, disabled_at__isnull=True) & ~Q(api_url="")


def can_be_chosen(wanted: int | None) -> list[Episode]:
    """Open alerts that can be silenced and are not yet, newest first; ``wanted`` is among them if it can be."""
    sources = AlertSource.objects.filter(_askable())
    quiet = silencing.standing().values("episode")
    rows = Episode.objects.filter(state__in=OPEN_STATES, source__in=sources).exclude(pk__in=quiet)
    found = list(rows.select_related("source").order_by("-pk")[:OFFERED])
    if wanted is not None and all(episode.pk != wanted for episode in found):
        found += list(rows.select_related("source").filter(pk=wanted))
    return found


def held_rows(window: Maintenance) -> list[Escalation]:
    return list(maintenance.held(window)[:SHOWN])

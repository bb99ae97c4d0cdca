"""Everything the page of one alert shows, in as few questions as it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from apps.alerts.episodes import Source
from apps.alerts.models import AlertLog, Episode, EpisodeEvent, Escalation, Notification, Silence
from apps.alerts.selectors import find_episode
from apps.alerts.shown import safe_link, visible, visible_line
from apps.alerts.watching import life_of
from apps.console.marks import Mark
from apps.console.selectors import alerts_story
from apps.console.selectors.alerts import AlertRow, alert_row, escalation_of, held_and_lacked, truth_mark
from apps.console.selectors.alerts_ladder import Rung, ladder
from apps.console.selectors.alerts_story import MOST_EVENTS, MOST_LINES, MOST_NOTES, Told
from apps.core.clock import now
from apps.incidents.models import IncidentEpisode
from apps.outbox.models import Message
from apps.postmortems.models import ActionItem

MOST_LABELS: Final = 60
MOST_LIKE: Final = 50
WEEK: Final = timedelta(days=7)
# Annotations (and labels) that senders put addresses into.
LINKS: Final[Mapping[str, str]] = {
    "runbook_url": "Runbook",
    "runbook": "Runbook",
    "dashboard_url": "Dashboard",
    "dashboard": "Dashboard",
    "panel_url": "Panel",
}
FIRST: Final = ("summary", "description", "message")


@dataclass(frozen=True, slots=True)
class Pair:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Like:
    """The other episodes of the same alert: the one before, the one after, and how many began within a week."""

    before: Episode | None
    after: Episode | None
    week: int
    more: bool


@dataclass(frozen=True, slots=True)
class OverdueItem:
    item: ActionItem
    days: int


@dataclass(slots=True)
class AlertPage:
    episode: Episode
    row: AlertRow
    life: Source
    running: Escalation | None
    rungs: list[Rung]
    told: list[Told]
    truncated: bool
    like: Like
    truth: Mark | None
    held: list[str]
    lacked: list[str]
    labels: list[Pair]
    annotations: list[Pair]
    links: list[Pair]
    incidents: list[IncidentEpisode]
    overdue: list[OverdueItem]
    silences: list[Silence]
    facts: dict[str, str] = field(default_factory=dict)


def alert_page(episode_id: int) -> AlertPage:
    """Raises :class:`NotFound`."""
    episode, moment = find_episode(episode_id), now()
    life = life_of(episode.source, moment)
    running = escalation_of(episode)
    lines = list(AlertLog.objects.filter(episode=episode).defer("extra", "name").order_by("-id")[: MOST_LINES + 1])
    events = list(EpisodeEvent.objects.filter(episode=episode).order_by("-id")[:MOST_EVENTS])
    notes = list(Notification.objects.filter(escalation=running).order_by("-id")[:MOST_NOTES]) if running else []
    messages = message_states(notes)
    row = alert_row(episode, life, moment)
    held, lacked, _both = held_and_lacked(episode)
    annotations, links = _texts(episode)
    return AlertPage(
        episode=episode,
        row=row,
        life=life,
        running=running,
        rungs=ladder(episode, running, notes[::-1], messages, row.ahead, moment),
        told=alerts_story.story(episode, lines[:MOST_LINES], events, notes, messages),
        truncated=len(lines) > MOST_LINES,
        like=_like(episode, moment),
        truth=truth_mark(episode),
        held=held,
        lacked=lacked,
        labels=_pairs(episode.labels),
        annotations=annotations,
        links=links,
        incidents=list(IncidentEpisode.objects.filter(episode=episode).select_related("incident").order_by("-id")[:10]),
        overdue=_overdue(episode, moment),
        silences=list(Silence.objects.filter(episode=episode).order_by("-id")[:5]),
    )


def message_states(notes: Sequence[Notification]) -> dict[int, str]:
    ids = [note.message_id for note in notes if note.message_id]
    return dict(Message.objects.filter(pk__in=ids).values_list("pk", "status")) if ids else {}


def _pairs(given: Mapping[str, str]) -> list[Pair]:
    shown = [Pair(visible_line(name, 100), visible(value, 1000)) for name, value in sorted(given.items())[:MOST_LABELS]]
    rest = len(given) - len(shown)
    return [*shown, Pair("…", _("{n} more").format(n=rest))] if rest > 0 else shown


def _texts(episode: Episode) -> tuple[list[Pair], list[Pair]]:
    """The annotations in reading order, and what of them may be pressed."""
    links = {}
    for name, words in LINKS.items():
        url = safe_link(str(episode.annotations.get(name, "") or episode.labels.get(name, "")))
        if url and words not in links:
            links[words] = url
    url = safe_link(episode.generator_url)
    if url:
        links[_("In its source")] = url
    linked = set(links.values())
    rest = {name: text for name, text in episode.annotations.items() if text.strip() not in linked}
    names = sorted(rest, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    shown = [Pair(visible_line(name, 100), visible(rest[name], 4000)) for name in names[:MOST_LABELS]]
    return shown, [Pair(_(words), url) for words, url in links.items()]


def _like(episode: Episode, moment: datetime) -> Like:
    rows = Episode.objects.filter(source=episode.source_id, fingerprint=episode.fingerprint)
    near = list(rows.only("id", "state", "first_seen_at", "resolved_at", "severity").order_by("-id")[:MOST_LIKE])
    after = [row for row in near if row.pk > episode.pk]
    before = next((row for row in near if row.pk < episode.pk), episode.previous)
    week = sum(row.first_seen_at > moment - WEEK for row in near)
    return Like(before, after[-1] if after else None, week, len(near) == MOST_LIKE)


def _overdue(episode: Episode, moment: datetime) -> list[OverdueItem]:
    """What was promised after an earlier alert of this name and service, and is not done though it was due."""
    earlier = {
        "postmortem__incident__links__episode__name": episode.name,
        "postmortem__incident__links__episode__service": episode.service,
        "postmortem__incident__links__episode__lt": episode.pk,
    }
    today = moment.date()
    rows = ActionItem.objects.filter(state="open", due__lt=today, **earlier).select_related("postmortem")
    found = rows.order_by("due", "id").distinct()[:5]
    return [OverdueItem(item, (today - item.due).days) for item in found]

"""The whole story of one alert, newest first: what was posted, what was made of it, who did what, who was told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.urls import NoReverseMatch, reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.alerts.episodes import State, Verdict
from apps.alerts.models import AlertLog, Episode, EpisodeEvent, Notification, NotificationOutcome
from apps.alerts.shown import visible, visible_line
from apps.alerts.telling import ACKNOWLEDGED, INSTEAD, RESOLVED
from apps.console.marks import Mark
from apps.console.selectors.alerts import held_and_lacked
from apps.console.selectors.alerts_ladder import lateness, mark_of, shown_recipient
from apps.core import clock, human

MOST_LINES: Final = 200
MOST_EVENTS: Final = 200
MOST_NOTES: Final = 200
APART_S: Final = 60
# Said again and again: told of once, with how often.
KINDS: Final[Mapping[str, Any]] = {
    RESOLVED: gettext_lazy("Told {to} that it is over"),
    ACKNOWLEDGED: gettext_lazy("Told {to} that it is acknowledged"),
    INSTEAD: gettext_lazy("Told {to} instead, because a page did not arrive"),
}
REPEATS: Final = (Verdict.REPEATED, Verdict.STILL_RECOVERING, Verdict.KNOWN_RESOLVED)
VERDICTS: Final[Mapping[str, tuple[str, Any]]] = {
    Verdict.OPENED: ("bad", gettext_lazy("It fires")),
    Verdict.REPEATED: ("", gettext_lazy("It still fires")),
    Verdict.FLAPPED: ("warning", gettext_lazy("It ended and fires again; nobody was told of the end in between")),
    Verdict.REFIRED: ("bad", gettext_lazy("It fires again before it was normal for five minutes")),
    Verdict.RECOVERING: ("warning", gettext_lazy("Its source says that it ended; five minutes of normal begin")),
    Verdict.STILL_RECOVERING: ("", gettext_lazy("Its source says again that it ended")),
    Verdict.LATE: ("unknown", gettext_lazy("News that was overtaken: it changes nothing")),
    Verdict.STALE: ("unknown", gettext_lazy("Said to fire after it ended: taken for two Alertmanagers racing")),
    Verdict.HISTORY: ("good", gettext_lazy("Told of only when it was over; nobody was paged")),
    Verdict.KNOWN_RESOLVED: ("", gettext_lazy("Its source says again that it is over")),
}
EVENTS: Final[Mapping[str, tuple[str, Any]]] = {
    "acknowledged": ("info", gettext_lazy("{who} acknowledged it")),
    "acknowledgement_taken_back": ("warning", gettext_lazy("{who} took the acknowledgement back")),
    "acknowledgement_ended": ("warning", gettext_lazy("The acknowledgement ran out; its escalation begins again")),
    "assigned": ("info", gettext_lazy("{who} assigned it to {to}")),
    "noted": ("info", gettext_lazy("{who} noted")),
    "snoozed": ("unknown", gettext_lazy("{who} snoozed it until {until}")),
    "silenced": ("unknown", gettext_lazy("{who} asked its Alertmanager to be silent until {until}")),
    "silence_extended": ("unknown", gettext_lazy("{who} made its silence last until {until}")),
    "silence_ended": ("info", gettext_lazy("{who} ended its silence")),
    "silence_active": ("unknown", gettext_lazy("Its Alertmanager is silent about it until {until}")),
    "silence_over": ("info", gettext_lazy("Its silence is over")),
    "silence_failed": ("bad", gettext_lazy("Its Alertmanager would not be silent")),
    "held": ("unknown", gettext_lazy("A maintenance window holds what is due")),
    "hold_ended": ("info", gettext_lazy("The maintenance window is over; what is due is told")),
    "outranked": ("unknown", gettext_lazy("The same condition fires with a higher severity, which pages instead")),
    "outranks": ("info", gettext_lazy("It pages instead of a lower severity of the same condition")),
    "page_failed": ("bad", gettext_lazy("The page to {target} did not arrive; others are told")),
    "suppressed": ("unknown", gettext_lazy("Its Alertmanager keeps it quiet")),
    "unsuppressed": ("info", gettext_lazy("Its Alertmanager keeps it quiet no more")),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that happened. ``links`` are further pages of it: (words, address)."""

    at: datetime
    tone: str
    title: str
    text: str = ""
    href: str = ""
    mark: Mark | None = None
    links: tuple[tuple[str, str], ...] = ()
    order: int = 0


def page_of(name: str, *args: object) -> str:
    """Empty when this portal has no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


def story(
    episode: Episode,
    lines: Sequence[AlertLog],
    events: Iterable[EpisodeEvent],
    notes: Iterable[Notification],
    messages: Mapping[int, str],
) -> list[Told]:
    """``lines`` newest first. Everything in the order it happened, the newest first."""
    found = [*_lines(lines), *(_event(event) for event in events)]
    found += [_note(episode, note, messages) for note in notes]
    found += _ends(episode)
    return sorted(found, key=lambda told: (told.at, told.order), reverse=True)


def _lines(lines: Sequence[AlertLog]) -> Iterator[Told]:
    """A run of repetitions is one entry."""
    run: list[AlertLog] = []
    for line in lines:
        if run and (line.verdict != run[0].verdict or line.verdict not in REPEATS):
            yield _line(run)
            run = []
        run.append(line)
    if run:
        yield _line(run)


def _line(run: Sequence[AlertLog]) -> Told:
    newest = run[0]
    tone, words = VERDICTS.get(newest.verdict, ("", newest.verdict))
    title = str(words)
    if len(run) > 1:
        title = ngettext("{what}, heard {n} time", "{what}, heard {n} times", len(run)).format(
            what=title, n=human.number(len(run))
        )
    href = page_of("alert-delivery", newest.delivery_id) if newest.delivery_id else ""
    links = ((_("the post as it came"), href),) if href else ()
    return Told(newest.at, tone, title, _when(newest), links=links, order=1)


def _when(line: AlertLog) -> str:
    """What the sender's clock says, where it says something else."""
    moment = clock.now()
    if line.ends_at is not None and line.verdict in (Verdict.RECOVERING, Verdict.HISTORY):
        return _("By its own clock it ended at {time}.").format(time=human.clock_in_zone(line.ends_at, moment))
    began = line.starts_at if line.verdict == Verdict.OPENED else None
    if began is not None and abs((line.at - began).total_seconds()) > APART_S:
        return _("By its own clock it began at {time}.").format(time=human.clock_in_zone(began, moment))
    return ""


def _event(event: EpisodeEvent) -> Told:
    tone, words = EVENTS.get(event.kind, ("info", event.kind.replace("_", " ")))
    detail = event.detail if isinstance(event.detail, dict) else {}
    until = parse_datetime(str(detail.get("until") or ""))
    given = {
        "who": visible_line(event.actor, 200) or _("The portal"),
        "to": visible_line(str(detail.get("assignee", "")), 200) or _("nobody"),
        "target": visible_line(str(detail.get("target", "")), 64),
        "until": human.clock_in_zone(until, clock.now()) if until else "",
    }
    if event.kind == "snoozed" and until is None:
        words = _("{who} ended the snooze")
    if detail.get("undone"):
        words = _("{who} undid what they had done before")
    text = visible(event.text, 10_000)
    if event.kind == "acknowledged" and until is not None:
        text = " ".join(filter(None, (text, _("It holds until {until}.").format(until=given["until"]))))
    return Told(event.at, tone, str(words).format(**given), text, order=2)


def _note(episode: Episode, note: Notification, messages: Mapping[int, str]) -> Told:
    to = " · ".join(filter(None, (visible_line(note.target, 64), note.service, shown_recipient(note.recipient))))
    words = {
        NotificationOutcome.QUEUED: _("Told {to}"),
        NotificationOutcome.SKIPPED: _("Did not tell {to}: it was not needed"),
        NotificationOutcome.IMPOSSIBLE: _("Could not tell {to}"),
    }
    title = words[NotificationOutcome(note.outcome)]
    if note.outcome == NotificationOutcome.QUEUED and note.kind in KINDS:
        title = str(KINDS[note.kind])
    href = reverse("alert-notification", args=[episode.pk, note.pk])
    mark = mark_of(note, messages)
    tone = "bad" if note.outcome == NotificationOutcome.IMPOSSIBLE else mark.tone or "info"
    return Told(note.decided_at, tone, title.format(to=to), _planned(note), href, mark, order=3)


def _planned(note: Notification) -> str:
    parts = [visible_line(str(note.why.get("problem", "") or note.why.get("skipped", "")), 300)]
    late = lateness(note)
    if late:
        planned = human.clock_in_zone(note.planned_at, clock.now())
        parts.append(_("Planned for {time}, {late}.").format(time=planned, late=late))
    if note.together > 1:
        parts.append(_("One message about {n} alerts at once.").format(n=human.number(note.together)))
    return " ".join(part for part in parts if part)


def _ends(episode: Episode) -> Iterator[Told]:
    if episode.inferred and episode.normal_since is not None:
        title = _("Its Alertmanager does not know it any more: taken for ended")
        yield Told(episode.normal_since, "warning", title, order=1)
    if episode.state == State.RESOLVED and episode.resolved_at is not None:
        yield Told(episode.resolved_at, "good", _("Resolved"), "; ".join(held_and_lacked(episode)[2]), order=4)

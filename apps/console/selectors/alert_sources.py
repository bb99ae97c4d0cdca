"""The delivery-health board: every source of alerts, how it is, and what to do about what is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, Min
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.alerts.episodes import Life
from apps.alerts.models import AlertDelivery, AlertSource, DeliveryState, Refusal, SourceHour, SourceKind
from apps.alerts.shown import visible_line
from apps.alerts.watching import life_of
from apps.console.marks import Mark
from apps.console.selectors import source_fixes as fixes
from apps.core import human
from apps.core.errors import NotFound

DAY: Final = timedelta(hours=24)
# Alertmanager tries a refused post again every group_interval, 5 minutes unless it is told otherwise.
REFUSED_NOW: Final = timedelta(minutes=15)
# Alerts that are stored are taken in within seconds.
STUCK: Final = timedelta(minutes=2)
API_STALE: Final = timedelta(minutes=5)
REFUSALS: Final = 50

LIFE: Final = {
    Life.ALIVE: Mark("good", gettext_lazy("Alive")),
    Life.BLIND: Mark("bad", gettext_lazy("Blind")),
    Life.UNKNOWN: Mark("unknown", gettext_lazy("Unknown")),
}
DISABLED: Final = Mark("unknown", gettext_lazy("Disabled"), locked=True)
NEVER: Final = Mark("unknown", gettext_lazy("Never posted"))
OURS: Final = Mark("good", gettext_lazy("Ours"))
REASONS: Final = {
    "no_token": gettext_lazy("without a token"),
    "wrong_token": gettext_lazy("with a token that no source has"),
    "too_large": gettext_lazy("larger than is taken"),
}
WORST: Final = ("bad", "warning", "unknown", "info")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong or missing, and ``code`` to copy that mends it; ``fix`` says where it goes."""

    tone: str
    text: str
    fix: str = ""
    code: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """One Alertmanager of a source, by what it calls itself."""

    url: str
    at: datetime
    address: str
    agent: str


@dataclass(slots=True)
class Figures:
    """Of the last 24 hours, whole hours. ``hours`` are posts, oldest first."""

    posts: int = 0
    alerts: int = 0
    truncated: int = 0
    quarantined: int = 0
    largest: int = 0
    hours: list[int] = field(default_factory=lambda: [0] * 24)


@dataclass(frozen=True, slots=True)
class SourceView:
    source: AlertSource
    life: Life
    mark: Mark
    day: Figures
    put_aside: int
    waiting: int
    problems: list[Problem]
    peers: list[Peer]

    @property
    def version(self) -> str:
        """``Alertmanager/0.25.0``, as it names itself."""
        return visible_line(self.source.agent, 60)

    @property
    def worst(self) -> str:
        tones = {problem.tone for problem in self.problems}
        return next((tone for tone in WORST if tone in tones), "good")

    @property
    def ours(self) -> bool:
        return self.source.kind == SourceKind.PORTAL


@dataclass(frozen=True, slots=True)
class RefusalView:
    """``now`` while it goes on; ``also`` are sources that post from the same address."""

    refusal: Refusal
    now: bool
    words: str
    also: list[str]


@dataclass(frozen=True, slots=True)
class Board:
    sources: list[SourceView]
    refusals: list[RefusalView]

    @property
    def problems(self) -> list[tuple[SourceView, Problem]]:
        """The worst first."""
        found = [(view, problem) for view in self.sources for problem in view.problems]
        return sorted(found, key=lambda each: WORST.index(each[1].tone))

    @property
    def refused_now(self) -> list[RefusalView]:
        return [each for each in self.refusals if each.now]


def board(now: datetime, url: str) -> Board:
    """``url`` is where sources post to."""
    views = _views(AlertSource.objects.order_by("name"), now, url)
    return Board(views, _refusals(views, now))


def source_view(name: str, now: datetime, url: str) -> SourceView:
    """Raises NotFound."""
    found = _views(AlertSource.objects.filter(pk=name), now, url)
    if not found:
        raise NotFound(_("There is no source of alerts named {name}.").format(name=name))
    return found[0]


def _views(sources: Iterable[AlertSource], now: datetime, url: str) -> list[SourceView]:
    rows = list(sources)
    names = [source.name for source in rows]
    day = _figures(names, now)
    aside = dict(
        AlertDelivery.objects.filter(source__in=names, state=DeliveryState.QUARANTINED)
        .order_by()
        .values_list("source")
        .annotate(found=Count("pk"))
    )
    stored = AlertDelivery.objects.filter(source__in=names, state=DeliveryState.STORED).order_by()
    waiting = {
        name: (count, at) for name, count, at in stored.values_list("source").annotate(Count("pk"), Min("received_at"))
    }
    return [_view(row, day[row.name], aside.get(row.name, 0), waiting.get(row.name), now, url) for row in rows]


def _figures(names: list[str], now: datetime) -> dict[str, Figures]:
    found: dict[str, Figures] = defaultdict(Figures)
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    for row in SourceHour.objects.filter(source__in=names, hour__gt=this_hour - DAY, hour__lte=this_hour):
        figures = found[row.source_id]
        figures.posts += row.posts
        figures.alerts += row.alerts
        figures.truncated += row.truncated
        figures.quarantined += row.quarantined
        figures.largest = max(figures.largest, row.largest)
        figures.hours[23 - int((this_hour - row.hour).total_seconds() // 3600)] = row.posts
    return found


def _view(
    source: AlertSource, day: Figures, aside: int, waiting: tuple[int, datetime] | None, now: datetime, url: str
) -> SourceView:
    life = life_of(source, now).life
    return SourceView(
        source=source,
        life=life,
        mark=_mark(source, life),
        day=day,
        put_aside=aside,
        waiting=waiting[0] if waiting else 0,
        problems=_problems(source, life, day, aside, waiting, now, url),
        peers=_peers(source),
    )


def _mark(source: AlertSource, life: Life) -> Mark:
    if source.kind == SourceKind.PORTAL:
        return OURS
    if source.disabled_at is not None:
        return DISABLED
    return NEVER if source.last_post_at is None else LIFE[life]


def _peers(source: AlertSource) -> list[Peer]:
    found = []
    for url, told in source.peers.items():
        at = datetime.fromisoformat(told["at"])
        found.append(Peer(visible_line(url), at, told.get("address", ""), visible_line(told.get("agent", ""))))
    return sorted(found, key=lambda peer: peer.at, reverse=True)


# --- problems --------------------------------------------------------------------------------------
def _problems(
    source: AlertSource,
    life: Life,
    day: Figures,
    aside: int,
    waiting: tuple[int, datetime] | None,
    now: datetime,
    url: str,
) -> list[Problem]:
    found = [_stuck(waiting, now), _large(day)]
    if source.kind != SourceKind.PORTAL and source.disabled_at is None:
        found += [
            _never_posted(source, url),
            _blind(source, life),
            _no_heartbeat(source, life),
            _truncated(source, day, url),
            _api(source, now),
        ]
    found += [_aside(source, day, aside), _two_tokens(source)]
    return sorted((one for one in found if one is not None), key=lambda one: WORST.index(one.tone))


def _stuck(waiting: tuple[int, datetime] | None, now: datetime) -> Problem | None:
    if waiting is None or now - waiting[1] < STUCK:
        return None
    text = ngettext(
        "{count} post is stored and has not been taken in for {span}.",
        "{count} posts are stored and have not been taken in for {span}.",
        waiting[0],
    )
    span = human.span((now - waiting[1]).total_seconds())
    fix = _("Nothing is lost. Is the worker of the queue “control” alive? It takes them in as soon as it is.")
    return Problem(
        "bad", text.format(count=human.number(waiting[0]), span=span), fix, "make run   # or the process “control”"
    )


def _large(day: Figures) -> Problem | None:
    limit = int(settings.ALERT_BODY_BYTES)
    if day.largest * 2 < limit:
        return None
    text = _("Its largest post had {size}; {limit} are taken.")
    shown = text.format(size=megabytes(day.largest), limit=megabytes(limit))
    return Problem(
        "warning", shown, _("Allow more, in the environment of the portal:"), f"ALERT_BODY_BYTES={limit * 2}"
    )


def _never_posted(source: AlertSource, url: str) -> Problem | None:
    if source.last_post_at is not None:
        return None
    fix = _("Configure its receiver with the token that was shown, then reload it:")
    return Problem("unknown", _("It has never posted."), fix, fixes.receiver(source, url))


def _blind(source: AlertSource, life: Life) -> Problem | None:
    if life is not Life.BLIND:
        return None
    text = _("Its heartbeat {watchdog} is not heard any more: recoveries are frozen, and new alerts may be missed.")
    fix = _("Is its Prometheus evaluating rules, and does the heartbeat reach the portal often enough?")
    return Problem("bad", text.format(watchdog=visible_line(source.watchdog)), fix, fixes.watchdog(source))


def _no_heartbeat(source: AlertSource, life: Life) -> Problem | None:
    if life is not Life.UNKNOWN or source.last_post_at is None:
        return None
    text = _("It sends no heartbeat, so nobody can tell whether a silence of it is good news.")
    return Problem("unknown", text, _("Let an alert that always fires reach the portal:"), fixes.watchdog(source))


def _truncated(source: AlertSource, day: Figures, url: str) -> Problem | None:
    if not day.truncated:
        return None
    text = ngettext(
        "{count} alert was cut off from its posts in 24 hours: whether it fires is not known here.",
        "{count} alerts were cut off from its posts in 24 hours: whether they fire is not known here.",
        day.truncated,
    )
    fix = _("Let it leave nothing out:")
    return Problem("bad", text.format(count=human.number(day.truncated)), fix, fixes.everything(url))


def _api(source: AlertSource, now: datetime) -> Problem | None:
    if source.kind != SourceKind.ALERTMANAGER:
        return None
    if not source.api_url:
        text = _("Its API is not asked: what is silenced and ends, or was missed, is never found out.")
        return Problem("info", text, _("Give the address of its API under Settings."))
    stale = source.api_at is None or now - source.api_at > API_STALE
    if not source.api_problem and not (stale and source.last_post_at is not None):
        return None
    said = visible_line(source.api_problem) or _("it has not been asked yet")
    text = _("Its API does not answer: {problem}").format(problem=said)
    return Problem("warning", text, _("Try it from the host of the portal:"), fixes.ask_api(source))


def _aside(source: AlertSource, day: Figures, aside: int) -> Problem | None:
    href = f"?source={source.name}&state=quarantined"
    if aside:
        text = ngettext("{count} post is put aside unread.", "{count} posts are put aside unread.", aside)
        fix = _("Look at them; what can be read after a repair is taken in then.")
        return Problem("bad", text.format(count=human.number(aside)), fix, href=href)
    if day.quarantined:
        text = ngettext(
            "{count} alert made no sense and was put aside in 24 hours.",
            "{count} alerts made no sense and were put aside in 24 hours.",
            day.quarantined,
        )
        return Problem(
            "warning",
            text.format(count=human.number(day.quarantined)),
            _("Each says why:"),
            href=f"?source={source.name}&state=partly",
        )
    return None


def _two_tokens(source: AlertSource) -> Problem | None:
    if source.previous_token_hash is None:
        return None
    text = _("Two tokens are good. End the older one when every sender has the new one.")
    return Problem(
        "info",
        text,
        _("When no post is refused after the change:"),
        f"manage.py alertsource end-previous {source.name}",
    )


def megabytes(size: int) -> str:
    """``412 B``, ``67 kB``, ``25 MB``."""
    if size < 1000:
        return f"{size} B"
    if size < 1_000_000:
        return f"{human.number(size / 1000)} kB"
    return f"{human.number(size / 1_000_000, 1)} MB"


# --- refusals ---------------------------------------------------------------------------------------
def _refusals(views: list[SourceView], now: datetime) -> list[RefusalView]:
    by_address: dict[str, list[str]] = defaultdict(list)
    for view in views:
        for address in {peer.address for peer in view.peers} - {""}:
            by_address[address].append(view.source.name)
    rows = list(Refusal.objects.order_by("-last_at")[:REFUSALS])
    for row in rows:
        row.agent, row.detail = visible_line(row.agent, 80), visible_line(row.detail)
    return [
        RefusalView(
            row,
            now - row.last_at < REFUSED_NOW,
            str(REASONS.get(row.reason, row.reason)),
            by_address[row.address],
        )
        for row in rows
    ]


def fixes_of(view: SourceView, url: str) -> list[dict[str, Any]]:
    """How it is set up, for whoever does it again."""
    found = [(_("Its receiver"), fixes.receiver(view.source, url))]
    if view.source.kind != SourceKind.GRAFANA:
        found.append((_("Its heartbeat"), fixes.watchdog(view.source)))
    found.append((_("A post by hand"), fixes.test_post(view.source, url)))
    return [{"title": title, "code": code} for title, code in found]

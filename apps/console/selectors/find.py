"""One search for everything: pages, services, messages, causes, letters, replays, people, keys, and what can be done.

It answers while somebody types, so each kind is one query by an index or over a small table. What a person may not
see or press is not found. Messages are found by number, wire id and idempotency key; by the beginning of their
recipient only for those who may see recipients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils.translation import get_language_info, gettext_lazy
from django.utils.translation import gettext as _

from apps.accounts.models import ApiKey, User
from apps.accounts.saved_views import views_of
from apps.alerts.models import Episode
from apps.alerts.selectors import EpisodeFilters, episode_page
from apps.alerts.shown import visible_line
from apps.console.marks import INCIDENT, MESSAGE, breaker_mark
from apps.console.selectors.alerts import severity_label, state_mark
from apps.console.selectors.letters import cause_label
from apps.console.shell import Portal, link_of
from apps.core import actor as may
from apps.core.clock import now
from apps.core.masking import mask_addresses, mask_recipient
from apps.incidents.selectors import IncidentFilters
from apps.outbox.models import Cause, DeadLetter, Message, MessageTemplate, Replay
from apps.outbox.search import found_at_once

MOST: Final = 5
LONGEST: Final = 200
# A recipient's beginning shorter than this is no search yet.
SHORTEST_TEXT: Final = 3
BIGGEST_NUMBER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Hit:
    """``dialog`` opens over the page it is chosen on; with ``fields`` it is a POST of them to ``url``."""

    label: str
    url: str
    icon: str
    note: str = ""
    dialog: bool = False
    fields: tuple[tuple[str, str], ...] = ()
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    hits: list[Hit]


def find(query: str, *, person: User, portal: Portal) -> list[Group]:
    """Groups of hits, the surest first; pages and saved views when nothing is asked yet."""
    text = query.replace("\x00", "").strip()[:LONGEST]
    search = Search(text, person, portal)
    kinds = KINDS if text else KINDS_BEFORE_TYPING
    groups = [Group(str(label), list(of(search))) for label, of in kinds]
    return [group for group in groups if group.hits]


@dataclass(frozen=True, slots=True)
class Search:
    text: str
    person: User
    portal: Portal

    def may(self, permission: str) -> bool:
        return permission in self.portal.permissions

    @property
    def number(self) -> int | None:
        """``12``, also as the last word of ``letter 12`` and ``#12``."""
        last = self.text.rpartition(" ")[2].removeprefix("#")
        value = int(last) if last.isascii() and last.isdigit() and len(last) < 20 else 0
        return value if 0 < value <= BIGGEST_NUMBER else None

    def matches(self, *texts: str) -> bool:
        """Every word that was typed is somewhere in ``texts``."""
        there = " ".join(texts).casefold()
        return all(word in there for word in self.text.casefold().split())

    def best(self, hits: Iterable[Hit], most: int = MOST) -> list[Hit]:
        """Those that match, with what begins with the text before what only contains it."""
        found = [hit for hit in hits if self.matches(hit.label, hit.note)]
        start = self.text.casefold()
        return sorted(found, key=lambda hit: not hit.label.casefold().startswith(start))[:most]


def _url(name: str, *args: object) -> str:
    """Empty when this portal has no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


# --- where one can go ---------------------------------------------------------------------------
def _pages(search: Search) -> list[Hit]:
    portal = search.portal
    links = [Hit(str(link.label), link.url, link.icon) for link in (*portal.navigation, *portal.system_links)]
    known = {hit.url for hit in links}
    links += [hit for hit in _more_pages(search) if hit.url and hit.url not in known]
    return search.best(links, 6) if search.text else links


MORE_PAGES: Final = (
    ("views", gettext_lazy("Saved views"), "bookmark", may.MESSAGES_READ),
    ("shortcuts", gettext_lazy("Keyboard shortcuts"), "command-line", may.MESSAGES_READ),
    ("profile", gettext_lazy("Your profile, language and time zone"), "user-circle", may.MESSAGES_READ),
    ("mfa_index", gettext_lazy("Your password, passkeys and second factor"), "shield-check", may.MESSAGES_READ),
    ("sessions", gettext_lazy("Where you are logged in"), "computer-desktop", may.MESSAGES_READ),
    ("keys", gettext_lazy("API keys"), "key", may.APIKEYS_MANAGE),
    ("people", gettext_lazy("People and roles"), "users", may.PEOPLE_MANAGE),
    ("incident-rules", gettext_lazy("Rules that open incidents"), "adjustments-horizontal", may.INCIDENTS_READ),
    ("channels", gettext_lazy("Channels"), "share", may.SERVICES_READ),
    ("schedules", gettext_lazy("Schedules"), "calendar", may.SERVICES_READ),
    ("components", gettext_lazy("Components"), "swatch", may.PEOPLE_MANAGE),
)


def _more_pages(search: Search) -> Iterator[Hit]:
    for name, label, icon, permission in MORE_PAGES:
        if search.text and search.may(permission):
            yield Hit(str(label), _url(name), icon)


def _views(search: Search) -> list[Hit]:
    views = ((view, link_of(view)) for view in views_of(search.person))
    return search.best([Hit(view.name, url, "bookmark", view.page) for view, url in views if url])


def _services(search: Search) -> list[Hit]:
    breakers = search.portal.breakers
    hits = []
    for service in search.portal.services:
        state = breaker_mark(str(breakers[service.name].state)).label if service.name in breakers else ""
        note = " · ".join(filter(None, (service.owner, service.channel, str(state))))
        hits.append(Hit(service.name, reverse("service", args=[service.name]), "server-stack", note))
    return search.best(hits, 8)


# --- rows ---------------------------------------------------------------------------------------
def _messages(search: Search) -> list[Hit]:
    personal = search.may(may.MESSAGES_REVEAL) and len(search.text) >= SHORTEST_TEXT
    found = found_at_once(str(search.number or search.text), personal=personal, limit=MOST)
    return [_message(message) for message in found]


def _message(message: Message) -> Hit:
    facts = (message.service_id, str(MESSAGE[message.status].label), mask_recipient(message.recipient))
    label = _("Message {number}").format(number=message.pk)
    return Hit(label, reverse("message", args=[message.pk]), "paper-airplane", " · ".join(filter(None, facts)))


def _letters(search: Search) -> Iterator[Hit]:
    letter = DeadLetter.objects.filter(pk=search.number).first() if search.number else None
    if letter is not None:
        note = f"{letter.service} · {mask_addresses(letter.error)[:80]}"
        yield Hit(_("Letter {number}").format(number=letter.pk), reverse("letter", args=[letter.pk]), "inbox", note)


def _causes(search: Search) -> list[Hit]:
    if search.number and search.text.isdigit() and len(search.text) != 3:
        return []
    rows = Cause.objects.all()
    for word in search.text.casefold().replace("time-out", "timeout").split():
        status = Q(status_code=int(word)) if word.isascii() and word.isdigit() and len(word) == 3 else Q()
        said = Q(service__icontains=word) | Q(error_class__icontains=word) | Q(message__icontains=word)
        rows = rows.filter(status | said | Q(fingerprint=word) if status else said | Q(fingerprint=word))
    return [_cause(cause) for cause in rows.order_by("-last_seen")[:MOST]]


def _cause(cause: Cause) -> Hit:
    label = cause_label(cause.service, cause.error_class, cause.status_code)
    return Hit(label, reverse("cause", args=[cause.pk]), "inbox-stack", mask_addresses(cause.message)[:80])


def _replays(search: Search) -> list[Hit]:
    rows = Replay.objects.order_by("-pk")
    number = Q(pk=search.number) if search.number else Q()
    rows = rows.filter(number) if search.number else rows.filter(reason__icontains=search.text)
    return [
        Hit(
            _("Replay {number}").format(number=replay.pk),
            reverse("replay", args=[replay.pk]),
            "arrow-path",
            " · ".join(filter(None, (str(replay.get_state_display()), replay.reason[:80]))),
        )
        for replay in rows[:MOST]
    ]


def _incidents(search: Search) -> list[Hit]:
    """Open ones first; by their number (``INC-12``) or words of their title."""
    if not search.may(may.INCIDENTS_READ):
        return []
    rows = IncidentFilters(text=search.text).rows().order_by("-pk")
    found = sorted(rows[:50], key=lambda row: (row.resolved_at is not None, -row.pk))[:MOST]
    return [
        Hit(
            f"INC-{row.pk} {row.title}",
            reverse("incident", args=[row.pk]),
            "fire",
            f"{row.severity.upper()} · {INCIDENT[row.state].label}",
        )
        for row in found
    ]


def _templates(search: Search) -> list[Hit]:
    if search.text.isdigit():
        return []
    rows = MessageTemplate.objects.filter(name__icontains=search.text).order_by("name")
    names = rows.values_list("name", flat=True).distinct()[:MOST]
    hits = [Hit(name, _url("template", name), "document-text") for name in names]
    return [hit for hit in hits if hit.url]


def _alerts(search: Search) -> list[Hit]:
    """By number, or what is open by words; what is over is found on its page."""
    if not search.may(may.ALERTS_READ):
        return []
    moment = now()
    if search.number and (search.text.isdigit() or search.text.casefold().startswith(("alert", "#"))):
        found = list(Episode.objects.filter(pk=search.number).defer("labels", "refired"))
    else:
        found = list(episode_page(EpisodeFilters(text=search.text), now=moment, limit=MOST).items)
    return [_alert(episode) for episode in found]


def _alert(episode: Episode) -> Hit:
    facts = (str(state_mark(episode).label), severity_label(episode.severity), episode.service, episode.source_id)
    label = visible_line(episode.name, 80) or _("Alert {number}").format(number=episode.pk)
    return Hit(label, reverse("alert", args=[episode.pk]), "bell-alert", " · ".join(filter(None, facts)))


def _people(search: Search) -> list[Hit]:
    if search.text.isdigit() or not search.may(may.PEOPLE_MANAGE):
        return []
    rows = User.objects.filter(Q(email__icontains=search.text) | Q(name__icontains=search.text)).order_by("email")
    hits = [
        Hit(str(user), _url("person", user.pk), "user-circle", f"{user.email} · {user.get_role_display()}")
        for user in rows[:MOST]
    ]
    return [hit for hit in hits if hit.url]


def _keys(search: Search) -> list[Hit]:
    if not search.may(may.APIKEYS_MANAGE) or not _url("keys"):
        return []
    rows = ApiKey.objects.filter(Q(name__icontains=search.text) | Q(prefix__startswith=search.text)).order_by("name")
    return [Hit(key.name, f"{_url('keys')}#key-{key.pk}", "key", ", ".join(key.scopes)) for key in rows[:MOST]]


# --- what one can do ----------------------------------------------------------------------------
def _actions(search: Search) -> list[Hit]:
    return search.best([*_service_actions(search), *_own_actions(search)], 8)


def _service_actions(search: Search) -> Iterator[Hit]:
    for service in search.portal.services:
        name = service.name
        if search.may(may.SERVICES_PAUSE) and service.paused_at is None:
            yield Hit(_("Pause {name}…").format(name=name), reverse("service-pause", args=[name]), "pause", dialog=True)
        if search.may(may.SERVICES_PAUSE) and service.paused_at is not None:
            url = reverse("service-resume", args=[name])
            yield Hit(_("Resume {name}").format(name=name), url, "play", fields=(("from", "find"),))
        if search.may(may.BREAKERS_OVERRIDE):
            yield from _overrides(name)
        if search.may(may.SERVICES_EDIT):
            url = reverse("service-settings", args=[name])
            yield Hit(_("Settings of {name}").format(name=name), url, "cog-6-tooth")


def _overrides(name: str) -> Iterator[Hit]:
    url = reverse("service-override", args=[name])
    labels = (
        ("force_open", _("Force {name} open…"), "lock-closed"),
        ("force_closed", _("Force {name} closed…"), "lock-closed"),
        ("reset", _("Reset the breaker of {name}…"), "arrow-uturn-left"),
    )
    for action, label, icon in labels:
        yield Hit(label.format(name=name), f"{url}?action={action}", icon, dialog=True)


def _own_actions(search: Search) -> Iterator[Hit]:
    if search.may(may.INCIDENTS_WORK):
        yield Hit(_("Open an incident…"), reverse("incident-new"), "fire", dialog=True)
    for value, label in search.portal.themes:
        shown = _("Theme: {name}").format(name=label)
        yield Hit(shown, reverse("theme"), "sun", fields=(("theme", value),))
    for code, name in search.portal.languages:
        own = get_language_info(code)["name_local"] if code == name else name
        yield Hit(_("Language: {name}").format(name=own), reverse("language"), "language", fields=(("language", code),))
    yield Hit(_("Log out"), reverse("logout"), "arrow-right-start-on-rectangle", fields=(("next", ""),))


Kind = tuple[object, Callable[[Search], Iterable[Hit]]]
KINDS: Final[tuple[Kind, ...]] = (
    (gettext_lazy("Messages"), _messages),
    (gettext_lazy("Services"), _services),
    (gettext_lazy("Alerts"), _alerts),
    (gettext_lazy("Pages"), _pages),
    (gettext_lazy("Saved views"), _views),
    (gettext_lazy("Actions"), _actions),
    (gettext_lazy("Dead letters"), _letters),
    (gettext_lazy("Causes"), _causes),
    (gettext_lazy("Incidents"), _incidents),
    (gettext_lazy("Replays"), _replays),
    (gettext_lazy("Templates"), _templates),
    (gettext_lazy("People"), _people),
    (gettext_lazy("API keys"), _keys),
)
KINDS_BEFORE_TYPING: Final[tuple[Kind, ...]] = (
    (gettext_lazy("Pages"), _pages),
    (gettext_lazy("Saved views"), _views),
)

"""What the frame of every page shows: navigation with counts, degradation, theme, what one may do.

Everything is looked up at most once for a request, and only when a template asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import SavedView, User
from apps.accounts.roles import permissions_of
from apps.accounts.saved_views import clean_query, views_of
from apps.breakers.selectors import BreakerSnapshot
from apps.console.degradation import Degradation, degradation
from apps.console.marks import PAUSED
from apps.console.selectors.open_incidents import open_now
from apps.console.selectors.vitals import Vitals, vitals
from apps.console.words import words
from apps.core import clock, language
from apps.core.actor import AUDIT_READ
from apps.outbox.selectors import Backlog, backlog
from apps.services.models import Service

THEME_COOKIE: Final = "opsportal_theme"
KEYS_COOKIE: Final = "opsportal_keys"
# What goes there behind "g"; by the name of the page.
GO: Final = {
    "overview": "o",
    "alerts": "l",
    "services": "s",
    "outbox": "m",
    "dead-letters": "d",
    "replays": "r",
    "incidents": "i",
    "postmortems": "p",
    "templates": "t",
    "audit": "a",
    "settings": "e",
}
# Pages of a part of the portal whose address does not begin with its own; by the name of its first page.
BELONGS: Final = {"alerts": ("/on-call",), "postmortems": ("/action-items",)}
THEMES: Final = (("", gettext_lazy("System")), ("light", gettext_lazy("Light")), ("dark", gettext_lazy("Dark")))
ON_PHONE: Final = 4
COMPONENTS: Final = (
    "tokens base shell nav palette button badge card banner tile chart window table filters form dialog toast "
    "timeline progress empty menu diff audit outbox settings template alert oncall incident postmortem plot"
)
STYLES: Final = tuple(f"css/{name}.css" for name in COMPONENTS.split())
SCRIPT_NAMES: Final = "words toasts dialogs live times page zones select passkeys palette keys"
SCRIPTS: Final = tuple(f"js/{name}.js" for name in SCRIPT_NAMES.split())


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation. ``means`` says in words what ``count`` counts; ``key`` goes there behind ``g``."""

    url: str
    label: str
    icon: str
    short: str = ""
    current: bool = False
    count: int = 0
    bad: bool = False
    means: str = ""
    outside: bool = False
    key: str = ""


def link_of(view: SavedView) -> str:
    """Where a saved view leads; empty when its page is no more."""
    name, *args = view.page.split(":")
    try:
        url = reverse(name, args=args)
    except NoReverseMatch:
        return ""
    return f"{url}?{view.query}" if view.query else url


class Portal:
    """``portal`` in templates."""

    themes = THEMES
    styles = STYLES
    scripts = SCRIPTS
    sandbox = settings.SANDBOX
    paused_mark = PAUSED

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def theme(self) -> str:
        """light, dark, or empty to follow the system."""
        chosen = self.request.COOKIES.get(THEME_COOKIE, "")
        return chosen if chosen in dict(THEMES) else ""

    @cached_property
    def languages(self) -> list[tuple[str, str]]:
        return language.languages()

    @property
    def language(self) -> str:
        return translation.get_language() or language.ENGLISH

    @property
    def zone(self) -> str:
        """``Asia/Jakarta (UTC+07:00)``."""
        return language.label(timezone.get_current_timezone_name(), self.now)

    @property
    def words(self) -> str:
        """What scripts say."""
        return words()

    @cached_property
    def now(self) -> datetime:
        return clock.now()

    @cached_property
    def permissions(self) -> frozenset[str]:
        return permissions_of(getattr(self.request.user, "role", ""))

    @cached_property
    def may(self) -> dict[str, bool]:
        """``portal.may.breakers_override``: for hiding what would be refused anyway."""
        return {name.replace(".", "_"): True for name in self.permissions}

    @cached_property
    def services(self) -> list[Service]:
        return list(Service.objects.all())

    @cached_property
    def vitals(self) -> Vitals:
        return vitals(lambda: self.services)

    @property
    def breakers(self) -> dict[str, BreakerSnapshot]:
        return self.vitals.breakers

    @property
    def letters_by_service(self) -> dict[str, int]:
        return self.vitals.letters

    @property
    def letters(self) -> int:
        return sum(self.vitals.letters.values())

    @cached_property
    def backlog(self) -> dict[str, Backlog]:
        return backlog()

    @cached_property
    def waiting(self) -> int:
        return sum(row.waiting + row.sending for row in self.backlog.values())

    @cached_property
    def degradation(self) -> Degradation:
        return degradation({name: str(snapshot.state) for name, snapshot in self.breakers.items()})

    @cached_property
    def open_incidents(self) -> int:
        return open_now()

    @cached_property
    def navigation(self) -> list[Link]:
        unhealthy = len(self.degradation.unhealthy)
        return [
            self._link("overview", _("Overview"), "pulse"),
            self._link(
                "alerts",
                _("Alerts"),
                "bell-alert",
                count=self.vitals.alerts,
                bad=True,
                means=_("firing, and nobody’s yet"),
            ),
            self._link("services", _("Services"), "server-stack", count=unhealthy, bad=True, means=_("not healthy")),
            self._link(
                "dead-letters",
                _("Dead letters"),
                "inbox",
                _("Letters"),
                count=self.letters,
                bad=True,
                means=_("dead letters open"),
            ),
            self._link("outbox", _("Outbox"), "paper-airplane", count=self.waiting, means=_("waiting or on their way")),
            self._link("replays", _("Replays"), "arrow-path"),
            self._link(
                "incidents",
                _("Incidents"),
                "fire",
                count=self.open_incidents,
                bad=True,
                means=_("incidents open"),
            ),
            self._link("postmortems", _("Post-mortems"), "document-magnifying-glass"),
        ]

    @property
    def go_links(self) -> list[Link]:
        """What can be gone to by two keys."""
        return [link for link in (*self.navigation, *self.system_links) if link.key]

    @property
    def keys_off(self) -> bool:
        return self.request.COOKIES.get(KEYS_COOKIE) == "off"

    @property
    def beyond(self) -> list[Link]:
        """What a phone's bar has no room for: it shows the first four and "More"."""
        return [*self.navigation[ON_PHONE:], *self.system_links]

    @property
    def beyond_is_current(self) -> bool:
        return any(link.current for link in self.beyond)

    @cached_property
    def saved_page(self) -> str:
        """What this page is called in a saved view: its name, and its arguments behind colons."""
        match = self.request.resolver_match
        return ":".join([match.url_name or "", *map(str, match.kwargs.values())]) if match else ""

    @cached_property
    def saved_views(self) -> list[Link]:
        """The person's views of this page."""
        here = clean_query(self.request.GET.urlencode())
        found = views_of(self.request.user, page=self.saved_page) if isinstance(self.request.user, User) else []
        return [Link(link_of(view), view.name, "bookmark", current=view.query == here) for view in found]

    @property
    def save_view_url(self) -> str:
        return f"{reverse('view-new')}?{urlencode({'page': self.saved_page, 'query': self.request.GET.urlencode()})}"

    def _link(self, name: str, label: str, icon: str, short: str = "", **facts: Any) -> Link:
        url = reverse(name)
        path = self.request.path
        homes = (url, *BELONGS.get(name, ()))
        current = path == url or (url != "/" and any(path == home or path.startswith(f"{home}/") for home in homes))
        return Link(url, label, icon, short or label, current=current, key=GO.get(name, ""), **facts)

    def _sandbox_url(self) -> str:
        host = self.request.get_host().rsplit(":", 1)[0]
        return f"http://{host}:{settings.SANDBOX_PORT}/"

    @cached_property
    def system_links(self) -> list[Link]:
        links = [self._link("templates", _("Templates"), "document-text")]
        if AUDIT_READ in self.permissions:
            links.append(self._link("audit", _("Audit trail"), "clipboard-document-list"))
        if self.sandbox:
            links.append(Link(self._sandbox_url(), _("Sandbox"), "beaker", outside=True))
        links.append(Link(reverse("api-docs"), "API", "code-bracket"))
        links.append(self._link("settings", _("Settings"), "cog-6-tooth"))
        return links


def portal_of(request: HttpRequest) -> Portal:
    """The one Portal of a request."""
    found = getattr(request, "portal", None)
    if not isinstance(found, Portal):
        found = Portal(request)
        request.portal = found  # type: ignore[attr-defined]  # kept for the context processor
    return found

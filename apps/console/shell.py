"""What the frame of every page shows: navigation with counts, degradation, theme, what one may do.

Everything is looked up at most once for a request, and only when a template asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from apps.accounts.roles import permissions_of
from apps.breakers.selectors import BreakerSnapshot
from apps.console.degradation import Degradation, degradation
from apps.console.marks import PAUSED
from apps.console.selectors.vitals import Vitals, vitals
from apps.console.words import words
from apps.core import clock, language
from apps.core.actor import PEOPLE_MANAGE
from apps.outbox.selectors import Backlog, backlog
from apps.services.models import Service

THEME_COOKIE: Final = "opsportal_theme"
THEMES: Final = (("", _("System")), ("light", _("Light")), ("dark", _("Dark")))
COMPONENTS: Final = (
    "tokens base shell button badge card banner tile chart table filters form dialog toast timeline progress "
    "empty menu diff outbox settings"
)
STYLES: Final = tuple(f"css/{name}.css" for name in COMPONENTS.split())
SCRIPTS: Final = tuple(f"js/{name}.js" for name in ("words", "toasts", "dialogs", "live", "times", "page", "select", "passkeys"))


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation. ``means`` says in words what ``count`` counts."""

    url: str
    label: str
    icon: str
    short: str = ""
    current: bool = False
    count: int = 0
    bad: bool = False
    means: str = ""


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
        return vitals()

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
    def navigation(self) -> list[Link]:
        unhealthy = len(self.degradation.unhealthy)
        return [
            self._link("overview", "Overview", "pulse"),
            self._link("services", "Services", "server-stack", count=unhealthy, bad=True, means="not healthy"),
            self._link("outbox", "Outbox", "paper-airplane", count=self.waiting, means="waiting or on their way"),
            self._link(
                "dead-letters",
                "Dead letters",
                "inbox",
                "Letters",
                count=self.letters,
                bad=True,
                means="dead letters open",
            ),
            self._link("replays", "Replays", "arrow-path"),
        ]

    def _link(self, name: str, label: str, icon: str, short: str = "", **facts: Any) -> Link:
        url = reverse(name)
        path = self.request.path
        current = path == url or (url != "/" and path.startswith(f"{url}/"))
        return Link(url, label, icon, short or label, current=current, **facts)

    def _sandbox_url(self) -> str:
        host = self.request.get_host().rsplit(":", 1)[0]
        return f"http://{host}:{settings.SANDBOX_PORT}/"

    @cached_property
    def system_links(self) -> list[Link]:
        links = []
        if self.sandbox:
            links.append(Link(self._sandbox_url(), "Sandbox", "beaker"))
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

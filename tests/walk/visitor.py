"""A person in front of a browser: what they do often, and what the browser had to complain about."""

from __future__ import annotations

import re
from typing import Final

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, expect

from tests.walk.portal import PASSWORD, PATIENCE_S

PATIENCE_MS: Final = PATIENCE_S * 1000
# What the policy forbade is told to the page only; the console keeps it where we look anyway.
LISTEN: Final = """document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
});"""
# A refused form is an answer; the browser notes its status all the same.
REFUSED: Final = re.compile(r"status of (409|422)\b")
AWAY: Final = re.compile(r"ERR_(CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE)|htmx:(sendError|afterRequest)")


class Visitor:
    """``page`` is the one they look at; ``problems`` has to stay empty. ``away`` while the portal may be away."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url, self.away = context, url, False
        self.problems: list[str] = []
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(LISTEN)
        context.on("console", self._heard)
        context.on("request", lambda asked: None if self._ours(asked.url) else self.problems.append(asked.url))
        self.page = context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(f"{self.page.url}: {error}"))

    def _ours(self, url: str) -> bool:
        return url.startswith((f"{self.url}/", "data:"))

    def _heard(self, said: ConsoleMessage) -> None:
        expected = REFUSED.search(said.text) or (self.away and AWAY.search(said.text))
        if said.type in ("error", "warning") and not expected:
            self.problems.append(f"{self.page.url}: {said.text}")

    def log_in(self, person: str) -> None:
        self.page.goto("/login")
        self.page.get_by_label("E-mail").fill(f"{person}@example.com")
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in", exact=True).click()
        expect(self.page.get_by_label("You and your settings")).to_be_visible()

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    @property
    def state(self) -> Locator:
        """The badge beside the heading."""
        return self.page.locator("h1 + .badge")

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def figure(self, label: str) -> Locator:
        """A figure at the top of a page, by what is written under it."""
        return self.page.locator(".stat").filter(has=self.page.get_by_text(label, exact=True)).locator("b")

    def number(self, label: str) -> int:
        return int(self.figure(label).inner_text().replace(",", ""))

    def leave_a_mark(self) -> None:
        """Gone when the page is loaded again."""
        self.page.evaluate("window.walked = true")

    @property
    def has_mark(self) -> bool:
        return bool(self.page.evaluate("window.walked === true"))

    def polled(self, times: int = 1) -> None:
        """Wait until the page has asked for itself again so often."""
        for _ in range(times):
            with self.page.expect_response(lambda answer: "x-live" in answer.request.headers):
                pass

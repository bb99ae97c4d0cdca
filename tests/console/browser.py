"""What tests in a real browser share. ``from tests.console.browser import *`` brings the fixtures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from apps.accounts.models import User
from apps.console.management.commands.seed_demo import seed
from apps.core.clock import now
from scripts.screenshots import CHROMIUM, CHROMIUM_ARGS
from tests.console.conftest import make_person

__all__ = ["MARKS", "Open", "browser", "expect", "logged_in", "opened", "problems", "server", "wrong"]

MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"needs {CHROMIUM}: apt-get install chromium"),
]
Open = Callable[..., Page]
# What the policy forbade is told to the page only; the console keeps it where tests look anyway.
LISTEN = """document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
});"""


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright's own loop runs in this thread; the database is used beside it, not in it.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        yield found
        found.close()
    assert os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def server(transactional_db: None, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Its threads give their connections back after each request, or the test database could not be dropped."""
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", 0)
    yield live_server
    # Beside Playwright's loop Django keeps connections of their own; nobody else would close them.
    connections.close_all()


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """What pages said on their consoles, refused by policy or asked of other hosts; must stay empty."""
    found: list[str] = []
    yield found
    assert not found, found


@pytest.fixture
def opened(server: Any, browser: Browser, problems: list[str]) -> Iterator[Open]:
    """``opened("/outbox")`` is a page in which a lead is logged in, by typing as a person does."""
    make_person("lead")
    seed(now(), scale=0.05)
    cache.clear()
    contexts = []

    def open_page(path: str, **settings: Any) -> Page:
        context = browser.new_context(base_url=server.url, **settings)
        contexts.append(context)
        page = watch(context, server.url, problems)
        page.goto("/login")
        expect(page.get_by_label("E-mail")).to_be_focused()
        page.keyboard.type("lead@example.com")
        page.keyboard.press("Tab")
        page.keyboard.type("right-password")
        page.keyboard.press("Enter")
        page.wait_for_url("**/")
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def logged_in(context: BrowserContext, url: str, role: str, problems: list[str]) -> Page:
    """A page in which a person with ``role`` is logged in, without the log-in page."""
    client = Client()
    client.force_login(User.objects.filter(role=role).first() or make_person(role))
    context.add_cookies([{"name": name, "value": morsel.value, "url": url} for name, morsel in client.cookies.items()])
    return watch(context, url, problems)


def watch(context: BrowserContext, url: str, problems: list[str]) -> Page:
    page = context.new_page()
    page.add_init_script(LISTEN)
    page.on("console", lambda said: problems.append(f"{page.url}: {said.text}") if wrong(said) else None)
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    page.on("request", lambda asked: None if asked.url.startswith((url, "data:")) else problems.append(asked.url))
    return page


def wrong(said: ConsoleMessage) -> bool:
    """A refused form is answered 422, which the browser notes on its console; so is a request a test has cut off."""
    expected = ("status of 422", "ERR_FAILED", "htmx:sendError", "htmx:afterRequest")
    return said.type in ("error", "warning") and not any(text in said.text for text in expected)

"""The pages in a real browser: what stays when regions refresh, dialogs, the keyboard, a phone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connections
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from apps.breakers.models import Override, SharedBreaker
from apps.console.management.commands.seed_demo import seed
from apps.core.clock import now
from apps.services.models import Service
from scripts.screenshots import CHROMIUM, CHROMIUM_ARGS, PHONE
from tests.console.conftest import make_person
from tests.console.places import DIALOGS, PAGES, places

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"needs {CHROMIUM}: apt-get install chromium"),
]
Open = Callable[..., Page]


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
def server(transactional_db: None, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its threads give their connections back after each request, or the test database could not be dropped."""
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", 0)
    return live_server


@pytest.fixture
def opened(server: Any, browser: Browser) -> Iterator[Open]:
    """``opened("/outbox")`` is a page in which a lead is logged in; nothing may be said on its console."""
    make_person("lead")
    seed(now(), scale=0.05)
    cache.clear()
    problems: list[str] = []
    contexts = []

    def open_page(path: str, **settings: Any) -> Page:
        context = browser.new_context(base_url=server.url, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: problems.append(said.text) if wrong(said) else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(server.url) else problems.append(asked.url))
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
    # Beside Playwright's loop Django keeps connections of their own; nobody else would close them.
    connections.close_all()
    assert problems == []


def wrong(said: ConsoleMessage) -> bool:
    """A refused form is answered 422, which the browser notes on its console."""
    return said.type in ("error", "warning") and "status of 422" not in said.text


def pause(name: str, reason: str) -> None:
    Service.objects.filter(pk=name).update(paused_at=now(), paused_by="someone", paused_reason=reason)


def test_an_override_shows_in_another_browser_without_a_reload(opened: Open) -> None:
    mine, theirs = opened("/services/smtp"), opened("/services")
    mine.get_by_text("Override…").click()
    mine.get_by_role("link", name="Force open…").click()
    dialog = mine.get_by_role("dialog")
    expect(dialog.get_by_label("Why")).to_be_focused()
    dialog.get_by_text("1 h", exact=True).click()
    expect(dialog.get_by_role("button", name="Force open for 1 h")).to_be_visible()
    dialog.get_by_label("Why").fill("mail moves")
    dialog.get_by_role("button", name="Force open for 1 h").click()
    expect(mine.locator(".toast")).to_contain_text("smtp is forced open")
    expect(theirs.locator("[data-key=smtp]")).to_contain_text("FORCED OPEN", timeout=6000)
    assert SharedBreaker.objects.get(name="smtp").override == Override.FORCED_OPEN


def test_a_refresh_leaves_focus_and_open_dialogs_alone(opened: Open) -> None:
    page = opened("/")
    page.locator("[data-key=slack] h3 a").focus()
    pause("billing-webhook", "partner moves")
    expect(page.locator("[data-key=billing-webhook]")).to_contain_text("partner moves", timeout=6000)
    expect(page.locator("[data-key=slack] h3 a")).to_be_focused()

    page.get_by_role("link", name="Plan replay…").first.click()
    why = page.get_by_role("dialog").get_by_label("Why")
    why.fill("provider confirmed recovery")
    pause("slack", "quiet hours")
    expect(page.locator("[data-key=slack]")).to_contain_text("quiet hours", timeout=6000)
    expect(why).to_be_focused()
    expect(why).to_have_value("provider confirmed recovery")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_an_error_stays_in_the_dialog_with_what_was_typed(opened: Open) -> None:
    page = opened("/dead-letters")
    page.get_by_role("link", name="Replay…").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("recovered")
    dialog.get_by_label("Try this many first").fill("-1")
    dialog.locator("form").evaluate("form => form.noValidate = true")
    dialog.get_by_role("button", name="Replay").click()
    expect(dialog).to_contain_text("greater than or equal to 0")
    expect(dialog.get_by_label("Why")).to_have_value("recovered")


def test_selected_rows_can_be_replayed_and_watched(opened: Open) -> None:
    page = opened(f"/dead-letters/causes/{places()['cause']}")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("[data-selection]")).to_contain_text("selected")
    page.get_by_role("button", name="Replay selected…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("recovered")
    dialog.get_by_role("button", name="Replay").click()
    page.wait_for_url("**/replays/*")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("h1 + .badge")).to_contain_text("PAUSED")


def test_a_page_that_is_not_refreshed_says_so_and_recovers(opened: Open) -> None:
    page = opened("/replays")
    page.route("**/replays", lambda route: route.abort())
    page.evaluate("window.realNow = Date.now; Date.now = () => window.realNow() + 40000")
    expect(page.locator("#live")).to_have_attribute("data-state", "stale", timeout=4000)
    expect(page.locator("#live")).to_contain_text("not updated for")
    page.unroute("**/replays")
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=8000)


def test_the_theme_changes_without_a_reload_and_is_kept(opened: Open) -> None:
    page = opened("/outbox", color_scheme="light")
    page.get_by_label("You and your settings").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_ctrl_k_finds_a_message(opened: Open) -> None:
    page = opened("/")
    page.keyboard.press("Control+k")
    page.keyboard.type(places()["dead"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/outbox?q=*")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_the_first_tab_skips_to_the_content(opened: Open) -> None:
    page = opened("/services")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_wire_id_can_be_copied_over_plain_http(opened: Open) -> None:
    page = opened(f"/outbox/{places()['dead']}")
    page.get_by_label("Copy wire id").click()
    expect(page.locator("#announcer")).to_have_text("Copied.")


def test_nothing_sticks_out_on_a_phone(opened: Open) -> None:
    page = opened("/", viewport=PHONE, is_mobile=True, has_touch=True)
    known = places()
    for path in (*PAGES, *DIALOGS):
        page.goto(path.format(**known))
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], (path, wide)

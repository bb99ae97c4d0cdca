"""The pages in a real browser: what stays when regions refresh, dialogs, the keyboard, a phone."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from playwright.sync_api import Locator, Page, expect

from apps.breakers.models import Override, SharedBreaker
from apps.core.clock import now
from apps.services.models import Service
from scripts.screenshots import PHONE
from tests.console.browser import MARKS, Open, browser, opened, problems, server
from tests.console.places import places

pytestmark = MARKS
__all__ = ["browser", "opened", "problems", "server"]  # fixtures
# What is done in one browser is seen in another within two seconds.
SEEN_WITHIN_MS = 2000


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
    expect(theirs.locator("[data-key=smtp]")).to_contain_text("FORCED OPEN", timeout=SEEN_WITHIN_MS)
    expect(mine.locator(".toast")).to_contain_text("smtp is forced open")
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
    page.locator("[data-selection]").get_by_role("button", name="Replay…").click()
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


# Polls come once a second, and a page that was loaded just now is not loaded again.
SETTLED_POLLS = 7
AGAIN_WITHIN_MS = 20_000


def leave_a_mark(page: Page) -> Locator:
    """Gone when the page is loaded again."""
    page.evaluate("document.documentElement.dataset.old = 'yes'")
    return page.locator("html[data-old]")


def polled(page: Page, times: int = 1) -> None:
    for _ in range(times):
        with page.expect_response(lambda answer: "x-page-mark" in answer.headers):
            pass


def deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staticfiles_storage, "manifest_hash", "of other files", raising=False)


def test_a_page_loads_itself_again_after_a_deployment(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened("/services")
    old = leave_a_mark(page)
    deploy(monkeypatch)
    expect(old).to_have_count(0, timeout=AGAIN_WITHIN_MS)
    again = leave_a_mark(page)
    polled(page, SETTLED_POLLS)
    expect(again).to_have_count(1)


def test_a_page_does_not_load_itself_again_under_somebody(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    page = opened("/services/smtp")
    page.get_by_role("link", name="Pause…").click()
    why = page.get_by_role("dialog").get_by_label("Why")
    why.fill("mail moves")
    old = leave_a_mark(page)
    deploy(monkeypatch)
    polled(page, SETTLED_POLLS)
    expect(why).to_have_value("mail moves")
    page.keyboard.press("Escape")
    expect(old).to_have_count(0, timeout=AGAIN_WITHIN_MS)


def test_a_page_whose_session_ended_leads_to_the_log_in_and_back(opened: Open) -> None:
    page = opened("/outbox?status=waiting")
    page.context.clear_cookies()
    page.wait_for_url(lambda url: "/login" in url, timeout=AGAIN_WITHIN_MS)
    assert "outbox" in page.url


def test_a_change_is_told_in_words(opened: Open) -> None:
    page = opened("/services/smtp")
    pause("smtp", "mail moves")
    expect(page.locator("#announcer")).to_contain_text("smtp", timeout=6000)
    assert len(page.locator("#announcer").inner_text()) < 80


def test_the_theme_changes_without_a_reload_and_is_kept(opened: Open) -> None:
    page = opened("/outbox", color_scheme="light")
    page.get_by_label("You and your settings").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_ctrl_k_finds_a_message_and_enter_goes_there(opened: Open) -> None:
    page = opened("/")
    number = places()["dead"]
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search everything")
    expect(field).to_be_focused()
    page.keyboard.type(number)
    expect(page.get_by_role("option", selected=True)).to_contain_text(f"Message {number}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/outbox/{number}")


def test_the_palette_moves_with_arrows_and_opens_dialogs(opened: Open) -> None:
    page = opened("/replays")
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search everything")
    page.keyboard.type("slack")
    expect(page.get_by_role("option", selected=True)).to_contain_text("slack")
    page.keyboard.press("ArrowDown")
    chosen = page.get_by_role("option", selected=True)
    expect(chosen).to_contain_text("Pause slack…")
    expect(field).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_label("Why")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()


def test_single_keys_go_move_and_select(opened: Open) -> None:
    page = opened("/")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/dead-letters")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("main tbody tr").nth(1).locator(".main-link").first
    expect(second).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dead-letters/causes/*")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("[data-selection]")).to_contain_text("1 selected")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
    page.get_by_role("button", name="Single-key shortcuts").click()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.reload()
    page.keyboard.press("?")
    expect(page.locator("#dialog")).to_be_hidden()
    assert "/dead-letters/causes/" in page.url


def test_the_first_tab_skips_to_the_content(opened: Open) -> None:
    page = opened("/services")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_wire_id_can_be_copied_over_plain_http(opened: Open) -> None:
    page = opened(f"/outbox/{places()['dead']}")
    page.locator("[data-copy^=msg_]").click()
    expect(page.locator("#announcer")).to_have_text("Copied.")


def test_what_a_phone_has_no_room_for_is_behind_more(opened: Open) -> None:
    page = opened("/", viewport=PHONE, is_mobile=True, has_touch=True)
    page.locator(".nav-rest summary").click()
    page.locator(".nav-rest").get_by_role("link", name="Replays").click()
    page.wait_for_url("**/replays")

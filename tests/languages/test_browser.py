"""What scripts make of the language and the zone, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from apps.accounts.models import User
from tests.console.browser import MARKS, Open, browser, opened, problems, server

pytestmark = MARKS
__all__ = ["browser", "opened", "problems", "server"]  # fixtures
INDONESIAN_AGO = re.compile(r"^\d+ (dtk|mnt|jam|hr) lalu$")


def test_times_run_on_in_the_language_of_the_page(opened: Open) -> None:
    page = opened("/")
    page.locator(".top details.menu summary").click()
    page.get_by_role("button", name="Bahasa Indonesia").click()
    expect(page.locator("html")).to_have_attribute("lang", "id")
    expect(page.locator("#live")).to_contain_text("langsung · ")
    expect(page.locator("time[data-time=ago]").first).to_have_text(INDONESIAN_AGO)
    # Outside of every region, so that only the script can give it words.
    page.evaluate(
        """document.body.insertAdjacentHTML("beforeend",
        '<time id="old" data-time="ago" datetime="2026-01-01T00:00:00Z"></time>')"""
    )
    expect(page.locator("#old")).to_have_text(INDONESIAN_AGO)
    assert User.objects.get(language="id")


def test_a_page_left_open_follows_when_the_language_is_changed_elsewhere(opened: Open) -> None:
    page = opened("/services")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    User.objects.update(language="id")
    expect(page.locator("html")).to_have_attribute("lang", "id", timeout=8000)
    expect(page.locator("h1")).to_have_text("Layanan")


def test_the_browser_offers_its_own_zone(opened: Open) -> None:
    page = opened("/settings/profile")
    own = page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    field, offer = page.get_by_label("Time zone"), page.locator("[data-zone-suggestion]")
    field.fill("Asia/Jayapura")
    expect(offer).to_contain_text(own)
    offer.click()
    expect(field).to_have_value(own)
    expect(offer).to_be_hidden()
    field.fill("Asia/Jayapura")
    page.get_by_role("button", name="Save profile").click()
    expect(page.locator("[data-zone-field]")).to_have_value("Asia/Jayapura")
    page.goto(page.url.replace("/settings/profile", "/"))
    expect(page.locator("time[title*='WIT (UTC+09:00)']").first).to_be_visible()

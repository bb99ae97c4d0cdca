"""Every page and dialog as axe sees it, light and dark, and on a phone: no violation of WCAG 2.2 AA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, Page

from apps.accounts.models import User
from apps.console.management.commands.seed_demo import seed
from apps.core.clock import now
from scripts.screenshots import DESKTOP, PHONE
from tests.console.browser import MARKS, browser, logged_in, problems, server
from tests.console.places import DIALOGS, PAGES, places

# Every page and dialog in one go: minutes, on a machine that has other things to do.
pytestmark = [*MARKS, pytest.mark.timeout(600)]
__all__ = ["browser", "problems", "server"]  # fixtures

# Evaluated by the test, not loaded by the page: the policy of the pages stays as it is.
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
RUN = """async ([where, options]) => {
  const { violations } = await axe.run(where, options);
  const said = (rule, node) => `${rule.id}: ${node.target.join(" ")} ${node.failureSummary}`;
  return violations.flatMap((rule) => rule.nodes.slice(0, 3).map((node) => said(rule, node)));
}"""
# What reaches beyond the right edge, the innermost of it.
BEYOND = """() => [...document.querySelectorAll("main *, header *")]
  .filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest(".scroll, .table-wrap, .tabs, .diff, pre"))
  .map((e) => `${e.tagName} ${e.className} ${(e.id || e.name || e.textContent || "").trim().slice(0, 30)}`).slice(-3)"""
OPEN = "(url) => htmx.ajax('GET', url, { target: '#dialog-body', swap: 'innerHTML' })"
ALL = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
# What a theme can change.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}


def violations(page: Page, where: str = "html") -> list[str]:
    """All rules in light, and in dark those of colour."""
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.evaluate(f"window.axe || (() => {{ {AXE} }})()")
    found: list[str] = page.evaluate(RUN, [where, ALL])
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    found += [f"dark {each}" for each in page.evaluate(RUN, [where, COLOURS])]
    return found


def too_wide(page: Page) -> list[str]:
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    wide = page.evaluate("document.documentElement.scrollWidth")
    beyond = page.evaluate(BEYOND) if wide > PHONE["width"] else []
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    return [f"{wide} px wide on a phone of {PHONE['width']}: {beyond}"] if wide > PHONE["width"] else []


def said(found: dict[str, list[str]]) -> str:
    return "\n".join(f"{path}\n    {each}" for path, problems in found.items() for each in problems)


def seeded(browser: Browser, server: Any, problems: list[str], role: str = "admin") -> Page:
    seed(now(), scale=0.05)
    cache.clear()
    context = browser.new_context(base_url=server.url, viewport=DESKTOP, reduced_motion="reduce")  # type: ignore[arg-type]
    return logged_in(context, server.url, role, problems)


def visit(page: Page, path: str) -> None:
    response = page.goto(path)
    assert response is not None
    assert response.status == 200, path


def test_no_page_has_a_violation(server: Any, browser: Browser, problems: list[str]) -> None:
    page = seeded(browser, server, problems)
    found = {}
    for path in (pattern.format(**places()) for pattern in PAGES):
        visit(page, path)
        found[path] = violations(page) + too_wide(page)
    assert not said(found), said(found)


def test_no_page_is_too_wide_in_longer_words(server: Any, browser: Browser, problems: list[str]) -> None:
    """Indonesian takes more room than English."""
    page = seeded(browser, server, problems)
    User.objects.update(language="id")
    found = {}
    for path in (pattern.format(**places()) for pattern in (*PAGES, *DIALOGS)):
        visit(page, path)
        page.locator("html[lang=id]").wait_for(state="attached")
        found[path] = too_wide(page)
    assert not said(found), said(found)


def test_no_dialog_has_a_violation(server: Any, browser: Browser, problems: list[str]) -> None:
    """Over the page they are opened on; the same forms as pages of their own fit a phone. And the palette."""
    page = seeded(browser, server, problems)
    found = {}
    dialogs = []
    for path in (pattern.format(**places()) for pattern in DIALOGS):
        visit(page, path)
        found[f"{path} as a page"] = too_wide(page) + violations(page)
        if not page.locator("meta[name=page-mark]").count():  # else it is a page that keeps itself fresh
            dialogs.append(path)
    page.goto("/replays")
    for path in dialogs:
        page.evaluate(OPEN, path)
        page.locator("#dialog[open]").wait_for()
        if not page.locator("#dialog .top").count():  # else it is a page of its own only
            found[path] = violations(page, "#dialog")
        page.evaluate("document.getElementById('dialog').close()")
    page.keyboard.press("Control+k")
    page.keyboard.type("midtrans")
    page.locator("#palette [role=option]").first.wait_for()
    found["palette"] = violations(page, "#palette")
    assert not said(found), said(found)

"""A night in the sandbox of `make run`, in a browser: payments fail, the breaker opens, people are paged, somebody
acknowledges, payments work again, the incident ends, and its post-mortem says what plain SQL says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from scripts.screenshots import CHROMIUM, CHROMIUM_ARGS
from tests.e2e.plain_sql import Database
from tests.processes import wait_for
from tests.tooling.conftest import Portal
from tests.walk.visitor import Visitor

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(420)]
PATIENCE_S: Final = 60
TITLE: Final = re.compile("breaker of midtrans is open", re.IGNORECASE)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("needs chromium")
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_S * 1000)
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        yield found
        found.close()
        expect.set_options()


@pytest.fixture
def portal(make_run: Callable[..., Portal]) -> Portal:
    found = make_run(sandbox=True, SANDBOX_SCRIPT="off", ALERT_NORMAL_S="5")
    found.wait_for("The portal is up")
    return found


def test_from_the_outage_to_the_post_mortem(portal: Portal, browser: Browser, database_url: str) -> None:
    url = f"http://127.0.0.1:{portal.port}"
    visitor = Visitor(browser.new_context(base_url=url), url)
    page, sandbox = visitor.page, Sandbox(f"http://127.0.0.1:{portal.port + 1}")
    log_in(page, portal)
    any_critical_alert_is_an_incident(page)
    with browser.new_context(base_url=sandbox.url) as other:
        providers = other.new_page()
        fail(providers)
        pages_arrive(sandbox)
        acknowledge(page)
        wait_for(lambda: "acknowledge" in sandbox.actions(), PATIENCE_S, "an acknowledgement at PagerDuty")
        take_command(page)
        providers.get_by_role("button", name="End outage of midtrans").click()
    it_ends(page, sandbox)
    database = Database(database_url, portal.folder / "var")
    the_post_mortem_says_what_sql_says(page, database)
    assert sandbox.actions() == ["trigger", "acknowledge", "resolve"]
    assert visitor.problems == []


class Sandbox:
    """What its providers were sent."""

    def __init__(self, url: str) -> None:
        self.url = url

    def excerpts(self, provider: str) -> list[str]:
        """The oldest first."""
        found = requests.get(f"{self.url}/api/received/{provider}", timeout=10).json()
        return [one["excerpt"] for one in reversed(found)]

    def actions(self) -> list[str]:
        """What PagerDuty was told of the breaker of midtrans; other alerts have names of their own."""
        events = [excerpt.split(" ") for excerpt in self.excerpts("pagerduty")]
        first = next((words[1] for words in events if "midtrans" in words), None)
        return [words[0] for words in events if words[1] == first]


def log_in(page: Page, portal: Portal) -> None:
    made = re.search(r"log in as +(\S+)[\s\S]*?password +(\S+) +\(shown this once\)", portal.said)
    assert made is not None, portal.said
    page.goto("/login")
    page.get_by_label("E-mail").fill(made[1])
    page.get_by_label("Password").fill(made[2])
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_label("You and your settings")).to_be_visible()


def any_critical_alert_is_an_incident(page: Page) -> None:
    """At once, and over as soon as its alerts are: five minutes of each are long for a test."""
    page.goto("/incidents/rules/critical-alert/edit")
    page.get_by_label("After minutes of firing").fill("0")
    page.get_by_label("Resolves by itself after minutes").fill("0")
    page.locator("form [type=submit]").last.click()
    expect(page).to_have_url(re.compile(r"/incidents/rules"))


def fail(page: Page) -> None:
    page.goto("/")
    card = page.locator("#midtrans")
    card.get_by_label("for").select_option("")
    card.get_by_role("button", name="Errors", exact=True).click()
    expect(card.get_by_text("answers 500 and 503").first).to_be_visible()


def pages_arrive(sandbox: Sandbox) -> None:
    wait_for(lambda: "trigger" in sandbox.actions(), PATIENCE_S, "a page at PagerDuty")
    wait_for(lambda: any(TITLE.search(text) for text in sandbox.excerpts("slack")), PATIENCE_S, "a page in Slack")


def acknowledge(page: Page) -> None:
    page.goto("/alerts")
    page.get_by_role("link", name="BreakerOpen").first.click()
    expect(page.get_by_text(TITLE).first).to_be_visible()
    page.get_by_role("link", name="Acknowledge…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What you know or do (optional)").fill("calling the payment provider")
    dialog.get_by_role("button", name="Acknowledge", exact=True).click()
    expect(page.get_by_role("button", name="Take back")).to_be_visible()


def take_command(page: Page) -> None:
    page.goto("/incidents")
    page.locator("#main .main-link").filter(has_text=TITLE).first.click()
    take = page.get_by_role("button", name="Take the role Incident commander")
    take.click()
    expect(take).to_have_count(0)


def it_ends(page: Page, sandbox: Sandbox) -> None:
    """The page of the incident is left open; it says by itself that it is over."""
    expect(page.locator(".title .badge").filter(has_text="Resolved")).to_be_visible(timeout=120_000)
    wait_for(lambda: "resolve" in sandbox.actions(), PATIENCE_S, "the end at PagerDuty")
    thread = "#alerts, in a thread: [RESOLVED]"
    wait_for(lambda: any(thread in text for text in sandbox.excerpts("slack")), PATIENCE_S, "the end in its thread")


def the_post_mortem_says_what_sql_says(page: Page, database: Database) -> None:
    expect(page.get_by_role("link", name="Post-mortem", exact=True).first).to_be_visible(timeout=120_000)
    page.get_by_role("link", name="Post-mortem", exact=True).first.click()
    expect(page.locator("#figures")).to_be_visible()
    shown = {
        box.locator("summary").inner_text().partition(":")[0].strip(): box.locator("b").first.inner_text().strip()
        for box in page.locator(".figure").all()
    }
    for label, value in counted(database).items():
        assert shown[label] == f"{value:,}", (label, shown)
    assert shown["Breaker open"] == span(open_seconds(database)), shown
    began, detected, acknowledged, resolved = incident_times(database)
    assert shown["Time to acknowledge"] == span((acknowledged - detected).total_seconds())
    assert shown["Time to resolve"] == span((resolved - began).total_seconds())
    assert "BreakerOpen" in page.locator("#main").inner_text()


def incident_times(database: Database) -> Any:
    sql = "SELECT started_at, detected_at, acknowledged_at, resolved_at FROM incident"
    return database.times(sql)


def counted(database: Database) -> dict[str, int]:
    """Each figure by a question of its own."""
    began, detected, _, end = incident_times(database)
    start: datetime = min(began, detected)
    minute = start.replace(second=0, microsecond=0)
    span = "service = 'midtrans' AND {0} >= ? AND {0} < ?"
    died = f"SELECT count(*) FROM dead_letter WHERE {span.format('died_at')}"
    expired = f"SELECT count(*) FROM notification_outbox WHERE status = 'EXPIRED' AND {span.format('settled_at')}"
    failed = f"SELECT coalesce(sum(failed + timed_out), 0) FROM delivery_minute WHERE {span.format('minute')}"
    pages = """SELECT count(DISTINCT n.message_id) FROM alert_notification n
        JOIN alert_escalation e ON e.id = n.escalation_id JOIN incident_episode i ON i.episode_id = e.episode_id
        WHERE n.kind = 'page' AND n.outcome = 'queued'"""
    told = """SELECT count(*) FROM (SELECT DISTINCT n.service, n.recipient FROM alert_notification n
        JOIN alert_escalation e ON e.id = n.escalation_id JOIN incident_episode i ON i.episode_id = e.episode_id
        WHERE n.kind = 'page' AND n.outcome = 'queued') AS told"""
    accepted = f"SELECT created_at, send_after, sent_at FROM notification_outbox WHERE {span.format('created_at')}"
    return {
        "Messages delayed": sum(is_late(*row) for row in database.rows(accepted + " AND status = 'SENT'", start, end)),
        "Recipients paged": database.one(told),
        "Dead-lettered": database.one(died, start, end),
        "Lost to expiry": database.one(expired, start, end),
        "Failed attempts": database.one(failed, minute, end),
        "Pages sent": database.one(pages),
        "Alerts": database.one("SELECT count(*) FROM incident_episode"),
    }


def is_late(created: Any, send_after: Any, sent: Any) -> bool:
    """Sent more than a minute after it was due."""
    times = [
        at if isinstance(at, datetime) or at is None else datetime.fromisoformat(at)
        for at in (created, send_after, sent)
    ]
    return (times[2] - max(at for at in times[:2] if at is not None)).total_seconds() > 60


def open_seconds(database: Database) -> float:
    """From the opening to the closing, cut to the time of the incident."""
    began, detected, _, end = incident_times(database)
    sql = """SELECT min(e.at), max(e.at) FROM breaker_event e JOIN breaker b ON b.id = e.breaker_id
        WHERE b.name = 'midtrans' AND e.kind IN ('opened', 'closed')"""
    ((opened, closed),) = database.rows(sql)
    start = max(opened, min(began, detected).timestamp() * 1000)
    return float(min(closed, end.timestamp() * 1000) - start) / 1000


def span(seconds: float) -> str:
    from apps.core.human import span as in_words

    return str(in_words(seconds))

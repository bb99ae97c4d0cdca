"""Passkeys in a real browser, with an authenticator that Chromium plays (over CDP)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.db import connections
from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from scripts.screenshots import CHROMIUM, CHROMIUM_ARGS
from tests.console.conftest import make_person

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"needs {CHROMIUM}: apt-get install chromium"),
]


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
def page(transactional_db: None, live_server: Any, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """A lead who is not logged in. Passkeys work on localhost, not on a bare address."""
    monkeypatch.setitem(connections.databases["default"], "CONN_MAX_AGE", 0)
    make_person("lead")
    cache.clear()
    problems: list[str] = []
    context = browser.new_context(base_url=live_server.url.replace("127.0.0.1", "localhost"))
    found = context.new_page()
    found.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    found.on("pageerror", lambda error: problems.append(str(error)))
    yield found
    context.close()
    connections.close_all()
    assert [text for text in problems if "status of 422" not in text] == []


@pytest.fixture
def device(page: Page) -> tuple[CDPSession, str]:
    """A phone's own authenticator; whoever holds it unlocks it."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def log_in(page: Page) -> None:
    page.goto("/login")
    page.get_by_label("E-mail").fill("lead@example.com")
    page.get_by_label("Password").fill("right-password")
    page.get_by_role("button", name="Log in", exact=True).click()


def add_passkey(page: Page, name: str = "Phone") -> None:
    log_in(page)
    page.goto("/settings/security")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill("right-password")
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add passkey").click()
    page.wait_for_url("**/recovery-codes")


def log_out(page: Page) -> None:
    page.goto("/settings")
    page.get_by_label("You and your settings").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login*")


def test_a_passkey_is_added_and_logs_in_by_itself(page: Page, device: tuple[CDPSession, str]) -> None:
    add_passkey(page)
    expect(page.locator(".codes li")).to_have_count(10)
    page.goto("/settings/security")
    expect(page.locator(".sub-list")).to_contain_text("Phone")
    log_out(page)
    page.goto("/login?next=/settings/sessions")
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()
    entry = AuditEntry.objects.filter(action="person.logged_in").latest("id")
    assert entry.after == {"methods": ["webauthn"]}


def test_a_passkey_is_the_second_factor_of_a_password(page: Page, device: tuple[CDPSession, str]) -> None:
    add_passkey(page)
    log_out(page)
    log_in(page)
    page.wait_for_url("**/login/code")
    page.get_by_role("button", name="Use your passkey").click()
    page.wait_for_url("**/")
    expect(page.get_by_label("You and your settings")).to_be_visible()


def test_somebody_elses_finger_does_not_log_in(page: Page, device: tuple[CDPSession, str]) -> None:
    add_passkey(page)
    log_out(page)
    session, authenticator = device
    session.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_text("No passkey was used.")).to_be_visible()
    expect(page.get_by_role("button", name="Log in with a passkey")).to_be_enabled()


def test_a_passkey_that_was_removed_opens_nothing(page: Page, device: tuple[CDPSession, str]) -> None:
    add_passkey(page)
    Authenticator.objects.all().delete()
    log_out(page)
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.locator(".form-error").filter(has_text="not right")).to_be_visible()
    assert AuditEntry.objects.filter(action="person.login_failed").count() == 1


def test_who_was_locked_out_is_not_let_in_by_a_passkey(page: Page, device: tuple[CDPSession, str]) -> None:
    add_passkey(page)
    log_out(page)
    User.objects.update(is_active=False)
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_text("may not log in any more")).to_be_visible()


def test_renaming_and_removing_ask_for_the_passkey_once_more(page: Page, device: tuple[CDPSession, str]) -> None:
    add_passkey(page)
    log_out(page)
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url("**/")
    page.goto("/settings/security")
    page.get_by_role("link", name="Rename Phone").click()
    page.get_by_role("link", name="Use a passkey instead").click()
    page.get_by_role("button", name="Use your passkey").click()
    page.get_by_label("Name").fill("Old phone")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator(".sub-list")).to_contain_text("Old phone")
    page.get_by_role("link", name="Remove… Old phone").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Your passkey is removed.")).to_be_visible()
    assert not Authenticator.objects.exists()

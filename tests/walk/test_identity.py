"""Who may come in, who may stay, and which program."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import expect

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.outbox.models import Message
from scripts.screenshots import CHROMIUM
from tests.processes import wait_for
from tests.walk.conftest import Visit
from tests.walk.portal import PASSWORD, PATIENCE_S, Portal
from tests.walk.visitor import Visitor

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"needs {CHROMIUM}: apt-get install chromium"),
]
STEP_S = 30
# "Within seconds": each process of the web server may remember a program that it has let in for so long.
REFUSED_WITHIN_S = 5.0


def code(secret: str, step: int) -> str:
    return str(format_hotp_value(hotp_value(secret, step)))


def set_up_app(ana: Visitor) -> tuple[str, int]:
    """Through the pages, as a person with a telephone; the secret and the step whose code is used up."""
    page = ana.page
    page.goto("/settings/security")
    page.get_by_role("link", name="Set up app").click()
    page.get_by_label("Password").fill(PASSWORD)
    ana.press("Confirm")
    secret = page.locator("code.secret").inner_text()
    step = int(time.time()) // STEP_S
    page.get_by_label("Code").fill(code(secret, step))
    ana.press("Set up app")
    page.wait_for_url("**/recovery-codes")
    expect(page.locator(".codes li")).to_have_count(10)
    return secret, step


def log_out(visitor: Visitor) -> None:
    visitor.page.get_by_label("You and your settings").click()
    visitor.press("Log out")
    visitor.page.wait_for_url("**/login*")


def test_a_log_in_needs_the_code_of_the_telephone(visit: Visit, portal: Portal) -> None:
    tia = visit()
    tia.log_in("tia")
    secret, used = set_up_app(tia)
    log_out(tia)
    page = tia.page
    page.goto("/outbox")
    page.get_by_label("E-mail").fill("tia@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    tia.press("Log in")
    page.wait_for_url("**/login/code*")
    page.goto("/outbox")
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()  # a password alone opens nothing
    for wrong in (code(secret, used - 100), code(secret, used), "abcdef"):  # old, used up, none
        page.get_by_label("Code").fill(wrong)
        tia.press("Log in")
        expect(page.get_by_role("alert").or_(page.locator(".error"))).to_be_visible()
        expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    page.get_by_label("Code").fill(code(secret, used + 1))
    tia.press("Log in")
    expect(page.get_by_role("heading", name="Outbox")).to_be_visible()
    entry = AuditEntry.objects.filter(action="person.logged_in", actor__contains="tia@").latest("id")
    assert entry.after == {"methods": ["password", "totp"]}


def last_taken(portal: Portal, raw: str) -> float:
    """After how many seconds the last of the web server's processes takes no message with this key any more."""
    start, taken = time.monotonic(), [0.0]

    def asked_long_enough() -> bool:
        at = time.monotonic() - start
        if portal.call(raw, "", {"service": "keys", "json": 3}).status_code != 401:
            taken.append(at)
        return at > REFUSED_WITHIN_S + 1

    wait_for(asked_long_enough, PATIENCE_S, "enough questions", every=0.1)
    return taken[-1]


def test_a_revoked_key_is_refused_within_seconds(
    visit: Visit, portal: Portal, capsys: pytest.CaptureFixture[str]
) -> None:
    portal.service("keys")
    lead = visit("lead", "/settings/keys")
    lead.page.get_by_role("link", name="Make a key…").click()
    lead.dialog.get_by_label("Name").fill("billing job")
    lead.dialog.get_by_text("messages:write", exact=True).click()
    lead.press("Make key")
    raw = lead.dialog.locator("code.secret").inner_text()
    assert portal.call(raw, "", {"service": "keys", "json": 1}).status_code == 202
    lead.page.get_by_role("link", name="I have kept it").click()
    row = lead.page.locator("tbody tr").filter(has_text="billing job")
    expect(row).to_contain_text("Active")
    assert raw not in lead.page.content()  # shown once

    row.get_by_role("link", name="Revoke… billing job").click()
    expect(lead.dialog).to_contain_text("messages:write")
    lead.dialog.get_by_label("Why").fill("the job has moved")
    assert portal.call(raw, "", {"service": "keys", "json": 2}).status_code == 202  # still good a moment ago
    lead.dialog.get_by_role("button").last.click()
    expect(row).to_contain_text("Revoked")
    took = last_taken(portal, raw)
    with capsys.disabled():
        print(f"\n  no process took a revoked key {took:.2f} s after the page had said so")
    assert took <= REFUSED_WITHIN_S
    taken = Message.objects.filter(service="keys").count()
    assert portal.call(raw, "", {"service": "keys", "json": 4}).status_code == 401
    assert Message.objects.filter(service="keys").count() == taken
    entry = AuditEntry.objects.filter(action="apikey.revoked").latest("id")
    assert (entry.reason, "lead@" in entry.actor) == ("the job has moved", True)


def test_who_is_logged_out_by_an_admin_is_asked_to_log_in(visit: Visit, portal: Portal) -> None:
    eko, admin = visit("eko", "/outbox?status=sent"), visit("admin", "/settings/people")
    admin.page.get_by_role("link", name="eko@example.com").click()
    admin.page.get_by_role("link", name="Log out everywhere…").click()
    admin.press("Log out")
    expect(admin.page.get_by_text("Not logged in anywhere.")).to_be_visible()
    # Nobody touches eko's browser.
    expect(eko.page.get_by_role("heading", name="Log in")).to_be_visible(timeout=10_000)
    eko.page.get_by_label("E-mail").fill("eko@example.com")
    eko.page.get_by_label("Password").fill(PASSWORD)
    eko.press("Log in")
    expect(eko.page).to_have_url(f"{portal.url}/outbox?status=sent")  # where it was
    assert User.objects.get(email="eko@example.com").is_active

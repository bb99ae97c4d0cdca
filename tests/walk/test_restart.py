"""A page that is left open while the portal goes away and comes back."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from apps.accounts.models import User
from apps.accounts.services import change_person
from apps.breakers import services as breakers
from apps.breakers.models import Override, SharedBreaker
from apps.core.actor import SYSTEM
from scripts.screenshots import CHROMIUM
from tests.walk.conftest import Visit
from tests.walk.portal import Portal

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"needs {CHROMIUM}: apt-get install chromium"),
]


def test_a_page_says_that_it_is_stale_and_recovers_by_itself(
    visit: Visit, portal: Portal, capsys: pytest.CaptureFixture[str]
) -> None:
    portal.service("waits")
    ana, bima = visit("ana", "/services/waits"), visit("bima", "/services")
    live = ana.page.locator("#live")
    ana.page.get_by_role("link", name="Pause…").click()
    ana.dialog.get_by_label("Why").fill("the words I was typing")
    for visitor in (ana, bima):
        visitor.leave_a_mark()
        visitor.away = True
    portal.stop_web()
    try:
        expect(live).to_have_attribute("data-state", "stale")
        expect(live).to_have_text(re.compile(r"not updated for \d+ s"))
        expect(bima.page.locator("#live")).to_have_attribute("data-state", "stale")
        ana.press("Pause waits")  # pressed in vain: it is said, and nothing that was typed is lost
        expect(ana.page.locator(".toast.error")).to_be_visible()
        expect(ana.dialog.get_by_label("Why")).to_have_value("the words I was typing")
        # Meanwhile something has changed.
        breakers.act(service="waits", action="force_open", reason="night", expires_in=3600, actor=SYSTEM)
    finally:
        portal.start_web()
    back = time.monotonic()
    expect(bima.page.locator("[data-key=waits]")).to_contain_text("FORCED OPEN")
    expect(bima.page.locator("#live")).to_have_attribute("data-state", "live")
    took = time.monotonic() - back
    expect(live).to_have_attribute("data-state", "live")
    assert ana.has_mark
    assert bima.has_mark  # they went on; nobody loaded them again
    with capsys.disabled():
        print(f"\n  a page was fresh again {took:.1f} s after the web server")
    expect(ana.dialog.get_by_label("Why")).to_have_value("the words I was typing")
    ana.press("Pause waits")
    expect(ana.page.locator("h1 ~ .badge").nth(1)).to_contain_text("PAUSED")
    assert SharedBreaker.objects.get(name="waits").override == Override.FORCED_OPEN


def test_a_page_whose_person_has_changed_loads_itself_again(visit: Visit, portal: Portal) -> None:
    """Somebody else has logged in in another tab of the same browser: no page may go on as the first one."""
    bima, ana = visit("bima", "/replays"), visit("ana", "/replays")
    expect(ana.page.get_by_label("You and your settings")).to_have_text("AE")
    cookies: Any = bima.context.cookies()
    ana.context.add_cookies(cookies)
    expect(ana.page.get_by_label("You and your settings")).to_have_text("BE")
    assert User.objects.get(email="bima@example.com").role == "operator"


def test_who_may_do_less_from_now_on_sees_it_without_a_reload(visit: Visit, portal: Portal) -> None:
    portal.service("trusted")
    rini = visit("rini", "/services/trusted")
    expect(rini.page.get_by_text("Override…")).to_be_visible()
    change_person(email="rini@example.com", changes={"role": "viewer"}, actor=SYSTEM)
    expect(rini.page.get_by_text("Override…")).to_be_hidden()
    change_person(email="rini@example.com", changes={"role": "operator"}, actor=SYSTEM)

"""What operators do with a thousand dead letters, with one, and with the same ones at the same moment."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.outbox.models import DeadLetter, Message, Replay, ReplayItem
from scripts.screenshots import CHROMIUM
from tests.processes import wait_for
from tests.walk.conftest import Visit
from tests.walk.portal import PATIENCE_S, Portal, accept, refuse
from tests.walk.visitor import Visitor

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"needs {CHROMIUM}: apt-get install chromium"),
]
LETTERS = 1000
CANARY = 10
SLOW_S = 1.5


def cause_of(visitor: Visitor, service: str) -> None:
    """Go to the one cause of a service's letters, as a person who looks for it does."""
    visitor.page.goto("/dead-letters")
    visitor.page.get_by_label("Service").select_option(service)
    visitor.page.wait_for_url(f"**/dead-letters?*service={service}*")
    visitor.page.locator("main tbody .main-link").first.click()
    visitor.page.wait_for_url("**/dead-letters/causes/*")


def careful(slow_for: int) -> object:
    """A provider that takes its time over the first ``slow_for`` it gets to see now."""
    seen: list[str] = []

    def answer(key: str, times: int) -> tuple[int, float]:
        seen.append(key)
        return 200, SLOW_S if len(seen) <= slow_for else 0.0

    return answer


def test_a_thousand_letters_are_triaged_and_replayed_after_a_canary(visit: Visit, portal: Portal) -> None:
    portal.service("shop", limits={"max_in_flight": 32})
    keys = set(portal.dead("shop", LETTERS))
    before = len(portal.provider.arrivals)
    ana = visit("ana")
    cause_of(ana, "shop")
    expect(ana.page.locator("main")).to_contain_text("1,000 open letters")
    triage(ana)
    portal.provider.script = careful(CANARY)  # type: ignore[assignment]
    start_replay(ana)
    replay = Replay.objects.latest("pk")
    watch_canary(ana, portal, before)
    pause_and_resume(ana, portal, replay)

    page = ana.page
    ana.leave_a_mark()
    shown = [ana.number("sent")]
    while ana.state.inner_text() == "RUNNING":
        ana.polled()
        shown.append(ana.number("sent"))
    expect(ana.state).to_have_text("DONE")
    expect(ana.figure("sent")).to_have_text("1,000")
    assert shown == sorted(shown)  # it never went back
    assert len(set(shown)) > 3, shown  # and was seen to go on
    assert ana.has_mark  # without being loaded again
    figures_agree(ana, replay)
    arrived = [key for _, key, _, _ in portal.provider.arrivals[before:] if key in keys]
    assert sorted(arrived) == sorted(keys)  # each once
    page.goto(f"/dead-letters/causes/{DeadLetter.objects.filter(service='shop').latest('pk').cause_id}")
    expect(page.locator("main")).to_contain_text("No letter of this cause is open")


def triage(ana: Visitor) -> None:
    letters = DeadLetter.objects.filter(service="shop")
    ana.page.get_by_role("link", name="Assign…").click()
    ana.dialog.get_by_label("Who looks after it").select_option(label="me (ana@example.com)")
    ana.press("Assign")
    expect(ana.page.locator(".toast")).to_contain_text("1,000 dead letters are assigned to ana@example.com.")
    assert letters.filter(assignee="ana@example.com").count() == LETTERS
    ana.page.get_by_role("link", name="Note…").click()
    ana.dialog.get_by_label("Note").fill("Wrong merchant code on their side, ticket 4711")
    ana.press("Write note")
    expect(ana.page.locator("main tbody tr").first).to_contain_text("ticket 4711")
    assert letters.filter(note__contains="ticket 4711").count() == LETTERS


def start_replay(ana: Visitor) -> None:
    ana.page.get_by_role("link", name="Replay 1,000…").click()
    ana.dialog.get_by_label("Why").fill("they have corrected it")
    ana.dialog.get_by_label("Try this many first").fill(str(CANARY))
    ana.dialog.get_by_label("At most per second").fill("150")
    expect(ana.dialog.locator(".consequence")).to_contain_text("1,000")
    ana.dialog.get_by_role("button", name="Replay 1,000 messages").click()
    ana.page.wait_for_url("**/replays/*")


def watch_canary(ana: Visitor, portal: Portal, before: int) -> None:
    """Nothing else leaves until the last of the canary was taken."""
    expect(ana.state).to_have_text("CANARY")
    expect(ana.page.locator("main")).to_contain_text("Canary of 10: the rest follows if all of them are sent")
    expect(ana.state).to_have_text("RUNNING")
    expect(ana.page.locator("main")).to_contain_text("Canary of 10 passed")
    wait_for(lambda: len(portal.provider.arrivals) > before + CANARY, PATIENCE_S, "the first after the canary")
    moments = [moment for moment, *_ in portal.provider.arrivals[before : before + CANARY + 1]]
    assert moments[CANARY] >= moments[CANARY - 1] + SLOW_S


def pause_and_resume(ana: Visitor, portal: Portal, replay: Replay) -> None:
    ana.press("Pause")
    expect(ana.state).to_have_text("PAUSED")
    expect(ana.figure("on their way")).to_have_text("0")
    stood, sent = len(portal.provider.arrivals), ana.number("sent")
    assert 0 < sent < LETTERS, sent
    assert ana.number("to go") == LETTERS - sent
    ana.polled(3)
    assert ana.number("sent") == sent
    assert len(portal.provider.arrivals) == stood
    assert Replay.objects.get(pk=replay.pk).sent == sent
    ana.press("Resume")
    expect(ana.state).to_have_text("RUNNING")


def figures_agree(ana: Visitor, replay: Replay) -> None:
    """What the page says is what the database holds, however it is counted."""
    replay.refresh_from_db()
    shown = {name: ana.number(name) for name in ("sent", "failed again", "on their way", "to go")}
    assert shown == {"sent": LETTERS, "failed again": 0, "on their way": 0, "to go": 0}
    assert (replay.sent, replay.failed, replay.skipped, replay.released, replay.total) == (LETTERS, 0, 0, 0, LETTERS)
    assert ReplayItem.objects.filter(replay=replay, state="sent").count() == LETTERS
    assert Message.objects.filter(service="shop", status="SENT").count() == LETTERS
    assert DeadLetter.objects.filter(service="shop", state="replayed").count() == LETTERS


def test_one_letter_is_corrected_and_the_copy_is_sent(visit: Visit, portal: Portal) -> None:
    portal.service("forms")
    portal.provider.script = refuse
    (number,) = portal.hand_in([{"service": "forms", "json": {"amuont": 125000}, "idempotency_key": "form-1"}])
    portal.until("forms", DLQ=1)
    portal.provider.script = accept
    ana = visit("ana", f"/outbox/{number}")
    page = ana.page
    page.get_by_role("link", name="Edit and replay…").click()
    body = page.get_by_label("Body (JSON)").or_(page.get_by_label("Body", exact=True))
    body.fill(body.input_value().replace("amuont", "amount"))
    page.get_by_label("Why").fill("a slip of the pen")
    ana.press("Show what changes")
    expect(page.locator(".diff del")).to_contain_text(["amuont"])
    expect(page.locator(".diff ins").filter(has_text="amount")).to_be_visible()
    assert Message.objects.filter(service="forms").count() == 1  # only shown
    ana.press("Send the corrected copy")
    page.wait_for_url("**/outbox/*")
    copy = Message.objects.filter(service="forms").latest("pk")
    expect(page.get_by_role("heading", name=f"Message {copy.pk}")).to_be_visible()
    expect(ana.state).to_have_text("Sent")
    _, key, sent, _ = portal.provider.arrivals[-1]
    assert json.loads(sent) == {"amount": 125000}
    assert key != "form-1"  # the receiver may have kept the wrong one under it
    assert DeadLetter.objects.get(message_id=number).state == "replayed"
    expect(page.get_by_role("link", name=f"message {number}").first).to_be_visible()


def test_two_who_press_the_same_replay_get_one_job(visit: Visit, portal: Portal) -> None:
    count = 40
    portal.service("twins")
    keys = portal.dead("twins", count)
    ana, bima = visit("ana"), visit("bima")
    for visitor in (ana, bima):
        cause_of(visitor, "twins")
        visitor.page.get_by_role("link", name=f"Replay {count}…").click()
        visitor.dialog.get_by_label("Why").fill("they are back")
    press_together(ana.page, bima.page)
    for visitor in (ana, bima):
        expect(visitor.state.or_(visitor.dialog.get_by_role("alert"))).to_be_visible()
    first, second = (ana, bima) if "/replays/" in ana.page.url else (bima, ana)

    replay = Replay.objects.get(selection__services=["twins"])
    who = "ana@example.com" if first is ana else "bima@example.com"
    said = second.dialog.get_by_role("alert")
    expect(said).to_contain_text(f"Replay {replay.pk} by {who} began")
    expect(said).to_contain_text(f"with these {count} letters")
    said.get_by_role("link", name=f"Open replay {replay.pk}").click()
    for visitor in (first, second):
        expect(visitor.page).to_have_url(re.compile(rf"/replays/{replay.pk}$"))
        expect(visitor.state).to_have_text("DONE")
        expect(visitor.figure("sent")).to_have_text(str(count))
    assert ReplayItem.objects.filter(replay=replay, state="sent").count() == count
    assert [portal.provider.succeeded[key] for key in keys] == [1] * count


def press_together(*pages: Page) -> None:
    """The same button in each page, at the same moment."""
    moment = pages[0].evaluate("Date.now() + 700")
    for page in pages:
        page.evaluate(
            "at => setTimeout(() => document.querySelector('#dialog [type=submit]').click(), at - Date.now())",
            moment,
        )

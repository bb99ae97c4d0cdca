"""The page, its forms and the JSON API, and who may use them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import aiohttp
import pytest

from apps.sandbox.outages import Mode
from apps.sandbox.server import SandboxServer
from tests.sandbox.helpers import CHARGE, Clock, post, quiet_sandbox


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sandbox(clock: Clock) -> AsyncIterator[SandboxServer]:
    async with quiet_sandbox(clock=clock) as found:
        yield found


async def get(url: str, **headers: str) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text(), answer.headers


async def press(sandbox: SandboxServer, path: str, headers: dict[str, str] | None = None, **form: str) -> Any:
    """Submit a form of the page, as a browser does; returns status, text and headers."""
    given = {"token": sandbox.control.token, **form}
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            sandbox.page_url.rstrip("/") + path, data=given, headers=headers or {}, allow_redirects=False
        ) as answer,
    ):
        return answer.status, await answer.text(), answer.headers


def modes(sandbox: SandboxServer, name: str = "midtrans") -> list[tuple[Mode, float, float | None]]:
    station = sandbox.station(name)
    now = sandbox.clock()
    return [(outage.mode, outage.share, outage.remaining(now)) for outage in station.outages.on(now)]


class Markup(HTMLParser):
    """Collects what a strict page must not have, and ids that occur twice."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.problems.append(f"{tag} {name}")
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "action") and (value or "").startswith(("http", "//")):
                self.problems.append(f"{tag} {name}={value}")
        if tag == "style" or (tag == "script" and not dict(attrs).get("src")):
            self.problems.append(f"inline {tag}")


# --- the page ----------------------------------------------------------------------------------------


async def test_the_page_shows_every_provider_and_is_strict(sandbox: SandboxServer) -> None:
    status, html, headers = await get(sandbox.page_url)
    assert status == 200
    for name in ("midtrans", "whatsapp", "billing-webhook", "smtp", "slack", "pagerduty"):
        assert f'id="{name}"' in html
    assert "Nothing has arrived yet" in html
    markup = Markup()
    markup.feed(html)
    assert markup.problems == []
    assert len(markup.ids) == len(set(markup.ids))
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_works_without_script(sandbox: SandboxServer) -> None:
    _, html, _ = await get(sandbox.page_url)
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in html
    assert html.count('<form method="post"') == 1 + 2 * 6


@pytest.mark.parametrize(
    ("name", "kind"), [("sandbox.css", "text/css"), ("live.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
async def test_its_style_and_script_come_from_the_sandbox_itself(sandbox: SandboxServer, name: str, kind: str) -> None:
    _, html, _ = await get(sandbox.page_url)
    assert f"/assets/{name}" in html
    status, _, headers = await get(f"{sandbox.page_url}assets/{name}")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
    assert (await get(f"{sandbox.page_url}assets/control.py"))[0] == 404
    assert (await get(f"{sandbox.page_url}assets/..%2Fcontrol.py"))[0] == 404


async def test_the_page_shows_what_arrived_and_escapes_it(sandbox: SandboxServer) -> None:
    await post(sandbox.url("midtrans"), "<b>key</b>", {**CHARGE, "note": "<script>alert(1)</script>"})
    await post(sandbox.url("billing-webhook"), "other", {"a": 1})
    _, html, _ = await get(sandbox.page_url)
    assert "&lt;b&gt;key&lt;/b&gt;" in html
    assert "<script>alert" not in html
    _, only, _ = await get(f"{sandbox.page_url}?provider=billing-webhook")
    assert "other" in only
    assert "&lt;b&gt;key" not in only


async def test_an_outage_is_told_in_words_with_the_time_that_is_left(sandbox: SandboxServer, clock: Clock) -> None:
    await sandbox.start_outage("midtrans", "errors", share=0.5, seconds=75)
    clock.seconds += 10
    _, html, _ = await get(sandbox.page_url)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))
    assert "Errors: answers 500 and 503 for 50 % of the requests. Started by hand, ends in 1:05." in text
    assert "midtrans has an outage." in text


# --- its buttons -------------------------------------------------------------------------------------


async def test_every_kind_of_outage_has_a_button_that_starts_it(sandbox: SandboxServer) -> None:
    _, html, _ = await get(sandbox.page_url)
    for name, station in sandbox.stations.items():
        card = html.split(f'id="{name}"')[1].split("</article>")[0]
        offered = re.findall(r'name="mode" value="(\w+)"', card)
        assert offered == [mode.value for mode in station.modes]
        for mode in offered:
            status, _, headers = await press(sandbox, "/outages", provider=name, mode=mode, seconds="30", share="1")
            assert (status, headers["Location"]) == (303, f"/#{name}")
            assert modes(sandbox, name) == [(Mode(mode), 1.0, 30.0)]
            status, _, _ = await press(sandbox, "/outages/end", provider=name)
            assert (status, modes(sandbox, name)) == (303, [])


async def test_without_an_end_it_lasts_until_it_is_ended(sandbox: SandboxServer) -> None:
    await press(sandbox, "/outages", provider="midtrans", mode="slow", seconds="", share="0.1")
    assert modes(sandbox) == [(Mode.SLOW, 0.1, None)]


async def test_the_script_has_its_buttons(sandbox: SandboxServer) -> None:
    await press(sandbox, "/script", script="on")
    assert sandbox.player.is_on
    assert "Next in" in (await get(sandbox.page_url))[1]
    await press(sandbox, "/script", script="off")
    assert not sandbox.player.is_on


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"provider": "nobody", "mode": "errors"}, 404, "There is no provider"),
        ({"provider": "midtrans", "mode": "explode"}, 422, "is not one of"),
        ({"provider": "midtrans", "mode": "refuse", "share": "0.5"}, 422, "a closed socket refuses everybody"),
        ({"provider": "midtrans", "mode": "errors", "seconds": "soon"}, 422, "is not a number"),
        ({"provider": "midtrans", "mode": "errors", "seconds": "nan"}, 422, "must be more than 0"),
        ({"provider": "midtrans", "mode": "errors", "token": "old"}, 403, "has been restarted"),
        ({}, 404, "There is no provider"),
    ],
)
async def test_a_wrong_form_is_explained_on_the_page(
    sandbox: SandboxServer, form: dict[str, str], status: int, words: str
) -> None:
    found, html, headers = await press(sandbox, "/outages", **form)
    assert found == status
    assert words in html
    assert 'id="midtrans"' in html
    assert "Content-Security-Policy" in headers
    assert modes(sandbox) == []


# --- who may press them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_site_cannot_press_a_button(sandbox: SandboxServer, headers: dict[str, str]) -> None:
    status, _, _ = await press(sandbox, "/outages", headers, provider="midtrans", mode="errors")
    assert (status, modes(sandbox)) == (403, [])


async def test_the_page_itself_can(sandbox: SandboxServer) -> None:
    headers = {"Origin": sandbox.page_url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert (await press(sandbox, "/outages", headers, provider="midtrans", mode="errors"))[0] == 303


async def test_a_rebound_name_reaches_nothing(sandbox: SandboxServer) -> None:
    for path in ("", "api/status"):
        status, text, _ = await get(sandbox.page_url + path, Host=f"evil.example:{sandbox.page.port}")
        assert (status, sandbox.control.token in text) == (403, False)
    assert (await get(sandbox.page_url, Host=f"localhost:{sandbox.page.port}"))[0] == 200


async def test_the_api_takes_only_json(sandbox: SandboxServer) -> None:
    url = f"{sandbox.page_url}api/outages"
    async with aiohttp.ClientSession() as session:
        for data in ({"data": b'{"provider": "midtrans", "mode": "errors"}'}, {"json": [1]}, {"json": "x"}):
            async with session.post(url, **data) as answer:  # type: ignore[arg-type]  # one of two arguments
                assert answer.status == 422
        async with session.post(url, data=b"{", headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 422
    assert modes(sandbox) == []


# --- the JSON API ------------------------------------------------------------------------------------


async def test_the_api_starts_shows_and_ends_outages(sandbox: SandboxServer) -> None:
    wanted = {"provider": "midtrans", "mode": "errors", "share": 0.25, "seconds": 60, "status": 502}
    status, body, headers = await post(f"{sandbox.page_url}api/outages", "", wanted)
    outage = body["providers"][0]["outages"][0]
    assert status == 200
    assert (outage["mode"], outage["share"], outage["status"], outage["remaining_seconds"]) == ("errors", 0.25, 502, 60)
    assert "Content-Security-Policy" in headers
    _, ended, _ = await post(f"{sandbox.page_url}api/outages/end", "", {"provider": "midtrans"})
    assert ended["ended"] == ["errors"]
    assert ended["providers"][0]["outages"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("outages", {"provider": "midtrans", "mode": "errors", "share": "all"}, 422, "share"),
        ("outages", {"provider": "midtrans", "mode": "errors", "seconds": True}, 422, "seconds"),
        ("outages", {"provider": "midtrans"}, 422, "mode"),
        ("outages/end", {"provider": "midtrans", "mode": "explode"}, 422, "mode"),
        ("script", {"on": "yes"}, 422, "on"),
        ("outages/end", {"provider": "nobody"}, 404, ""),
    ],
)
async def test_the_api_names_what_is_wrong(
    sandbox: SandboxServer, path: str, body: dict[str, Any], status: int, field: str
) -> None:
    found, answer, _ = await post(f"{sandbox.page_url}api/{path}", "", body)
    assert found == status
    assert not field or answer["error"]["detail"][0]["field"] == field


async def test_the_latest_requests_are_there_as_json(sandbox: SandboxServer) -> None:
    for key in ("one", "two"):
        await post(sandbox.url("midtrans"), key)
    async with aiohttp.ClientSession() as session, session.get(f"{sandbox.page_url}api/received/midtrans") as answer:
        found = await answer.json()
    assert [(one["key"], one["turn"], one["outcome"], one["answer"]) for one in found] == [
        ("two", 1, "accepted", "200"),
        ("one", 1, "accepted", "200"),
    ]

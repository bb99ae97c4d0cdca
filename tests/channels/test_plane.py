"""Plane's REST API on a real socket: one work item for each external id, and what its refusals mean."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from apps.core.errors import Invalid
from tests.channels.support import Request, Server, channel, envelope, failure_of, response

TOKEN = "plane_api_0123456789abcdef"
PROJECT = "4af68566-94a4-4eb3-94aa-50dc9427067b"
OTHER = "11111111-94a4-4eb3-94aa-50dc9427067b"
STATE = "22222222-94a4-4eb3-94aa-50dc9427067b"
BASE = f"/api/v1/workspaces/acme/projects/{PROJECT}/work-items/"


class Plane:
    """What Plane's own source does with work items: creates, refuses a second one of an external id, patches."""

    def __init__(self, server: Server) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        server.does(self.answer)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(self.answered(request))

    def answered(self, request: Request) -> bytes:
        method, path = request.line.split()[:2]
        if request.headers.get("x-api-key") != TOKEN:
            return said(401, {"detail": "Given API token is not valid"})
        body = json.loads(request.body)
        if not body.get("name"):
            return said(400, {"name": ["This field is required."]})
        if method == "POST":
            return self.created(body)
        known = path.removeprefix(BASE).rstrip("/")
        if known not in self.items:
            return said(404, {"error": "The requested resource does not exist."})
        self.items[known] |= body
        return said(200, self.items[known])

    def created(self, body: dict[str, Any]) -> bytes:
        key = (body["external_source"], body["external_id"])
        for known, item in self.items.items():
            if (item["external_source"], item["external_id"]) == key:
                error = "Issue with the same external id and external source already exists"
                return said(409, {"error": error, "id": known})
        made = str(uuid.uuid4())
        self.items[made] = {"id": made, **body}
        return said(201, self.items[made])


def said(status: int, body: Any, **headers: str) -> bytes:
    return response(status, json.dumps(body).encode(), Content_Type="application/json", **headers)


def made(server: Server, **settings: Any) -> Any:
    options = {"workspace": "acme", "project": PROJECT, "base_url": f"http://127.0.0.1:{server.port}"} | settings
    return channel("plane", secrets=[options.pop("secret", TOKEN)], timeout=options.pop("timeout", 2.0), **options)


async def send(server: Server, item: Any = None, settings: dict[str, Any] | None = None, **changes: Any) -> Any:
    body = json.dumps({"name": "Move the queue", "external_id": "opsportal-item-7"} if item is None else item).encode()
    plane = made(server, **(settings or {}))
    try:
        return await plane.send(envelope(**{"body": body, **changes}))
    finally:
        await plane.close()


async def test_a_work_item_is_made_where_plane_wants_it(server):
    plane = Plane(server)
    receipt = await send(server, {"name": "Move\nthe queue", "priority": "high", "target_date": "2026-12-01"})
    assert server.last.line == f"POST {BASE} HTTP/1.1"
    assert server.last.headers["x-api-key"] == TOKEN
    (item,) = plane.items.values()
    assert receipt.provider_id == item["id"]
    assert item == {
        "id": item["id"],
        "name": "Move the queue",
        "priority": "high",
        "target_date": "2026-12-01",
        "external_id": "order-1001",
        "external_source": "opsportal",
    }


async def test_sent_twice_there_is_one_and_it_says_what_was_sent_last(server):
    plane = Plane(server)
    first = await send(server, {"name": "Before", "external_id": "opsportal-pm-3"})
    second = await send(server, {"name": "After", "external_id": "opsportal-pm-3"})
    assert first.provider_id == second.provider_id
    assert [item["name"] for item in plane.items.values()] == ["After"]
    assert [request.line.split()[0] for request in server.requests] == ["POST", "POST", "PATCH"]
    assert server.last.line.split()[1] == f"{BASE}{first.provider_id}/"


async def test_other_things_are_other_work_items(server):
    plane = Plane(server)
    await send(server, {"name": "a", "external_id": "opsportal-item-1"})
    await send(server, {"name": "b", "external_id": "opsportal-item-2"})
    await send(server, {"name": "c", "external_id": "opsportal-item-1", "external_source": "another"})
    assert len(plane.items) == 3


async def test_text_becomes_a_description_that_is_no_markup(server):
    plane = Plane(server)
    await send(server, "", body=b"<script>alert(1)</script>\nmore", content_type="text/plain", subject="Look here")
    (item,) = plane.items.values()
    assert item["name"] == "Look here"
    assert item["description_html"] == "<pre>&lt;script&gt;alert(1)&lt;/script&gt;\nmore</pre>"
    await send(server, "", body=b"First line\nmore", content_type="text/plain", idempotency_key="other")
    assert [found["name"] for found in plane.items.values()] == ["Look here", "First line"]


async def test_a_long_name_is_cut_to_what_plane_takes(server):
    plane = Plane(server)
    await send(server, {"name": "x" * 900})
    assert [len(item["name"]) for item in plane.items.values()] == [255]


async def test_project_state_and_older_installations(server):
    server.answers(201, json.dumps({"id": STATE}).encode())
    await send(server, {"name": "a", "completed": True}, {"resource": "issues", "done_state": STATE}, recipient=OTHER)
    assert server.last.line.split()[1] == f"/api/v1/workspaces/acme/projects/{OTHER}/issues/"
    assert json.loads(server.last.body)["state"] == STATE
    await send(server, {"name": "a", "completed": True})
    assert set(json.loads(server.last.body)) == {"name", "external_id", "external_source"}


@pytest.mark.parametrize(
    ("status", "permanent", "counts", "pauses"),
    [
        (400, True, False, False),
        (401, True, False, True),
        (403, True, False, True),
        (404, True, False, True),
        (409, True, False, False),
        (429, False, False, False),
        (500, False, True, False),
        (502, False, True, False),
        (504, False, True, False),
    ],
)
async def test_status_decides(server, status, permanent, counts, pauses):
    server.answers(status, b'{"error":"because"}')
    error = await failure_of(send(server))
    assert (error.permanent, error.counts_as_failure, error.pauses_service) == (permanent, counts, pauses)
    assert "because" in str(error)
    assert error.status_code == status


async def test_429_waits_as_told(server):
    server.answers(429, b'{"detail":"Request was throttled."}', Retry_After="43")
    assert (await failure_of(send(server))).retry_after == 43.0


async def test_a_token_that_is_refused_says_where_to_look_and_is_not_shown(server):
    Plane(server)
    error = await failure_of(send(server, settings={"secret": "plane_api_wrong_token"}))
    assert "Given API token is not valid" in str(error)
    assert "settings.workspace" in str(error)
    assert "plane_api_wrong_token" not in f"{error} {error!r} {error.response_excerpt}"


def second(*later: bytes) -> Any:
    answers = [said(409, {"error": "exists", "id": STATE}), *later]

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    return answer


async def test_deleted_between_the_two_requests_is_tried_again(server):
    server.does(second(said(404, {"error": "The requested resource does not exist."})))
    error = await failure_of(send(server))
    assert (error.permanent, error.pauses_service) == (False, False)


@pytest.mark.parametrize(("status", "permanent"), [(429, False), (500, False), (400, True), (403, True)])
async def test_a_change_that_is_refused_is_a_failure(server, status, permanent):
    server.does(second(said(status, {"error": "no"}, Retry_After="9")))
    error = await failure_of(send(server))
    assert error.permanent is permanent
    assert error.retry_after == (9.0 if status == 429 else None)


async def test_both_requests_together_keep_to_the_time_out(server):
    async def slow(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        writer.write(said(409, {"error": "exists", "id": STATE}))
        if request.line.startswith("PATCH"):
            await asyncio.sleep(5)

    server.does(slow)
    began = asyncio.get_running_loop().time()
    error = await failure_of(send(server, settings={"timeout": 1.0}))
    assert asyncio.get_running_loop().time() - began < 1.5
    assert (error.timed_out, error.ambiguous) == (True, True)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id":7}', b"<html>", b'{"id":"../../x"'])
async def test_a_yes_that_says_nothing_is_ambiguous(server, body):
    server.answers(201, body)
    error = await failure_of(send(server))
    assert (error.error_class, error.ambiguous, error.permanent) == ("bad_answer", True, False)


@pytest.mark.parametrize("known", ["../../../users", "x", 7, None, STATE + "\n", STATE + "/../x"])
async def test_an_id_that_is_none_is_not_followed(server, known):
    server.answers(409, json.dumps({"id": known}).encode())
    assert (await failure_of(send(server))).permanent
    assert [request.line.split()[0] for request in server.requests] == ["POST"]


@pytest.mark.parametrize("item", [{}, {"name": ""}, {"name": "  \n"}])
async def test_a_work_item_without_a_name_names_the_field(server, item):
    error = await failure_of(send(server, item))
    assert (error.permanent, error.error_class) == (True, "bad_message")
    assert server.requests == []


async def test_a_project_that_is_none_names_the_recipient(server):
    error = await failure_of(send(server, recipient="../../other"))
    assert (error.permanent, str(error).startswith("recipient")) == (True, True)
    assert server.requests == []


def test_a_secret_is_needed():
    with pytest.raises(Invalid, match="secret"):
        channel("plane", workspace="acme", project=PROJECT)

from __future__ import annotations

import json

import pytest

from apps.channels.kinds.whatsapp.errors import BY_CODE, RATE_LIMITED, REJECTED, UNAVAILABLE, UNUSABLE, meaning_of
from tests.channels.support import SECRET, channel, envelope, failure_of

YES = b'{"messaging_product":"whatsapp","contacts":[{"wa_id":"62812"}],"messages":[{"id":"wamid.HBg"}]}'


async def send(server, answer=YES, status=200, headers=None, settings=None, **changes):
    server.answers(status, answer, **(headers or {}))
    made = channel(
        "whatsapp",
        secrets=[SECRET],
        base_url=f"http://127.0.0.1:{server.port}",
        phone_number_id="1055",
        **(settings or {}),
    )
    plain = {"recipient": "+62 812-3456-7890", "body": b"Hello", "content_type": "text/plain"}
    try:
        return await made.send(envelope(**{**plain, **changes}))
    finally:
        await made.close()


def wrong(code, **more):
    return json.dumps({"error": {"message": f"(#{code}) no", "code": code, "type": "OAuthException", **more}}).encode()


async def test_text_in_the_shape_of_the_cloud_api(server):
    receipt = await send(server, settings={"api_version": "v21.0"})
    assert receipt.provider_id == "wamid.HBg"
    assert server.last.line == "POST /v21.0/1055/messages HTTP/1.1"
    assert server.last.headers["authorization"] == f"Bearer {SECRET}"
    assert json.loads(server.last.body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "6281234567890",
        "type": "text",
        "text": {"preview_url": False, "body": "Hello"},
        "biz_opaque_callback_data": "msg_0123456789abcdef",
    }


async def test_template_and_other_types_come_as_json(server):
    template = {"name": "otp", "language": {"code": "id"}}
    await send(server, body=json.dumps({"template": template}).encode(), content_type="application/json")
    assert json.loads(server.last.body)["type"] == "template"
    assert json.loads(server.last.body)["template"] == template
    image = {"type": "image", "image": {"link": "https://x.example/i.png"}, "to": "someone else"}
    await send(server, body=json.dumps(image).encode(), content_type="application/json")
    assert json.loads(server.last.body)["image"] == image["image"]
    assert json.loads(server.last.body)["to"] == "6281234567890"


@pytest.mark.parametrize("body", [b"{}", b"[1]", b"{broken", b"12"])
async def test_json_that_is_no_message_names_the_field(server, body):
    error = await failure_of(send(server, body=body, content_type="application/json"))
    assert (error.permanent, error.error_class) == (True, "bad_message")
    assert server.requests == []


@pytest.mark.parametrize("recipient", ["", "abc", "123", "+1234567890123456", "62812\r\n345678"])
async def test_recipient_that_is_no_number(server, recipient):
    error = await failure_of(send(server, recipient=recipient))
    assert error.permanent
    assert str(error).startswith("recipient")


@pytest.mark.parametrize(
    ("code", "permanent", "counts", "pauses"),
    [
        (131026, True, False, False),
        (131047, True, False, False),
        (132001, True, False, False),
        (100, True, False, False),
        (130429, False, False, False),
        (80007, False, False, False),
        (131056, False, False, False),
        (131048, False, False, False),
        (4, False, False, False),
        (1, False, True, False),
        (131000, False, True, False),
        (131016, False, True, False),
        (190, True, False, True),
        (10, True, False, True),
        (200, True, False, True),
        (131031, True, False, True),
    ],
)
async def test_error_code_decides_rather_than_the_status(server, code, permanent, counts, pauses):
    answer = wrong(code, error_data={"details": "Receiver cannot be reached"})
    error = await failure_of(send(server, answer, 400))
    assert (error.permanent, error.counts_as_failure, error.pauses_service) == (permanent, counts, pauses)
    assert str(code) in str(error)
    assert "Receiver cannot be reached" in str(error)
    assert error.status_code == 400


async def test_rate_limit_waits_as_told(server):
    error = await failure_of(send(server, wrong(130429), 400, {"Retry_After": "12"}))
    assert error.retry_after == 12


@pytest.mark.parametrize(("status", "permanent"), [(400, True), (500, False)])
async def test_unknown_code_is_judged_by_the_status(server, status, permanent):
    error = await failure_of(send(server, wrong(999999), status))
    assert error.permanent is permanent


async def test_unknown_code_that_says_it_is_transient_is_retryable(server):
    error = await failure_of(send(server, wrong(999999, is_transient=True), 400))
    assert (error.permanent, error.counts_as_failure) == (False, True)


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"messages":[]}', b'{"messages":[1]}', b"<html>", b'{"error":"x"}'])
async def test_yes_without_a_message_id_is_ambiguous(server, answer):
    error = await failure_of(send(server, answer, 200))
    assert (error.ambiguous, error.permanent, error.error_class) == (True, False, "bad_answer")


def test_every_code_has_one_meaning():
    assert {BY_CODE[code] for code in BY_CODE} == {RATE_LIMITED, UNAVAILABLE, UNUSABLE, REJECTED}
    assert meaning_of(299) is UNUSABLE
    assert meaning_of(424242) is None

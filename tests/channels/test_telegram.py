from __future__ import annotations

import json

import pytest

from apps.core.errors import Invalid
from tests.channels.support import channel, envelope, failure_of

TOKEN = "123456:AAE-abc_DEF"
YES = b'{"ok":true,"result":{"message_id":42}}'


async def send(server, answer=YES, status=200, settings=None, **changes):
    server.answers(status, answer)
    options = {"chat_id": "-1001", **(settings or {})}
    made = channel("telegram", secrets=[TOKEN], base_url=f"http://127.0.0.1:{server.port}", **options)
    try:
        return await made.send(envelope(**{"body": b"Hi", "content_type": "text/plain", **changes}))
    finally:
        await made.close()


async def test_text_goes_to_the_chat_of_the_settings_or_the_recipient(server):
    assert (await send(server, subject="Alert")).provider_id == "42"
    assert server.last.line.split()[1].replace("%3A", ":") == f"/bot{TOKEN}/sendMessage"
    assert json.loads(server.last.body) == {"chat_id": "-1001", "text": "Alert\nHi"}
    await send(server, recipient="@ops", settings={"parse_mode": "HTML", "disable_notification": True})
    assert json.loads(server.last.body) == {
        "chat_id": "@ops",
        "text": "Hi",
        "parse_mode": "HTML",
        "disable_notification": True,
    }


async def test_json_goes_as_it_is(server):
    await send(server, body=b'{"text":"*x*","parse_mode":"MarkdownV2"}', content_type="application/json")
    assert json.loads(server.last.body) == {"chat_id": "-1001", "text": "*x*", "parse_mode": "MarkdownV2"}


@pytest.mark.parametrize(
    ("code", "permanent", "counts", "pauses"),
    [
        (400, True, False, False),
        (403, True, False, False),
        (401, True, False, True),
        (404, True, False, True),
        (429, False, False, False),
        (500, False, True, False),
        (502, False, True, False),
    ],
)
async def test_error_code_decides(server, code, permanent, counts, pauses):
    answer = json.dumps({"ok": False, "error_code": code, "description": "Forbidden: bot was blocked"}).encode()
    error = await failure_of(send(server, answer, code))
    assert (error.permanent, error.counts_as_failure, error.pauses_service) == (permanent, counts, pauses)
    assert "bot was blocked" in str(error)


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [
        ({"retry_after": 35}, 35.0),
        ({"retry_after": 10**9}, 86400.0),
        ({"retry_after": "x"}, None),
        (None, None),
        ([], None),
    ],
)
async def test_retry_after_comes_from_the_parameters(server, parameters, seconds):
    answer = json.dumps({"ok": False, "error_code": 429, "description": "Too Many", "parameters": parameters}).encode()
    error = await failure_of(send(server, answer, 429))
    assert error.retry_after == seconds


async def test_token_is_in_no_error_even_when_the_answer_repeats_it(server):
    answer = json.dumps({"ok": False, "error_code": 400, "description": f"bad /bot{TOKEN}/sendMessage"}).encode()
    error = await failure_of(send(server, answer, 400))
    assert TOKEN not in f"{error} {error!r} {error.response_excerpt}"


async def test_half_a_surrogate_pair_in_the_answer_is_storable(server):
    error = await failure_of(send(server, b'{"ok":false,"error_code":400,"description":"\\ud800 no"}', 400))
    str(error).encode()


async def test_chat_that_is_none_names_the_recipient(server):
    error = await failure_of(send(server, recipient="my friend"))
    assert (error.permanent, str(error).startswith("recipient")) == (True, True)


def test_token_that_is_none_is_refused_without_showing_it():
    with pytest.raises(Invalid) as caught:
        channel("telegram", secrets=["not/a token"])
    assert "not/a" not in str(caught.value)

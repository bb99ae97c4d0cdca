from __future__ import annotations

import json

import pytest

from apps.core.errors import Invalid
from tests.channels.support import SECRET, channel, envelope, failure_of

YES = b'{"ok":true,"channel":"C1","ts":"1503435956.000247","message":{"text":"hi"}}'


async def api(server, answer=YES, status=200, headers=None, **changes):
    server.answers(status, answer, **(headers or {}))
    made = channel(
        "slack", secrets=[SECRET], mode="api", base_url=f"http://127.0.0.1:{server.port}/api", channel="#ops"
    )
    plain = {"body": b"Disk full", "content_type": "text/plain"}
    try:
        return await made.send(envelope(**{**plain, **changes}))
    finally:
        await made.close()


async def webhook(server, answer=b"ok", status=200, **changes):
    server.answers(status, answer)
    made = channel("slack", secrets=[f"http://127.0.0.1:{server.port}/services/T0/B0/{SECRET}"])
    try:
        return await made.send(envelope(**{"body": b"Disk full", "content_type": "text/plain", **changes}))
    finally:
        await made.close()


async def test_api_posts_to_the_channel_of_the_settings_or_the_recipient(server):
    receipt = await api(server, subject="Alert")
    assert receipt.provider_id == "1503435956.000247"
    assert server.last.line == "POST /api/chat.postMessage HTTP/1.1"
    assert server.last.headers["authorization"] == f"Bearer {SECRET}"
    assert json.loads(server.last.body) == {"channel": "#ops", "text": "*Alert*\nDisk full"}
    await api(server, recipient="C42")
    assert json.loads(server.last.body)["channel"] == "C42"


async def test_json_goes_as_it_is_with_blocks_and_thread(server):
    body = {"text": "t", "blocks": [{"type": "divider"}], "thread_ts": "1.2"}
    await api(server, body=json.dumps(body).encode(), content_type="application/json")
    assert json.loads(server.last.body) == {**body, "channel": "#ops"}


@pytest.mark.parametrize(
    ("word", "permanent", "counts", "pauses"),
    [
        ("ratelimited", False, False, False),
        ("message_limit_exceeded", False, False, False),
        ("internal_error", False, True, False),
        ("service_unavailable", False, True, False),
        ("channel_not_found", True, False, False),
        ("msg_too_long", True, False, False),
        ("not_in_channel", True, False, False),
        ("something_new", True, False, False),
        ("invalid_auth", True, False, True),
        ("token_revoked", True, False, True),
        ("account_inactive", True, False, True),
    ],
)
async def test_ok_false_is_judged_by_its_word(server, word, permanent, counts, pauses):
    error = await failure_of(api(server, json.dumps({"ok": False, "error": word}).encode()))
    assert (error.permanent, error.counts_as_failure, error.pauses_service) == (permanent, counts, pauses)
    assert word in str(error)
    assert not error.ambiguous


async def test_ratelimited_waits_as_told(server):
    error = await failure_of(api(server, b'{"ok":false,"error":"ratelimited"}', 429, {"Retry_After": "30"}))
    assert (error.retry_after, error.counts_as_failure) == (30.0, False)


@pytest.mark.parametrize("answer", [b"", b"ok", b'{"ok":1}', b"[]", b"<html>maintenance"])
async def test_2xx_that_is_no_answer_of_the_api_is_ambiguous(server, answer):
    error = await failure_of(api(server, answer))
    assert (error.ambiguous, error.permanent) == (True, False)


async def test_long_answer_that_repeats_the_message_is_still_a_yes(server):
    long = json.dumps({"ok": True, "ts": "1.2", "message": {"text": "x" * 40_000}}).encode()
    assert (await api(server, long)).provider_id == "1.2"


async def test_webhook_posts_to_its_secret_url(server):
    receipt = await webhook(server)
    assert receipt.response_excerpt == "ok"
    assert server.last.line == f"POST /services/T0/B0/{SECRET} HTTP/1.1"
    assert json.loads(server.last.body) == {"text": "Disk full"}


@pytest.mark.parametrize(
    ("status", "word", "permanent", "pauses"),
    [
        (400, b"invalid_payload", True, False),
        (404, b"channel_not_found", True, False),
        (403, b"action_prohibited", True, True),
        (404, b"no_service", True, True),
        (410, b"channel_is_archived", True, True),
        (500, b"rollup_error", False, False),
        (503, b"", False, False),
    ],
)
async def test_webhook_errors_are_words(server, status, word, permanent, pauses):
    error = await failure_of(webhook(server, word, status))
    assert (error.permanent, error.pauses_service, error.status_code) == (permanent, pauses, status)
    assert SECRET not in f"{error} {error.response_excerpt}"


def test_webhook_needs_a_url_and_the_error_does_not_show_it():
    with pytest.raises(Invalid) as caught:
        channel("slack", secrets=[SECRET])
    assert SECRET not in str(caught.value)


async def test_message_without_a_channel_anywhere_names_the_recipient(server):
    made = channel("slack", secrets=[SECRET], mode="api", base_url=f"http://127.0.0.1:{server.port}")
    error = await failure_of(made.send(envelope(body=b"x", content_type="text/plain")))
    assert error.permanent
    assert str(error).startswith("recipient")

from __future__ import annotations

import json

import pytest

from tests.channels.support import SECRET, channel, envelope, failure_of

YES = b'{"status":"success","message":"Event processed","dedup_key":"order-1001"}'


async def send(server, answer=YES, status=202, settings=None, headers=None, **changes):
    server.answers(status, answer, **(headers or {}))
    made = channel("pagerduty", secrets=[SECRET], base_url=f"http://127.0.0.1:{server.port}", **(settings or {}))
    try:
        return await made.send(envelope(**{"body": b"Disk full\non db-1", "content_type": "text/plain", **changes}))
    finally:
        await made.close()


def event(server):
    return json.loads(server.last.body)


def as_json(**fields):
    return {"body": json.dumps(fields).encode(), "content_type": "application/json"}


async def test_text_triggers_with_the_idempotency_key_as_dedup_key(server):
    receipt = await send(server)
    assert receipt.provider_id == "order-1001"
    assert server.last.line == "POST /v2/enqueue HTTP/1.1"
    assert event(server) == {
        "routing_key": SECRET,
        "event_action": "trigger",
        "dedup_key": "order-1001",
        "client": "opsportal",
        "payload": {
            "source": "opsportal",
            "severity": "critical",
            "summary": "Disk full",
            "custom_details": {"body": "Disk full\non db-1"},
        },
    }


async def test_subject_is_the_summary_and_a_long_one_is_cut(server):
    await send(server, subject="S" * 2000)
    assert event(server)["payload"]["summary"] == "S" * 1024


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
async def test_acknowledge_and_resolve_need_only_the_key(server, action):
    await send(server, **as_json(event_action=action, dedup_key="disk-db-1"))
    assert event(server) == {"routing_key": SECRET, "event_action": action, "dedup_key": "disk-db-1"}


async def test_json_may_be_a_whole_event_or_its_flat_fields(server):
    payload = {"summary": "x", "source": "db-1", "severity": "warning", "custom_details": {"a": 1}}
    links = [{"href": "https://x.example", "text": "runbook"}]
    await send(server, **as_json(payload=payload, links=links, dedup_key="k"))
    assert (event(server)["payload"], event(server)["links"]) == (payload, links)
    await send(server, **as_json(summary="x", source="db-1", severity="warning", custom_details={"a": 1}))
    assert event(server)["payload"] == payload


async def test_routing_key_of_a_message_is_ignored(server):
    await send(server, **as_json(summary="x", routing_key="evil"))
    assert event(server)["routing_key"] == SECRET


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"event_action": "explode"}, "json.event_action"),
        ({"dedup_key": "k" * 256}, "json.dedup_key"),
        ({"custom_details": {}}, "subject"),
    ],
)
async def test_event_that_cannot_be_sent_names_the_field(server, fields, field):
    error = await failure_of(send(server, **as_json(**fields)))
    assert (error.permanent, str(error).startswith(field)) == (True, True)
    assert server.requests == []


async def test_400_is_permanent_and_says_what_is_wrong(server):
    answer = b'{"status":"invalid event","errors":["\'payload.severity\' is invalid"]}'
    error = await failure_of(send(server, answer, 400))
    assert (error.permanent, error.counts_as_failure) == (True, False)
    assert "payload.severity" in str(error)


@pytest.mark.parametrize(("status", "counts"), [(429, False), (500, True), (503, True)])
async def test_429_and_5xx_are_retryable(server, status, counts):
    error = await failure_of(send(server, b"", status, headers={"Retry_After": "3"}))
    assert (error.permanent, error.counts_as_failure) == (False, counts)

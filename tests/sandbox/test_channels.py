"""The portal's own channels, set up as config/sandbox.yaml says, against the sandbox."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apps.alerts.notices import thread_of
from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.registry import build
from apps.sandbox import services_file
from apps.sandbox.server import SandboxServer
from apps.services.yamlfile import read_services_file
from tests.sandbox.helpers import post, quiet_sandbox

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
CHARGE = b'{"payment_type":"gopay","transaction_details":{"order_id":"A-1","gross_amount":5000}}'
MESSAGES: dict[str, dict[str, Any]] = {
    "midtrans": {"body": CHARGE, "content_type": "application/json"},
    "whatsapp": {"body": "Halo 👋".encode(), "recipient": "+6281234567890"},
    "billing-webhook": {"body": b'{"event": "invoice.paid"}', "content_type": "application/json"},
    "smtp": {"body": b"Thank you", "recipient": "ayu@example.com", "subject": "Your order"},
    "slack": {"body": b"midtrans is down", "recipient": "#alerts", "subject": "[CRITICAL] midtrans"},
    "pagerduty": {"body": b"midtrans is down", "subject": "[CRITICAL] midtrans"},
}


@pytest.fixture
async def sandbox() -> AsyncIterator[SandboxServer]:
    async with quiet_sandbox(secrets={"billing-webhook": SECRET}) as found:
        yield found


def settings(sandbox: SandboxServer, service: str) -> dict[str, Any]:
    """Those of the shipped file, with the port this sandbox has."""
    shipped = read_services_file(services_file.SHIPPED).services[service]["settings"]
    moved: dict[str, dict[str, Any]] = {
        "midtrans": {"url": sandbox.url("midtrans")},
        "whatsapp": {"base_url": sandbox.url("whatsapp")},
        "billing-webhook": {"url": sandbox.url("billing-webhook")},
        "smtp": {"port": sandbox.port("smtp")},
        "slack": {"base_url": sandbox.url("slack")},
        "pagerduty": {"base_url": sandbox.url("pagerduty")},
    }
    return {**shipped, **moved[service]}


async def deliver(sandbox: SandboxServer, service: str, *, secret: str = SECRET, **changes: Any) -> Receipt:
    kind = read_services_file(services_file.SHIPPED).services[service]["channel"]
    channel = build(
        kind,
        service=service,
        settings=settings(sandbox, service),
        secrets=[secret],
        timeout=changes.pop("timeout", 5),
        max_in_flight=4,
        network=NetworkPolicy(allow_private=True),
    )
    fields = {"recipient": "", "subject": "", "content_type": "text/plain", **MESSAGES[service], **changes}
    envelope = Envelope(
        message_id=1,
        wire_id="wire-1",
        idempotency_key="key-1",
        service=service,
        tenant_id="toko-sari",
        headers={},
        attempt=1,
        request_id="r1",
        traceparent="",
        **fields,
    )
    try:
        return await channel.send(envelope)
    finally:
        await channel.close()


async def failure(sandbox: SandboxServer, service: str, **changes: Any) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await deliver(sandbox, service, **changes)
    return caught.value


@pytest.mark.parametrize("service", list(MESSAGES))
async def test_what_the_portal_sends_is_accepted_and_known_by_one_key(sandbox: SandboxServer, service: str) -> None:
    for _ in range(2):
        await deliver(sandbox, service)
    ledger = sandbox.received(service)
    assert (len(ledger.succeeded), ledger.duplicates, ledger.without_key) == (1, 1, 0)


async def test_the_partner_verifies_what_the_portal_signs(sandbox: SandboxServer) -> None:
    await deliver(sandbox, "billing-webhook")
    error = await failure(sandbox, "billing-webhook", secret="another")
    assert dict(sandbox.received("billing-webhook").signatures) == {"verified": 1, "wrong signature": 1}
    assert (error.status_code, error.permanent) == (401, True)


@pytest.mark.parametrize("service", list(MESSAGES))
@pytest.mark.parametrize(
    ("mode", "permanent", "counts"), [("errors", False, True), ("reject", True, False), ("rate_limit", False, False)]
)
async def test_outages_mean_to_the_portal_what_they_are_meant_to(
    sandbox: SandboxServer, service: str, mode: str, permanent: bool, counts: bool
) -> None:
    await sandbox.start_outage(service, mode, delay=4)
    error = await failure(sandbox, service)
    assert error.permanent is permanent
    if service != "smtp":  # SMTP has no word for "too many" that is not also "in trouble"
        assert error.counts_as_failure is counts
        assert error.retry_after == (4 if mode == "rate_limit" else None)


@pytest.mark.parametrize("service", list(MESSAGES))
async def test_hanging_is_ambiguous_and_refusing_is_not(sandbox: SandboxServer, service: str) -> None:
    await sandbox.start_outage(service, "hang")
    hung = await failure(sandbox, service, timeout=0.4)
    assert (hung.timed_out, hung.ambiguous, hung.permanent) == (True, True, False)
    await sandbox.start_outage(service, "refuse")
    refused = await failure(sandbox, service)
    assert (refused.ambiguous, refused.permanent, refused.counts_as_failure) == (False, False, True)


async def test_gone_pauses_the_service(sandbox: SandboxServer) -> None:
    await sandbox.start_outage("billing-webhook", "gone")
    assert (await failure(sandbox, "billing-webhook")).pauses_service


async def test_recipients_that_do_not_exist_are_dead_letters(sandbox: SandboxServer) -> None:
    room = await failure(sandbox, "slack", recipient="#nowhere-at-all")
    assert (room.permanent, "channel_not_found" in str(room)) == (True, True)
    number = await failure(sandbox, "whatsapp", recipient="+6280012345678")
    mailbox = await failure(sandbox, "smtp", recipient="nobody@example.com")
    assert "131026" in str(number)
    assert (number.permanent, mailbox.permanent, mailbox.status_code) == (True, True, 550)


async def test_an_alert_pages_is_acknowledged_and_resolved_under_one_name(sandbox: SandboxServer) -> None:
    for action in ("trigger", "acknowledge", "resolve"):
        event = {
            "event_action": action,
            "dedup_key": "episode-7",
            "severity": "critical",
            "summary": "midtrans is down",
        }
        await deliver(sandbox, "pagerduty", body=json.dumps(event).encode(), content_type="application/json")
    seen = [received.excerpt for received in sandbox.received("pagerduty").recent]
    assert seen == ["trigger episode-7 midtrans is down", "acknowledge episode-7", "resolve episode-7"]


async def test_slack_names_a_message_so_that_what_follows_can_join_its_thread(sandbox: SandboxServer) -> None:
    receipt = await deliver(sandbox, "slack")
    stamp = thread_of(receipt.response_excerpt)
    reply = {"text": "resolved", "thread_ts": stamp}
    await deliver(sandbox, "slack", body=json.dumps(reply).encode(), content_type="application/json")
    assert stamp
    assert "in a thread" in sandbox.received("slack").recent[-1].excerpt


@pytest.mark.parametrize("event", [{}, {"event_action": "trigger"}, {"event_action": "resolve"}, [1]])
async def test_pagerduty_says_what_is_wrong_with_an_event(sandbox: SandboxServer, event: object) -> None:
    status, body, _ = await post(f"{sandbox.url('pagerduty')}/v2/enqueue", "", event)
    assert (status, body["status"]) == (400, "invalid event")
    assert "routing_key is required" in body["errors"]


async def test_slack_says_no_with_a_status_that_sounds_like_yes(sandbox: SandboxServer) -> None:
    status, body, _ = await post(f"{sandbox.url('slack')}/chat.postMessage", "", {"channel": "#alerts", "text": "x"})
    assert (status, body) == (200, {"ok": False, "error": "not_authed"})
    assert sandbox.received("slack").succeeded == set()

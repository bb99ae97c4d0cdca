"""Text that would do harm, from the webhook to every way out of the portal."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import create_key
from apps.alerts.escalating import escalate
from apps.alerts.models import AlertDelivery, Episode, Quarantined
from apps.alerts.policies import save_routing
from apps.alerts.settling import settle_all
from apps.core.actor import SYSTEM
from apps.outbox.models import Message
from tests.alerts.conftest import NOON, PAYLOADS, Sender, after, alert, body
from tests.channels.mail import mail, mail_server, mailer
from tests.conftest import make_service

pytestmark = pytest.mark.django_db

NASTY = (
    "a\r\nBcc: evil@example.com\r\n\r\n<!channel> <@U1> <https://evil|ok> <script>alert(1)</script> "
    "<img src=x onerror=alert(1)> \u202eexe.gpj \u2066x \x00\x1b[31m {{ 7*7 }} {x.__class__} {0} %s %n ${7*7} \ud800 "
    "[x](javascript:alert(1)) ![x](https://evil/pixel.png) =HYPERLINK(1) '; DROP TABLE alert_logs; --"
)
# 11 and 13 of the field notes; 12 is in the folder of payloads.
BODIES = [
    body(
        alert(
            "Injected",
            annotations={"summary": NASTY, "description": NASTY, "runbook_url": "javascript:alert(1)"},
            labels={"service": NASTY[:60], "<script>alert(1)</script>": NASTY, "team\r\nX": "y", "instance": NASTY},
            generatorURL="javascript:alert(document.cookie)",
        ),
        receiver=NASTY,
        groupKey=NASTY,
        externalURL="javascript:alert(1)",
    ),
    body(alert(NASTY, labels={"severity": "critical"}, generatorURL="//evil.example/x")),
    body(alert("Relative", generatorURL="/graph?g0.expr=up", annotations={"summary": "{{ 7*7 }}${7*7}#{7*7}"})),
    body({"labels": [NASTY]}, {"labels": {"a": {NASTY: 1}}}, NASTY, status=NASTY, version=NASTY),
    (PAYLOADS / "12-NUL-and-bidi-in-labels.json").read_bytes(),
]
INVISIBLE = [chr(code) for code in (*range(9), 11, 12, *range(14, 32), 127)] + list(
    "\u202a\u202b\u202d\u202e\u2066\u2067"
)


@pytest.fixture
def channels(db: None) -> None:
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    make_service("pagerduty", channel="pagerduty", settings={})
    make_service("smtp", channel="email", settings={"host": "127.0.0.1", "from_address": "ops@example.com"})
    make_service("hook")
    targets = {
        "slack": {"service": "slack", "recipient": "#alerts"},
        "pagerduty": {"service": "pagerduty"},
        "mail": {"service": "smtp", "recipient": "oncall@example.com"},
        "hook": {"service": "hook"},
    }
    routes = [{"name": "all", "steps": [{"after": 0, "notify": list(targets)}]}]
    save_routing(document={"targets": targets, "routes": routes}, actor=SYSTEM, reason="test")


@pytest.fixture
def told(sender: Sender, channels: None) -> list[Message]:
    for content in BODIES:
        sender.tell(content, NOON)
    escalate(NOON)
    ends = [json.loads(content) for content in BODIES[:3]]
    for document in ends:
        document["alerts"] = [{**one, "status": "resolved"} for one in document["alerts"]]
        sender.tell(json.dumps(document).encode(), after(minutes=1))
    settle_all(after(minutes=30))
    escalate(after(minutes=30))
    assert Episode.objects.count() == 4
    assert Quarantined.objects.count() == 3
    messages = list(Message.objects.order_by("pk"))
    assert {message.service_id for message in messages} == {"slack", "pagerduty", "smtp", "hook"}
    return messages


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.items() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        yield from strings(item)


def test_hostile_text_is_harmless_on_every_way_out(told: list[Message]) -> None:
    for message in told:
        for text in strings(
            [json.loads(message.json or "null"), message.subject, message.payload or "", message.recipient]
        ):
            assert not [mark for mark in INVISIBLE if mark in text]
            assert "\r" not in text
    slack = [json.loads(message.json or "") for message in told if message.service_id == "slack"]
    assert all("<" not in said["text"] and said["mrkdwn"] is False for said in slack)
    assert any("&lt;!channel&gt;" in said["text"] for said in slack)
    events = [json.loads(message.json or "") for message in told if message.service_id == "pagerduty"]
    for event in events:
        assert set(event) <= {"event_action", "dedup_key", "payload", "links", "routing_key", "client", "client_url"}
        assert "\n" not in event.get("payload", {}).get("summary", "")
        assert not [link for link in event.get("links", []) if not link["href"].startswith(("http://", "https://"))]
    # What looks like a template or a format arrives as it was written.
    assert any("{{ 7*7 }}" in (message.payload or "") for message in told)
    assert any("{x.__class__}" in (message.payload or "") for message in told)


def test_a_mail_has_one_subject_and_no_header_of_somebody_else(told: list[Message]) -> None:
    letters = [message for message in told if message.service_id == "smtp"]
    for content in asyncio.run(_mailed(letters)):
        read = email.message_from_bytes(content, policy=email.policy.default)
        assert read["Bcc"] is None
        assert read["To"] == "oncall@example.com"
        assert len(read.get_all("Subject") or []) == 1
        assert read.get_content_type() == "text/plain"
        assert "evil@example.com" not in str(read["Cc"])


async def _mailed(letters: list[Message]) -> list[bytes]:
    async with mail_server() as inbox:
        channel = mailer(inbox.port)
        for letter in letters:
            sent = mail(
                recipient=letter.recipient,
                subject=letter.subject,
                body=(letter.payload or "").encode(),
                content_type=letter.content_type,
            )
            await channel.send(sent)
        found = [one.content for one in inbox.mails]
        await channel.close()
    assert len(found) == len(letters) > 0
    return found


def test_no_page_runs_anything_or_links_anywhere_it_must_not(told: list[Message]) -> None:
    User.objects.create_user("reader@example.com", "right-password", role="lead")
    reader = Client()
    assert reader.login(username="reader@example.com", password="right-password")
    numbers = list(Episode.objects.values_list("pk", flat=True))
    deliveries = list(AlertDelivery.objects.values_list("pk", flat=True))
    pages = ["/alerts", "/alerts?state=resolved", "/alerts/sources", "/alerts/sources/eu1", "/alerts/deliveries"]
    pages += [f"/alerts/{number}" for number in numbers]
    pages += [f"/alerts/deliveries/{number}" for number in deliveries]
    for page in pages:
        answer = reader.get(page)
        assert answer.status_code == 200, page
        harmless(answer.content.decode(), page)


def harmless(text: str, page: str) -> None:
    lower = text.lower()
    assert "<script>alert" not in lower, page
    assert "<img src=x" not in lower, page
    assert 'href="javascript:' not in lower, page
    assert 'href="//evil' not in lower, page
    assert 'href="/graph' not in lower, page
    assert not [mark for mark in INVISIBLE if mark in text], page


def test_programs_get_the_text_as_json_and_nothing_else(told: list[Message]) -> None:
    key = create_key(name="reader", scopes=["alerts:read"], actor=SYSTEM).raw
    answer = Client().get("/api/v1/alerts", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (200, "application/json")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "\x00" not in json.dumps(answer.json(), ensure_ascii=False)

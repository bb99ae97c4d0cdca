"""The routing in front of a browser: read, edited, tried and brought back."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.alerts.models import Notification, RoutingVersion
from apps.alerts.policies import in_force, save_routing
from apps.alerts.processing import process_all
from apps.alerts.routing import DEFAULT
from apps.alerts.services import create_source
from apps.console.routing_forms import NotADocument, as_text, read
from apps.core.actor import SYSTEM
from apps.outbox.models import Message
from tests.alerts.conftest import Sender, alert, body
from tests.conftest import make_service

Person = Callable[[str], Client]
URL = "/alerts/routing/edit"


def words(content: bytes) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", content.decode())))


# --- the text ---------------------------------------------------------------------------------------
def test_what_is_written_is_read_as_it_was() -> None:
    document, _routing = read(as_text(DEFAULT))
    assert document == DEFAULT


def test_a_route_is_written_in_the_order_it_is_read() -> None:
    route = {"tell_resolved": True, "tell_acknowledged": False, "steps": [], "match": {}, "name": "x"}
    keys = [line.partition(":")[0] for line in as_text(route).splitlines()]
    assert keys == ["name", "match", "steps", "tell_acknowledged", "tell_resolved"]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("targets: [", 1, "not YAML"),
        ("a: &x 1\nb: *x", 2, "References"),
        ("targets: {}\ntargets: {}", 2, "given twice"),
        ("", None, ""),
        ("[1, 2]", 1, ""),
        ("targets: \x00", None, "cannot be kept"),
        ("targets: \ud800", None, "cannot be kept"),
        ("x: " + "[" * 200 + "]" * 200, 1, "nested too deep"),
        ("x: 2026-02-31", None, ""),
        ("x" * 200_001, None, "more than"),
        (as_text(DEFAULT).replace("notify: [security]", "notify: [nobody]"), 14, "no target named nobody"),
        (as_text(DEFAULT).replace("after: 600", "after: soon"), 20, "valid integer"),
        (as_text(DEFAULT).replace("match: {}", "match: {severity: '~('}"), None, "no pattern"),
        (as_text(DEFAULT).replace("after: 600", "after: 6000"), None, "in the order of their time"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int | None, part: str) -> None:
    with pytest.raises(NotADocument) as caught:
        read(text)
    wrong = caught.value.wrong
    assert any(part in each.message for each in wrong), wrong
    assert line is None or line in {each.line for each in wrong}, wrong


# --- the pages --------------------------------------------------------------------------------------
@pytest.fixture
def posts(db: None) -> Sender:
    make_service("slack", channel="slack", settings={"mode": "api", "channel": "#alerts"})
    made = create_source(name="eu1", actor=SYSTEM)
    sender = Sender(made.source, made.token)
    for name in ("Disk", "Memory"):
        sender.post(body(alert(name), alert(f"{name}Soon", labels={"severity": "warning"})))
    process_all()
    return sender


def ask(client: Client, do: str, document: Any, **more: Any) -> Any:
    text = document if isinstance(document, str) else as_text(document)
    return client.post(URL, {"document": text, "do": do, "last": "100", "seen_version": "0", **more})


def shortened() -> dict[str, Any]:
    """Critical alerts go the way of warnings."""
    return {**DEFAULT, "routes": [route for route in DEFAULT["routes"] if route["name"] != "critical"]}


def test_a_dry_run_says_what_would_differ_and_does_nothing(posts: Sender, person: Person) -> None:
    shown = words(ask(person("lead"), "try", shortened()).content)
    assert "critical → default" in shown
    assert "Disk eu1, fired once" in shown
    assert "DiskSoon" not in shown.partition("Alerts that go another way")[2]
    assert "impossible: pagerduty is no configured service" in shown
    assert not RoutingVersion.objects.exists()
    assert not Notification.objects.exists()
    assert not Message.objects.exists()


def test_a_dry_run_of_the_same_says_so(posts: Sender, person: Person) -> None:
    assert "would have told the same people" in words(ask(person("lead"), "try", DEFAULT).content)


def test_a_dry_run_of_a_source_that_said_nothing(posts: Sender, person: Person) -> None:
    create_source(name="eu2", actor=SYSTEM)
    assert "Choose others" in words(ask(person("lead"), "try", DEFAULT, source="eu2", span="7").content)


def test_a_draft_that_tells_nobody_is_said_to(posts: Sender, person: Person) -> None:
    shown = words(ask(person("lead"), "try", DEFAULT).content)
    assert "by-mail of this draft would tell nobody now" in shown


def test_saved_with_a_reason(posts: Sender, person: Person) -> None:
    lead = person("lead")
    assert ask(lead, "save", shortened()).status_code == 422
    assert not RoutingVersion.objects.exists()
    assert ask(lead, "save", shortened(), reason="quieter").status_code == 302
    version, routing = in_force()
    assert version is not None
    assert version.reason == "quieter"
    assert "critical" not in {route.name for route in routing.routes}


def test_somebody_saved_meanwhile_and_it_is_shown_before_it_is_overwritten(posts: Sender, person: Person) -> None:
    lead = person("lead")
    theirs = save_routing(document=shortened(), actor=SYSTEM, reason="theirs")
    answer = ask(lead, "save", DEFAULT, reason="mine")
    assert answer.status_code == 422
    assert "was saved meanwhile" in words(answer.content)
    assert f'name="seen_version" value="{theirs.pk}"' in answer.content.decode()
    assert ask(lead, "save", DEFAULT, reason="mine", seen_version=theirs.pk).status_code == 302


def test_what_is_wrong_stands_beside_the_text_and_the_text_stays(posts: Sender, person: Person) -> None:
    text = as_text(DEFAULT).replace("notify: [security]", "notify: [<script>]")
    answer = ask(person("lead"), "save", text, reason="x")
    assert answer.status_code == 422
    assert "Line 14" in words(answer.content)
    assert "[&lt;script&gt;]" in answer.content.decode()


def test_an_earlier_version_is_brought_back(night: None, person: Person) -> None:
    lead = person("lead")
    first, newest = RoutingVersion.objects.order_by("pk")[0], RoutingVersion.objects.order_by("-pk")[0]
    shown = words(lead.get(f"/alerts/routing/versions/{first.pk}/restore").content)
    assert "targets.payments.recipient" in shown
    given = {"reason": "back", "seen_version": newest.pk}
    assert lead.post(f"/alerts/routing/versions/{first.pk}/restore", given).status_code == 302
    assert lead.post(f"/alerts/routing/versions/{first.pk}/restore", given).status_code == 422
    assert RoutingVersion.objects.order_by("-pk")[0].document == first.document
    assert lead.get("/alerts/routing/versions/999999").status_code == 404


def test_recipients_are_masked_for_who_may_not_reveal(night: None, person: Person) -> None:
    for path in ("/alerts/routing", "/alerts/routing/versions", "/alerts/routing/versions/{}"):
        url = path.format(RoutingVersion.objects.order_by("-pk")[0].pk)
        assert "cto@example.com" not in person("viewer").get(url).content.decode(), url
    assert "cto@example.com" in person("operator").get("/alerts/routing").content.decode()
    assert "#alerts" in person("viewer").get("/alerts/routing").content.decode()


def test_a_version_of_another_release_is_said_loudly(db: None, person: Person) -> None:
    RoutingVersion.objects.create(document={"routes": ["of another time"]}, created_by="x")
    lead = person("lead")
    assert "cannot be read by this release" in words(lead.get("/alerts/routing").content)
    assert lead.get("/alerts/routing/versions").status_code == 200
    assert lead.get(URL).status_code == 200

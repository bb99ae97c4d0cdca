"""Sources of alerts and their posts, as a person in front of a browser meets them."""

from __future__ import annotations

import gzip
import html
import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.alerts.models import AlertDelivery, AlertSource, Refusal, SourceHour
from apps.alerts.processing import process_all
from apps.alerts.services import create_source
from apps.audit.models import AuditEntry
from apps.console.demo.on_call import NAME
from apps.core.actor import SYSTEM
from apps.core.clock import now
from tests.alerts.conftest import PAYLOADS, Sender, alert, body
from tests.console.rooms import routing, sources

pytestmark = pytest.mark.django_db
Person = Callable[[str], Client]
Most = Callable[[int], CaptureQueriesContext]


@pytest.fixture
def sender(db: None) -> Sender:
    made = create_source(name="eu1", actor=SYSTEM)
    return Sender(made.source, made.token)


def page(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return html.unescape(answer.content.decode())


def post(sender: Sender, content: bytes, **headers: str) -> AlertDelivery:
    sender.post(content, **headers)
    process_all()
    return AlertDelivery.objects.order_by("-pk")[0]


def test_no_page_asks_more_than_it_may(night: None, person: Person, django_assert_max_num_queries: Most) -> None:
    client, known = person("lead"), sources.ids() | routing.ids()
    for path in (*sources.PAGES, *routing.PAGES, *sources.DIALOGS, *routing.DIALOGS):
        url = path.format(**known)
        client.get(url)
        with django_assert_max_num_queries(15):
            assert client.get(url).status_code == 200, url


def test_the_board_says_what_is_wrong_and_how_to_mend_it(night: None, person: Person) -> None:
    shown = page(person("viewer"), "/alerts/sources")
    assert "has been refused for" in shown
    assert "max_alerts: 0" in shown
    assert "12 alerts were cut off" in shown
    assert "1 post is put aside unread" in shown
    assert "From the same address grafana-shop posts" in shown
    assert "Add a source" not in shown


def test_without_a_source_it_says_how_to_get_one(person: Person) -> None:
    assert "alertsource create" in page(person("viewer"), "/alerts/sources")


def test_posts_are_counted_where_they_are_shown(sender: Sender, person: Person) -> None:
    post(sender, body(alert(), alert("Watchdog"), externalURL="http://am-1:9093", truncatedAlerts=3))
    post(sender, body(alert(), externalURL="http://am-2:9093"))
    post(sender, body(alert(), "nonsense"))
    hour = SourceHour.objects.get(source="eu1")
    assert (hour.posts, hour.alerts, hour.truncated, hour.quarantined) == (3, 5, 3, 1)
    shown = page(person("viewer"), "/alerts/sources/eu1")
    assert "http://am-1:9093" in shown
    assert "http://am-2:9093" in shown
    assert "Alertmanager/0.25.0" in shown
    assert "Alive" in shown


def test_a_source_is_added_and_its_token_shown_once(person: Person) -> None:
    lead = person("lead")
    given = {
        "name": "eu2",
        "kind": "alertmanager",
        "api_url": "http://am:9093",
        "watchdog": "Watchdog",
        "watchdog_timeout": "600",
    }
    answer = lead.post("/alerts/sources/new", given)
    token = re.findall(r"opa_[\w-]+", answer.content.decode())[0]
    assert "no-store" in answer.headers["Cache-Control"]
    assert "credentials_file" in answer.content.decode()
    assert Sender(AlertSource.objects.get(pk="eu2"), token).post(body(alert())).status_code == 200
    assert token not in page(lead, "/alerts/sources/eu2")
    assert token not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "portal"}, "are taken by the portal itself"),
        ({"name": "new"}, "are taken by the portal itself"),
        ({"name": "ümlaut"}, "use letters, digits"),
        ({"api_url": "javascript:alert(1)"}, "is the address of Alertmanager"),
        ({"api_url": "http://user:secret@am:9093"}, "is the address of Alertmanager"),
        ({"watchdog_timeout": "1"}, "greater than or equal to 30"),
        ({"kind": "portal"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_with_a_source_stands_at_its_field(person: Person, fields: dict[str, str], words: str) -> None:
    given = {"name": "eu2", "kind": "alertmanager", "watchdog": "Watchdog", "watchdog_timeout": "600", **fields}
    answer = person("lead").post("/alerts/sources/new", given)
    assert answer.status_code == 422
    assert words in html.unescape(answer.content.decode())
    assert not AlertSource.objects.exists()


def test_a_token_is_rotated_and_the_older_one_ended(sender: Sender, person: Person) -> None:
    lead = person("lead")
    newer = re.findall(r"opa_[\w-]+", lead.post("/alerts/sources/eu1/rotate").content.decode())[0]
    assert sender.post(body(alert())).status_code == 200
    lead.post("/alerts/sources/eu1/end-previous")
    assert sender.post(body(alert())).status_code == 401
    assert Sender(sender.source, newer).post(body(alert())).status_code == 200
    assert lead.post("/alerts/sources/eu1/end-previous").status_code == 422


def test_settings_change_and_a_secret_stays_or_goes_as_it_is_said(sender: Sender, person: Person) -> None:
    lead, url = person("lead"), "/alerts/sources/eu1/settings"
    given = {"api_url": "http://am:9093", "watchdog": "Heartbeat", "watchdog_timeout": "600"}
    lead.post(url, {**given, "secret": "change", "api_secret": "hidden-word"})
    assert AlertSource.objects.get(pk="eu1").api_secret == "hidden-word"
    lead.post(url, {**given, "secret": "keep"})
    assert AlertSource.objects.get(pk="eu1").api_secret == "hidden-word"
    assert "hidden-word" not in page(lead, url) + page(lead, "/alerts/sources/eu1")
    assert "hidden-word" not in str(list(AuditEntry.objects.values()))
    lead.post(url, {**given, "api_url": "http://elsewhere:9093", "secret": "keep"})
    assert AlertSource.objects.get(pk="eu1").api_secret == ""


def test_another_heartbeat_begins_without_what_was_heard_of_the_last(sender: Sender, person: Person) -> None:
    AlertSource.objects.update(watchdog_at=now() - timedelta(days=1), blind_since=now())
    person("lead").post("/alerts/sources/eu1/settings", {"watchdog": "", "watchdog_timeout": "600", "secret": "keep"})
    source = AlertSource.objects.get(pk="eu1")
    assert (source.watchdog_at, source.blind_since) == (None, None)


def test_disabled_refuses_and_enabled_takes_again(sender: Sender, person: Person) -> None:
    lead = person("lead")
    assert lead.post("/alerts/sources/eu1/disable", {"reason": ""}).status_code == 422
    lead.post("/alerts/sources/eu1/disable", {"reason": "it is gone"})
    assert sender.post(body(alert())).status_code == 401
    lead.post("/alerts/sources/eu1/enable")
    assert sender.post(body(alert())).status_code == 200
    assert list(
        AuditEntry.objects.filter(target="alertsource:eu1").order_by("pk").values_list("action", flat=True)
    ) == [
        "alertsource.created",
        "alertsource.disabled",
        "alertsource.enabled",
    ]


def test_a_refusal_is_shown_and_cleared(sender: Sender, person: Person) -> None:
    Sender(sender.source, "opa_wrong").post(body(alert()))
    lead = person("lead")
    assert "127.0.0.1 has been refused for" in re.sub(r"<[^>]+>", "", page(lead, "/alerts/sources"))
    refusal = Refusal.objects.get()
    lead.post(f"/alerts/refusals/{refusal.pk}/clear")
    assert not Refusal.objects.exists()
    assert lead.post(f"/alerts/refusals/{refusal.pk}/clear", follow=True).status_code == 200


def test_the_portals_own_source_cannot_be_changed(night: None, person: Person) -> None:
    AlertSource.objects.get_or_create(pk="portal", defaults={"kind": "portal"})
    lead = person("lead")
    for what in ("settings", "rotate", "disable", "end-previous"):
        assert lead.get(f"/alerts/sources/portal/{what}").status_code == 404
        assert lead.post(f"/alerts/sources/portal/{what}", {"reason": "x"}).status_code == 404


# --- posts -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem[:30])
def test_every_body_is_shown_harmless(sender: Sender, person: Person, path: object) -> None:
    kept = post(sender, path.read_bytes())  # type: ignore[attr-defined]  # a Path
    raw = person("viewer").get(f"/alerts/deliveries/{kept.pk}").content.decode()
    assert "<script>alert" not in raw
    assert 'href="javascript' not in raw
    assert "\u202e" not in raw
    assert "\x00" not in raw
    assert sender.token not in raw


def test_each_alert_says_what_it_was_taken_for(sender: Sender, person: Person) -> None:
    first = post(sender, body(alert("Disk"), alert("Watchdog"), "nonsense"))
    again = post(sender, body(alert("Disk")))
    viewer = person("viewer")
    shown = page(viewer, f"/alerts/deliveries/{first.pk}")
    assert "A new episode" in shown
    assert "The heartbeat" in shown
    assert "an alert is an object, this is a text" in shown
    assert "Fires on, as known" in page(viewer, f"/alerts/deliveries/{again.pk}")
    listed = page(viewer, "/alerts/deliveries?state=partly&source=eu1")
    assert f"/alerts/deliveries/{first.pk}" in listed
    assert f"/alerts/deliveries/{again.pk}" not in listed


def test_of_many_alerts_a_page_shows_some_and_leads_to_the_rest(sender: Sender, person: Person) -> None:
    kept = post(sender, body(*(alert(f"A{number:03}") for number in range(130))))
    viewer = person("viewer")
    first = page(viewer, f"/alerts/deliveries/{kept.pk}")
    assert "?after=" in first
    lines = [
        set(re.findall(r">(A\d{3})<", page(viewer, f"/alerts/deliveries/{kept.pk}{query}")))
        for query in ("", "?after=99")
    ]
    assert [len(found) for found in lines] == [100, 30]
    assert not lines[0] & lines[1]
    assert viewer.get(f"/alerts/deliveries/{kept.pk}?after=nonsense").status_code == 200


def test_a_large_body_does_not_get_into_a_page(sender: Sender, person: Person) -> None:
    kept = post(sender, body(alert(), filler="x" * 3_000_000))
    answer = person("viewer").get(f"/alerts/deliveries/{kept.pk}")
    assert len(answer.content) < 120_000
    assert b"Only its beginning is shown" in answer.content


def test_a_compressed_body_is_unpacked(sender: Sender, person: Person) -> None:
    kept = post(sender, gzip.compress(body(alert("Zipped"))), **{"Content-Encoding": "gzip"})
    assert '"alertname": "Zipped"' in page(person("viewer"), f"/alerts/deliveries/{kept.pk}")


def test_people_in_a_body_are_masked_until_somebody_who_may_looks(sender: Sender, person: Person) -> None:
    content = body(alert(annotations={"summary": "call sari@example.com or +6281234567801"}))
    kept = post(sender, content)
    url = f"/alerts/deliveries/{kept.pk}"
    viewer, operator = person("viewer"), person("operator")
    for client in (viewer, operator):
        shown = page(client, url)
        assert "sari@example.com" not in shown
        assert "+6281234567801" not in shown
    assert viewer.post(f"{url}/reveal").status_code == 403
    assert viewer.post(f"{url}/download").status_code == 403
    assert "sari@example.com" in operator.post(f"{url}/reveal").content.decode()
    taken = operator.post(f"{url}/download")
    assert taken.content == content
    assert taken.headers["Content-Type"] == "application/octet-stream"
    assert taken.headers["Content-Disposition"].startswith("attachment;")
    done = AuditEntry.objects.filter(target=f"alertdelivery:{kept.pk}").order_by("pk")
    assert list(done.values_list("action", flat=True)) == ["alertdelivery.revealed", "alertdelivery.downloaded"]


def test_what_was_put_aside_is_read_again(sender: Sender, person: Person) -> None:
    kept = post(sender, body(alert("Later")))
    fresh = AlertDelivery.objects.create(
        source=sender.source,
        body=body(alert("Once more", fingerprint="f1")),
        size=10,
        sha256="0" * 64,
        state="quarantined",
        problem="processing it failed 5 times",
        tries=5,
    )
    operator = person("operator")
    assert "Read it again" in page(operator, f"/alerts/deliveries/{fresh.pk}")
    operator.post(f"/alerts/deliveries/{fresh.pk}/retry")
    process_all()
    fresh.refresh_from_db()
    assert (fresh.state, fresh.alerts) == ("processed", 1)
    answer = operator.post(f"/alerts/deliveries/{kept.pk}/retry", follow=True)
    assert "is not put aside" in html.unescape(answer.content.decode())
    assert AuditEntry.objects.filter(action="alertdelivery.retried").count() == 1


def test_what_makes_no_sense_is_put_aside_again(night: None, person: Person) -> None:
    kept = AlertDelivery.objects.get(source=NAME, state="quarantined")
    person("operator").post(f"/alerts/deliveries/{kept.pk}/retry")
    process_all()
    kept.refresh_from_db()
    assert kept.state == "quarantined"
    assert "not JSON" in kept.problem


def test_filters_that_make_no_sense_show_everything(sender: Sender, person: Person) -> None:
    kept = post(sender, json.dumps({"version": "4", "alerts": [alert()]}).encode())
    shown = page(person("viewer"), "/alerts/deliveries?source=%00nowhere&state=banana")
    assert f"/alerts/deliveries/{kept.pk}" in shown
    assert person("viewer").get("/alerts/deliveries?cursor=x").status_code == 422
    assert person("viewer").get("/alerts/deliveries/999999").status_code == 404
    assert person("viewer").get("/alerts/sources/nowhere").status_code == 404

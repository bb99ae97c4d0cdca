"""The timeline of an incident in the browser: lines, filters, what people do with them, and the cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import Resolver404, resolve

from apps.core.db import database_now
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.timeline import collect, lines
from apps.incidents.timeline.services import add_line
from apps.services.models import ServiceVersion
from tests.console.conftest import make_person
from tests.incidents.conftest import episode, service
from tests.incidents.test_timeline import _everything
from tests.incidents.timelines import breaker_event, incident, link, minute

Person = Callable[[str], Client]
MIN = timedelta(minutes=1)


@pytest.fixture
def began(db: None) -> datetime:
    service()
    return database_now() - 20 * MIN


@pytest.fixture
def made(began: datetime) -> Incident:
    """Twelve minutes of failures, an opening in the middle of them, a change before."""
    found = incident(began, "midtrans")
    for number in range(12):
        minute("midtrans", began + number * MIN, 3)
    breaker_event("midtrans", "opened", began + timedelta(minutes=6, seconds=30))
    ServiceVersion.objects.create(service_id="midtrans", version=1, definition={}, at=began - 4 * MIN, by="budi")
    collect(found, database_now())
    return found


def _url(of: Incident, more: str = "") -> str:
    return f"/incidents/{of.pk}/timeline{more}"


def _told(of: Incident) -> int:
    return TimelineEntry.objects.filter(incident=of, what="failures").count()


def _body(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined,no-any-return]


def test_every_line_has_its_words_its_time_and_its_link(made: Incident, person: Person) -> None:
    body = _body(person("viewer").get(_url(made)))
    assert "The breaker of midtrans opened" in body
    assert "8 of 10 calls failed" in body
    assert re.search(r'href="/services/midtrans/history/\d+"', body)
    assert re.search(r'<time datetime="[\d-]+T[\d:]+\.\d{3}Z" title="[\d-]+ [\d:]+\.\d{6} ', body)
    # Six or seven minutes lie before the opening: it depends on the second that the incident began at.
    counted = [int(number) for number in re.findall(r"(\d+) deliveries to midtrans failed <", body)]
    assert sum(counted) == 36 - 3 * (12 - _told(made))
    assert body.count('<details id="fold-') == 2


def test_links_lead_to_pages(began: datetime) -> None:
    who = make_person("operator", "ana@example.com").as_actor()
    found = _everything(began, database_now(), who)
    collect(found, database_now())
    for line in lines(found):
        try:
            resolve(line.url.partition("?")[0] or "/")
        except Resolver404:
            pytest.fail(f"{line.what} leads nowhere: {line.url}")


def test_it_asks_little_however_long_it_is(made: Incident, person: Person) -> None:
    rows = [
        TimelineEntry(incident=made, at=made.started_at, source="alerts", ref=f"n{n}", what="fired", pinned=True)
        for n in range(2000)
    ]
    TimelineEntry.objects.bulk_create(rows)
    client = person("operator")
    client.get(_url(made))
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(_url(made))
    assert len(asked) <= 15
    assert len(answer.content) < 100_000
    assert "80 lines on this page" in _body(answer)


def test_the_page_of_the_incident_shows_both_and_asks_little(made: Incident, person: Person) -> None:
    client = person("operator")
    client.get(f"/incidents/{made.pk}")
    with CaptureQueriesContext(connection) as asked:
        body = _body(client.get(f"/incidents/{made.pk}"))
    told = [query["sql"] for query in asked]
    assert len([sql for sql in told if '"incident_timeline"' in sql]) == 2
    # The ranking is remembered for a while: its tables are not asked again.
    assert not [sql for sql in told if any(name in sql for name in ("audit_entry", "service_version", "alert_routing"))]
    assert "The breaker of midtrans opened" in body
    assert "What may have caused it" in body


def test_pages_go_on_and_back(made: Incident, person: Person) -> None:
    rows = [
        TimelineEntry(incident=made, at=made.started_at, source="work", ref=f"n{n}", what="alert_noted")
        for n in range(150)
    ]
    TimelineEntry.objects.bulk_create(rows)
    client = person("viewer")
    first = _body(client.get(_url(made)))
    more = re.search(r'href="([^"]+)">Earlier lines', first)
    assert more
    second = _body(client.get(more[1].replace("&amp;", "&")))
    seen = [set(re.findall(r'id="line-(\d+)"', body)) for body in (first, second)]
    assert len(seen[0] | seen[1]) == len(seen[0]) + len(seen[1]) == 160
    assert client.get(_url(made, "?cursor=nonsense")).status_code == 422


def test_filters_stand_in_the_address(made: Incident, person: Person) -> None:
    client = person("viewer")
    only = _body(client.get(_url(made, "?source=breakers")))
    assert "The breaker of midtrans opened" in only
    assert "deliveries to midtrans" not in only
    assert "No such line" in _body(client.get(_url(made, "?only=pinned")))
    assert "No such line" in _body(client.get(_url(made, "?source=%3Cscript%3E")))
    story = _body(client.get(_url(made, "?order=oldest")))
    assert story.index("was added") < story.index("The breaker of midtrans opened")


def test_a_person_adds_changes_and_deletes_a_line(made: Incident, person: Person) -> None:
    client = person("operator")
    answer = client.post(_url(made, "/add"), {"text": "Called the bank", "at": "", "url": "/services/midtrans"})
    assert answer.status_code == 302
    line = TimelineEntry.objects.get(source="hand")
    body = _body(client.get(_url(made)))
    assert '<a href="/services/midtrans">Called the bank</a>' in body
    change = {"text": "Called the bank twice", "at": "", "url": ""}
    assert client.post(_url(made, f"/{line.pk}/edit"), change).status_code == 302
    again = TimelineEntry.objects.get(pk=line.pk)
    assert (again.text, again.url, again.at) == ("Called the bank twice", "", line.at)
    assert "Called the bank twice" in _body(client.get(_url(made, f"/{line.pk}/delete")))
    assert client.post(_url(made, f"/{line.pk}/delete")).status_code == 302
    assert not TimelineEntry.objects.filter(source="hand").exists()


def test_a_form_shown_and_sent_again_keeps_the_time_to_the_microsecond(made: Incident, person: Person) -> None:
    client = person("operator")
    client.post(_url(made, "/add"), {"text": "x"})
    line = TimelineEntry.objects.get(source="hand")
    form = _body(client.get(_url(made, f"/{line.pk}/edit")))
    at = re.search(r'name="at" value="([^"]*)"', form)
    assert at
    client.post(_url(made, f"/{line.pk}/edit"), {"text": "y", "at": at[1], "url": ""})
    assert TimelineEntry.objects.get(pk=line.pk).at == line.at


@pytest.mark.parametrize(
    "given",
    [
        {"text": ""},
        {"text": "x", "url": "javascript:alert(1)"},
        {"text": "x", "url": "//evil.example"},
        {"text": "x", "url": "data:text/html,x"},
        {"text": "x", "at": "2999-01-01T00:00"},
        {"text": "x", "at": "yesterday"},
        {"text": "x" * 2001},
    ],
)
def test_what_cannot_be_a_line_is_refused_beside_its_field(
    given: dict[str, str], made: Incident, person: Person
) -> None:
    answer = person("operator").post(_url(made, "/add"), given)
    assert answer.status_code == 422
    assert 'class="error"' in _body(answer)
    assert not TimelineEntry.objects.filter(source="hand").exists()


def test_nobody_changes_a_line_of_somebody_else_or_of_the_portal(made: Incident, person: Person) -> None:
    other = make_person("operator", "budi@example.com").as_actor()
    line = add_line(incident_id=made.pk, actor=other, text="mine")
    client = person("operator")
    client.force_login(make_person("operator", "cici@example.com"))
    assert client.post(_url(made, f"/{line.pk}/edit"), {"text": "yours", "at": ""}).status_code == 409
    assert client.post(_url(made, f"/{line.pk}/delete")).status_code == 409
    fact = TimelineEntry.objects.exclude(source="hand")[0]
    assert client.get(_url(made, f"/{fact.pk}/edit")).status_code == 409
    body = _body(client.get(_url(made)))
    assert f"/{line.pk}/edit" not in body


def test_a_viewer_is_shown_no_buttons_and_may_press_none(made: Incident, person: Person) -> None:
    client = person("viewer")
    body = _body(client.get(_url(made)))
    assert "formaction" not in body
    line = TimelineEntry.objects.all()[0]
    for verb in ("pin", "unpin", "hide", "show"):
        client.post(_url(made, f"/{line.pk}/{verb}"))
    assert client.post(_url(made, "/add"), {"text": "x"}).status_code == 403
    assert not TimelineEntry.objects.filter(pinned=True).exists()
    assert not TimelineEntry.objects.filter(hidden=True).exists()


def test_pinning_and_hiding_can_be_undone(made: Incident, person: Person) -> None:
    client = person("operator")
    line = TimelineEntry.objects.get(what="breaker_opened")
    answer = client.post(
        _url(made, f"/{line.pk}/pin"), headers={"Referer": f"http://testserver{_url(made)}?order=oldest"}
    )
    assert answer.headers["Location"] == f"{_url(made)}?order=oldest"
    assert "Pinned" in _body(client.get(_url(made, "?only=pinned")))
    client.post(_url(made, f"/{line.pk}/hide"))
    assert "The breaker of midtrans opened" not in _body(client.get(_url(made)))
    assert "The breaker of midtrans opened" in _body(client.get(_url(made, "?hidden=1")))
    client.post(_url(made, f"/{line.pk}/show"))
    assert "The breaker of midtrans opened" in _body(client.get(_url(made)))


def test_hostile_text_is_text(made: Incident, person: Person) -> None:
    script = "<script>alert(1)</script>\u202e{{ x }} %s {x.__class__}"
    link(made, episode(name=script, first_seen_at=made.started_at))
    client = person("operator")
    client.post(_url(made, "/add"), {"text": script, "url": "https://x.example/?a=b&c=%22"})
    collect(made, database_now())
    body = _body(client.get(_url(made)))
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)" in body
    assert "{x.__class__}" in body
    assert 'rel="noopener noreferrer"' in body


def test_a_source_that_cannot_be_read_is_said(made: Incident, person: Person) -> None:
    Incident.objects.update(collected={**made.collected, "problems": {"alerts": "OperationalError"}})
    body = _body(person("viewer").get(_url(made)))
    assert "Alerts (OperationalError)" in body


def test_a_merged_incident_is_read_only(made: Incident, person: Person) -> None:
    client = person("operator")
    other = incident(made.started_at, title="another")
    Incident.objects.filter(pk=made.pk).update(state="merged", merged_into=other)
    assert "formaction" not in _body(client.get(_url(made)))
    assert client.post(_url(made, "/add"), {"text": "x"}).status_code == 409


def test_an_empty_timeline_says_what_will_be_there(began: datetime, person: Person) -> None:
    assert "appear here by themselves" in _body(person("viewer").get(_url(incident(began))))


# --- suspects -------------------------------------------------------------------------------------
def test_suspects_say_what_their_points_are_made_of(made: Incident, person: Person) -> None:
    body = _body(person("viewer").get(f"/incidents/{made.pk}/suspects"))
    assert "The service midtrans was added" in body
    assert "4 min 0 s before the start" in body or "4 min before the start" in body
    assert "It changed midtrans, which is affected" in body
    assert "Name as the cause" not in body


def test_the_cause_is_named_and_taken_back(made: Incident, person: Person) -> None:
    client = person("operator")
    query = urlencode({"kind": "settings", "ref": "midtrans:1"})
    assert "Name the cause" in _body(client.get(f"/incidents/{made.pk}/culprit?{query}"))
    named = {"kind": "settings", "ref": "midtrans:1", "reason": "it said so"}
    assert client.post(f"/incidents/{made.pk}/culprit", named).status_code == 302
    assert Incident.objects.get(pk=made.pk).culprit["ref"] == "midtrans:1"
    assert "Named as the cause" in _body(client.get(f"/incidents/{made.pk}/suspects"))
    assert client.post(f"/incidents/{made.pk}/culprit", named).status_code == 409
    client.post(f"/incidents/{made.pk}/culprit/take-back")
    assert Incident.objects.get(pk=made.pk).culprit == {}
    collect(Incident.objects.get(pk=made.pk), database_now())
    assert {"culprit_named", "culprit_taken_back"} <= {line.what for line in lines(made)}


def test_what_is_no_suspect_cannot_be_named(made: Incident, person: Person) -> None:
    client = person("operator")
    assert client.get(f"/incidents/{made.pk}/culprit?kind=settings&ref=nothing").status_code == 404
    assert client.post(f"/incidents/{made.pk}/culprit", {"kind": "x", "ref": "y"}).status_code == 404
    assert person("viewer").post(
        f"/incidents/{made.pk}/culprit", {"kind": "settings", "ref": "midtrans:1"}
    ).status_code in (403, 404)

"""Incidents through the browser's doors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.core.actor import SYSTEM
from apps.core.db import database_now
from apps.incidents import services
from apps.incidents.models import Incident, Rule
from apps.incidents.sweeping import sweep
from tests.incidents.conftest import episode, over, service

Person = Callable[[str], Client]
HOSTILE = '"><script>alert(1)</script>{{ 7*7 }}\u202egpj'


@pytest.fixture
def operator(person: Person) -> Client:
    return person("operator")


def opened(title: str = "Customers cannot pay", **more: Any) -> Incident:
    return services.open_incident(actor=SYSTEM, title=title, severity="sev2", tell_people=False, **more)


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def press(client: Client, path: str, **fields: Any) -> HttpResponse:
    answer: Any = client.post(path, fields)
    return answer


# --- the list ---------------------------------------------------------------------------------------


def test_an_empty_list_says_how_one_comes_about(operator: Client) -> None:
    shown = text_of(operator.get("/incidents"))
    assert "No incident is open" in shown
    assert "No incident is over yet" in shown


def test_open_ones_come_first_the_worst_on_top_and_then_what_is_over(operator: Client) -> None:
    done = opened("Long gone")
    services.resolve(incident_id=done.pk, actor=SYSTEM, tell_people=False)
    opened("Small trouble")
    services.open_incident(actor=SYSTEM, title="All is lost", severity="sev1", tell_people=False)
    shown = text_of(operator.get("/incidents"))
    assert shown.index("All is lost") < shown.index("Small trouble") < shown.index("Long gone")
    assert 'title="2 incidents open"' in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("severity=sev1", "one"),
        ("severity=sev3", ""),
        ("service=midtrans", "two"),
        ("state=open", "one two"),
        ("state=resolved", "three"),
        ("state=closed", "three"),
        ("state=nonsense", ""),
        ("q=TWO", "two"),
        ("q=INC-{one}", "one"),
        ("after=2030-01-01T00:00", ""),
        ("before=2030-01-01T00:00", "one two three"),
        ("after=soon", "one two three"),
        ("severity=%00", "one two three"),
    ],
)
def test_filters_stand_in_the_address(operator: Client, query: str, found: str) -> None:
    service("midtrans")
    one = services.open_incident(actor=SYSTEM, title="case one", severity="sev1", tell_people=False)
    opened("case two", services=["midtrans"])
    three = opened("case three")
    services.resolve(incident_id=three.pk, actor=SYSTEM, tell_people=False)
    shown = text_of(operator.get(f"/incidents?{query.format(one=one.pk)}"))
    assert [name for name in ("one", "two", "three") if f"case {name}" in shown] == found.split()


def test_pages_of_the_list_do_not_overlap(operator: Client) -> None:
    for number in range(55):
        done = opened(f"case {number:03}")
        services.resolve(incident_id=done.pk, actor=SYSTEM, tell_people=False)
    first = text_of(operator.get("/incidents"))
    cursor = first.split("cursor=")[1].split('"')[0]
    second = text_of(operator.get(f"/incidents?cursor={cursor}"))
    shown = [{f"case {n:03}" for n in range(55) if f"case {n:03}" in page} for page in (first, second)]
    assert [len(names) for names in shown] == [50, 5]
    assert not shown[0] & shown[1]


def test_a_long_list_asks_no_more_than_a_short_one(operator: Client) -> None:
    for number in range(30):
        opened(f"case {number}", episode_ids=[episode(f"f{number}").pk])
    operator.get("/incidents")
    with CaptureQueriesContext(connection) as asked:
        operator.get("/incidents")
    assert len(asked) <= 15


# --- one ---------------------------------------------------------------------------------------------


def test_one_page_says_who_what_and_what_to_do(operator: Client) -> None:
    service("midtrans")
    made = opened(episode_ids=[episode(service="midtrans").pk])
    shown = text_of(operator.get(f"/incidents/{made.pk}"))
    for words in ("1 of its 1 alert fires", "Nobody leads yet", "SEV2", "INVESTIGATING", "DiskFull", "midtrans"):
        assert words in shown
    assert operator.get("/incidents/404").status_code == 404


def test_a_viewer_sees_it_and_is_offered_nothing(person: Person) -> None:
    made = opened()
    client = person("viewer")
    shown = text_of(client.get(f"/incidents/{made.pk}"))
    assert "/resolve" not in shown
    assert "Take it" not in shown
    assert client.post(f"/incidents/{made.pk}/resolve").status_code == 403
    assert client.get("/incidents/new").status_code == 403


def test_hostile_words_are_only_words(operator: Client) -> None:
    row = episode(name=HOSTILE, annotations={"summary": HOSTILE})
    made = opened(HOSTILE, summary=HOSTILE, episode_ids=[row.pk])
    services.say(incident_id=made.pk, actor=SYSTEM, text=HOSTILE)
    paths = ("/incidents", f"/incidents/{made.pk}", f"/incidents/{made.pk}/resolve", f"/incidents/new?alerts={row.pk}")
    for path in (*paths, "/", "/find?q=script"):
        shown = text_of(operator.get(path))
        assert "<script>alert" not in shown, path
        assert "{{ 7*7 }}" in shown, path


def test_all_alerts_over_the_page_offers_to_resolve(operator: Client) -> None:
    row = episode()
    made = opened(episode_ids=[row.pk])
    assert "All its alerts are resolved" not in text_of(operator.get(f"/incidents/{made.pk}"))
    over(row, database_now())
    shown = text_of(operator.get(f"/incidents/{made.pk}"))
    assert "All its alerts are resolved" in shown
    assert "A person says so" in shown


def test_one_of_a_rule_says_when_it_ends_by_itself(operator: Client) -> None:
    Rule.objects.update_or_create(
        name="critical-alert", defaults={"match": {"severity": "critical"}, "after_s": 0, "resolve_after_s": 600}
    )
    row = episode()
    sweep()
    over(row, database_now())
    assert "It resolves by itself in" in text_of(operator.get(f"/incidents/{Incident.objects.get().pk}"))


# --- dialogs -------------------------------------------------------------------------------------------


def test_opened_by_hand(operator: Client) -> None:
    service("midtrans")
    fields = {"title": "Customers cannot pay", "severity": "sev1", "services": ["midtrans"], "tell": "on"}
    answer = press(operator, "/incidents/new", **fields)
    made = Incident.objects.get()
    assert answer["Location"] == f"/incidents/{made.pk}"
    assert (made.origin, made.created_by) == ("hand", "operator@example.com")
    assert made.things.get().ref == "midtrans"


@pytest.mark.parametrize("given", ["1,2", "x", "99999999999999999999", "-1", "1;drop"])
def test_alerts_that_are_no_alerts(operator: Client, given: str) -> None:
    assert operator.get(f"/incidents/new?alerts={given}").status_code == 422


def test_opened_from_chosen_alerts(operator: Client) -> None:
    one, two = episode("a"), episode("b", name="LatencyHigh")
    shown = text_of(operator.get(f"/incidents/new?alerts={one.pk},{two.pk}"))
    assert "It begins with 2 alerts: DiskFull, LatencyHigh." in shown
    assert "the disk is full (and 1 more alert)" in shown
    press(operator, "/incidents/new", title="Disks", severity="sev2", alerts=[str(one.pk), str(two.pk)])
    assert Incident.objects.get().links.count() == 2


def test_an_alert_that_is_of_one_leads_there(operator: Client) -> None:
    row = episode()
    made = opened(episode_ids=[row.pk])
    shown = text_of(operator.get(f"/incidents/new?alerts={row.pk}"))
    assert f'href="/incidents/{made.pk}"' in shown
    assert "Open the incident</button>" not in shown
    answer = press(operator, "/incidents/new", title="x", severity="sev2", alerts=str(row.pk))
    assert answer.status_code == 409
    assert f'href="/incidents/{made.pk}"' in text_of(answer)


def test_the_future_is_refused_with_words(operator: Client) -> None:
    soon = (database_now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    answer = press(operator, "/incidents/new", title="x", severity="sev2", started_at=soon)
    assert answer.status_code == 422
    assert "not in the future" in text_of(answer)


def test_an_update_brings_it_on_and_two_at_once_are_told(operator: Client) -> None:
    made = opened()
    path = f"/incidents/{made.pk}/update"
    assert press(operator, path, text="", state="investigating", seen="investigating").status_code == 422
    press(operator, path, text="It is the pool.", state="identified", seen="investigating")
    answer = press(operator, path, text="No, the disk.", state="monitoring", seen="investigating")
    assert answer.status_code == 409
    assert "changed it meanwhile" in text_of(answer)
    shown = text_of(operator.get(f"/incidents/{made.pk}"))
    assert "It is the pool." in shown
    assert "No, the disk." not in shown


def test_resolved_and_opened_again(operator: Client) -> None:
    made = opened(episode_ids=[episode().pk])
    assert "still fires" in text_of(operator.get(f"/incidents/{made.pk}/resolve"))
    press(operator, f"/incidents/{made.pk}/resolve", text="Restarted.", seen="investigating")
    assert "Resolved" in text_of(operator.get(f"/incidents/{made.pk}"))
    for path in ("update", "resolve", "severity", "merge", "roles/scribe", "alerts", "things/service"):
        assert operator.get(f"/incidents/{made.pk}/{path}").status_code == 409, path
    assert press(operator, f"/incidents/{made.pk}/reopen", reason="").status_code == 422
    press(operator, f"/incidents/{made.pk}/reopen", reason="It is back.")
    assert "Opened again once." in text_of(operator.get(f"/incidents/{made.pk}"))
    assert operator.get(f"/incidents/{made.pk}/reopen").status_code == 409


def test_a_start_that_was_not_touched_keeps_its_seconds(operator: Client) -> None:
    made = opened(started_at=database_now() - timedelta(minutes=7, seconds=13))
    shown = operator.get(f"/incidents/{made.pk}/correct")
    minute = shown.context["form"]["started_at"].value().strftime("%Y-%m-%dT%H:%M")
    press(operator, f"/incidents/{made.pk}/correct", title="Better words", started_at=minute)
    after = Incident.objects.get()
    assert (after.title, after.started_at) == ("Better words", made.started_at)


def test_a_role_is_taken_with_one_press_and_only_once(operator: Client, person: Person) -> None:
    made = opened()
    path = f"/incidents/{made.pk}/roles/commander"
    operator.post(f"{path}/take")
    assert made.roles.get().person == "operator@example.com"
    lead = person("lead")
    answer = lead.post(f"{path}/take", follow=True)
    assert "operator@example.com has taken" in text_of(answer)
    assert press(lead, path, person="lead@example.com", seen="").status_code == 409
    press(lead, path, person="lead@example.com", seen="operator@example.com")
    assert made.roles.get().person == "lead@example.com"
    press(lead, path, person="-", seen="lead@example.com")
    assert not made.roles.exists()
    assert lead.get(f"/incidents/{made.pk}/roles/king").status_code == 404
    assert lead.post(f"/incidents/{made.pk}/roles/king/take").status_code in (302, 404)


def test_alerts_services_and_deployments_come_and_go(operator: Client) -> None:
    service("smtp")
    made, row = opened(), episode()
    home = f"/incidents/{made.pk}"
    press(operator, f"{home}/alerts", alerts=[str(row.pk)])
    press(operator, f"{home}/things/service", ref="smtp")
    press(operator, f"{home}/things/deployment", ref="shop <v41>")
    shown = text_of(operator.get(home))
    assert "shop &lt;v41&gt;" in shown
    assert press(operator, f"{home}/things/service", ref="nowhere").status_code == 422
    assert operator.get(f"{home}/things/planet").status_code == 404
    for thing in made.things.all():
        operator.post(f"{home}/things/{thing.pk}/remove")
    operator.post(f"{home}/alerts/{row.pk}/remove")
    assert not made.things.exists()
    assert not made.links.exists()
    assert "not of INC" in text_of(operator.post(f"{home}/alerts/{row.pk}/remove", follow=True))


def test_merged_it_leads_to_the_other(operator: Client) -> None:
    one, two = opened("one"), opened("two")
    assert press(operator, f"/incidents/{one.pk}/merge", into=str(one.pk)).status_code == 422
    press(operator, f"/incidents/{one.pk}/merge", into=str(two.pk))
    shown = text_of(operator.get(f"/incidents/{one.pk}"))
    assert f"Merged into INC-{two.pk}" in shown
    assert f"INC-{one.pk}" in text_of(operator.get(f"/incidents/{two.pk}"))
    assert operator.get(f"/incidents/{one.pk}/correct").status_code == 409


def test_without_another_there_is_nothing_to_merge_into(operator: Client) -> None:
    shown = text_of(operator.get(f"/incidents/{opened().pk}/merge"))
    assert "There is no other open incident" in shown


# --- rules ---------------------------------------------------------------------------------------------


def test_a_lead_makes_switches_changes_and_deletes_a_rule(person: Person) -> None:
    lead = person("lead")
    fields = {"match": '{"severity": "warning"}', "after_min": "2", "at_least": "3", "severity": "sev3"}
    assert press(lead, "/incidents/rules/new", name="many-warnings", **fields).status_code == 302
    made = Rule.objects.get(name="many-warnings")
    assert (made.after_s, made.at_least, made.resolve_after_s, made.enabled) == (120, 3, None, True)
    assert press(lead, "/incidents/rules/new", name="many-warnings", **fields).status_code == 409
    lead.post("/incidents/rules/many-warnings/switch", {"on": "0"})
    assert "OFF" in text_of(lead.get("/incidents/rules/many-warnings"))
    edit = "/incidents/rules/many-warnings/edit"
    assert press(lead, edit, seen_version="1", resolve_after_min="5", **fields).status_code == 409
    press(lead, edit, seen_version="2", resolve_after_min="5", **fields)
    made.refresh_from_db()
    assert (made.resolve_after_s, made.enabled) == (300, False)
    press(lead, "/incidents/rules/many-warnings/delete", reason="too many")
    assert lead.get("/incidents/rules/many-warnings").status_code == 404


@pytest.mark.parametrize(
    "match", ["nonsense", "[]", '"x"', '{"service": 5}', '{"service": "~("}', '{"service": {"a": 1}}', "\u202e"]
)
def test_a_match_that_makes_no_sense_is_refused_at_its_field(person: Person, match: str) -> None:
    fields = {"after_min": "2", "at_least": "1", "severity": "sev3", "name": "x"}
    answer = press(person("lead"), "/incidents/rules/new", match=match, **fields)
    assert answer.status_code == 422
    assert "id_match_error" in text_of(answer)


def test_an_operator_reads_rules_and_changes_none(operator: Client) -> None:
    Rule.objects.get_or_create(name="critical-alert", defaults={"match": {}})
    assert "Switch off" not in text_of(operator.get("/incidents/rules"))
    for path in ("new", "critical-alert/edit", "critical-alert/delete"):
        assert operator.get(f"/incidents/rules/{path}").status_code == 403
    operator.post("/incidents/rules/critical-alert/switch", {"on": "0"})
    assert Rule.objects.get().enabled


def test_the_shipped_rule_is_there_and_on(person: Person) -> None:
    Rule.objects.get_or_create(name="critical-alert", defaults={"match": {"severity": "critical"}, "after_s": 300})
    shown = text_of(person("viewer").get("/incidents/rules"))
    assert "critical-alert" in shown
    assert "severity = critical" in shown


# --- elsewhere -----------------------------------------------------------------------------------------


def test_it_needs_a_person_on_the_overview_and_is_found(operator: Client) -> None:
    made = opened()
    assert f"SEV2 · {made.title}" in text_of(operator.get("/"))
    for asked in (f"INC-{made.pk}", "cannot pay"):
        assert f'href="/incidents/{made.pk}"' in text_of(operator.get(f"/find?q={asked}"))


def test_the_page_is_live(operator: Client) -> None:
    made = opened()
    page = operator.get(f"/incidents/{made.pk}")
    again = operator.get(
        f"/incidents/{made.pk}", headers={"X-Live": "1", "If-None-Match": page.headers.get("ETag", "")}
    )
    etag = again["ETag"]
    same = operator.get(f"/incidents/{made.pk}", headers={"X-Live": "1", "If-None-Match": etag})
    assert same.status_code == 304
    services.say(incident_id=made.pk, actor=SYSTEM, text="News from elsewhere.")
    changed = operator.get(f"/incidents/{made.pk}", headers={"X-Live": "1", "If-None-Match": etag})
    assert "News from elsewhere." in text_of(changed)
    assert 'id="live-roles"' not in text_of(changed)


def test_people_see_their_language_only_where_it_is_there(person: Person) -> None:
    made = opened()
    client = person("operator")
    User.objects.filter(role="operator").update(language="id", time_zone="Asia/Jakarta")
    assert client.get(f"/incidents/{made.pk}").status_code == 200

"""The list of alerts: every figure is the database's, whatever is filtered, and a storm stays usable."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.alerts.models import AlertSource, Episode, Escalation
from apps.alerts.policies import frozen, in_force
from apps.core.clock import now
from apps.services.models import Service

Person = Callable[[str], Client]
ROW = re.compile(r'data-key="a(\d+)"')
NEXT = re.compile(r'rel="next" href="([^"]+)"')


def make(name: str = "DiskFull", *, source: str = "eu1", at: datetime | None = None, **fields: Any) -> Episode:
    AlertSource.objects.get_or_create(pk=source)
    moment = at or now()
    number = Episode.objects.count()
    given = {"severity": "warning", "state": "firing", "labels": {"alertname": name, "instance": f"web-{number}"}}
    facts = {"first_seen_at": moment, "last_fired_at": moment, "fingerprint": f"{number:016x}"}
    return Episode.objects.create(source_id=source, name=name, **{**given, **facts, **fields})


def escalate(episode: Episode, *, step: int = 0, minutes: float = 0.0) -> Escalation:
    """As begun when it was first heard of; ``minutes`` from now the step is due."""
    version, routing = in_force()
    route = routing.route_of({"severity": episode.severity})
    return Escalation.objects.create(
        episode=episode,
        route=route.name,
        routing=version,
        policy=frozen(routing, route),
        started_at=episode.first_seen_at,
        step=step,
        next_at=now() + timedelta(minutes=minutes),
    )


def shown(client: Client, path: str) -> list[int]:
    return [int(number) for number in ROW.findall(client.get(path).content.decode())]


def text_of(client: Client, path: str) -> str:
    page = re.sub(r"<[^>]+>", " ", client.get(path).content.decode())
    return " ".join(unescape(page).split())


@pytest.mark.django_db
def test_the_most_severe_come_first_and_the_newest_of_them(person: Person) -> None:
    made = [make(severity=word) for word in ("info", "critical", "warning", "critical", "security", "unknown")]
    info, old, warning, new, security, unknown = (episode.pk for episode in made)
    assert shown(person("viewer"), "/alerts") == [new, old, security, warning, unknown, info]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"plain", "taken", "over_ack", "asleep", "quiet", "flaps", "back"}),
        ("state=firing", {"plain", "taken", "over_ack", "asleep", "quiet", "flaps"}),
        ("state=recovering", {"back"}),
        ("state=resolved", {"gone"}),
        ("state=all", {"plain", "taken", "over_ack", "asleep", "quiet", "flaps", "back", "gone"}),
        ("ack=yes", {"taken"}),
        ("ack=no&state=firing", {"plain", "over_ack", "asleep", "quiet", "flaps"}),
        ("quiet=yes", {"asleep", "quiet"}),
        ("quiet=no", {"plain", "taken", "over_ack", "flaps", "back"}),
        ("quiet=flapping", {"flaps"}),
        ("severity=critical", {"taken"}),
        ("source=edge", {"flaps"}),
        ("service=midtrans", {"plain"}),
        ("assignee=mine", {"asleep"}),
        ("assignee=-", {"plain", "taken", "over_ack", "quiet", "flaps", "back"}),
        ("name=DiskFull", {"plain"}),
        ("q=disk+web", {"plain"}),
        ("q=90+%25", {"taken"}),
        ("q=nothing-like-it", set()),
        ("since=1h", {"taken", "over_ack", "asleep", "quiet", "flaps", "back"}),
        ("since=1h&state=all", {"taken", "over_ack", "asleep", "quiet", "flaps", "back", "gone"}),
    ],
)
def test_filters(person: Person, query: str, found: set[str]) -> None:
    Service.objects.create(name="midtrans", channel="http", settings={"url": "https://x.example"})
    moment = now()
    long_ago = moment - timedelta(hours=3)
    names = {
        "plain": make("DiskFull", service="midtrans", at=long_ago),
        "taken": make(
            "Cpu", severity="critical", acknowledged_at=moment, acknowledged_by="a", annotations={"summary": "90 %"}
        ),
        "over_ack": make("Ram", acknowledged_at=long_ago, acknowledged_until=moment - timedelta(minutes=1)),
        "asleep": make("Net", snoozed_until=moment + timedelta(hours=1), assignee="viewer@example.com"),
        "quiet": make("Io", suppressed=True, suppressed_by=["silence 1"]),
        "flaps": make("Flap", source="edge", flapping=True, fired_again=4),
        "back": make("Back", state="recovering", normal_since=moment),
        "gone": make("Gone", state="resolved", resolved_at=moment),
    }
    ids = {episode.pk: name for name, episode in names.items()}
    assert {ids[pk] for pk in shown(person("viewer"), f"/alerts?{query}")} == found


@pytest.mark.django_db
def test_figures_equal_the_database(person: Person) -> None:
    for number in range(7):
        make(acknowledged_at=now() if number < 2 else None, suppressed=number == 6)
    make(state="recovering", normal_since=now())
    page = text_of(person("viewer"), "/alerts")
    assert "5 fire and are nobody’s yet" in page
    assert "1 is kept quiet" in page
    for words in ("Open 8", "Firing 7", "Recovering 1", "Nobody’s yet 5"):
        assert words in page, words
    assert "5 firing, and nobody’s yet" in page  # beside every page


@pytest.mark.django_db
def test_a_thousand_stay_usable(person: Person) -> None:
    AlertSource.objects.create(pk="eu1")
    moment = now()
    labels = {"alertname": "HighErrorRate", "severity": "critical", "pod": "checkout-5d8f7c9b6-x2k4z", "job": "shop"}
    Episode.objects.bulk_create(
        Episode(
            source_id="eu1",
            fingerprint=f"{number:016x}",
            name="HighErrorRate",
            severity="critical",
            state="firing",
            labels={**labels, "instance": f"10.0.{number}"},
            last_fired_at=moment,
            first_seen_at=moment,
            annotations={"summary": "5xx above 5 % " * 10},
        )
        for number in range(1000)
    )
    for episode in Episode.objects.all()[:60]:
        escalate(episode, minutes=4)
    client = person("lead")
    seen: list[int] = []
    path = "/alerts"
    client.get(path)
    for _ in range(30):
        with CaptureQueriesContext(connection) as queries:
            response = client.get(path)
        assert len(queries) <= 15
        assert len(response.content) < 150_000
        page = response.content.decode()
        seen += [int(number) for number in ROW.findall(page)]
        onward = NEXT.search(page)
        if onward is None:
            break
        path = "/alerts" + unescape(onward[1])
    assert len(seen) == len(set(seen)) == 1000
    assert "of 1,000" in text_of(client, "/alerts")
    grouped = text_of(client, "/alerts?group=name")
    assert "HighErrorRate 1,000 0 1,000" in grouped
    assert "Acknowledge 1,000…" in grouped


@pytest.mark.django_db
def test_groups_lead_to_their_alerts(person: Person) -> None:
    for severity in ("warning", "critical", "warning"):
        make("Cpu", severity=severity)
    make("Ram", severity="info", acknowledged_at=now())
    page = person("viewer").get("/alerts?group=name&state=firing").content.decode()
    (first, second) = re.findall(r'main-link" href="([^"]+)"', page)
    assert (unescape(first), unescape(second)) == ("/alerts?state=firing&name=Cpu", "/alerts?state=firing&name=Ram")
    assert len(shown(person("viewer"), unescape(first))) == 3
    assert "/alerts/acknowledge" not in page  # a viewer may not


@pytest.mark.django_db
def test_what_is_over_is_looked_through_in_windows(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.alerts.selectors.LOOKED", 10)
    wanted = make("Needle", state="resolved", resolved_at=now())
    for _ in range(25):
        make("Hay", state="resolved", resolved_at=now())
    client, path, found = person("viewer"), "/alerts?state=resolved&q=needle", []
    for _ in range(4):
        page = client.get(path).content.decode()
        found += ROW.findall(page)
        onward = NEXT.search(page)
        if onward is None:
            break
        assert "Look further back" in page
        path = "/alerts" + unescape(onward[1])
    assert found == [str(wanted.pk)]


@pytest.mark.django_db
def test_new_ones_wait_behind_a_number(person: Person) -> None:
    old, client = make(), person("viewer")
    page = client.get("/alerts")
    assert f'data-anchor="{old.pk}"' in page.content.decode()
    new = make()
    live = client.get("/alerts", headers={"X-Live": "1", "X-Live-Anchor": str(old.pk)}).content.decode()
    assert "1 new" in live
    assert f'data-key="a{new.pk}"' not in live


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["cursor=x", "cursor=1-", "state=all&cursor=9-x"])
def test_a_cursor_that_is_none_is_explained(person: Person, query: str) -> None:
    make()
    assert person("viewer").get(f"/alerts?{query}").status_code == 422


@pytest.mark.django_db
def test_filters_that_make_no_sense_are_said_and_hide_nothing(person: Person) -> None:
    episode, client = make(), person("viewer")
    assert shown(client, "/alerts?severity=nonsense&state=nonsense&group=nonsense&since=nonsense") == [episode.pk]
    page = client.get("/alerts?after=2026-01-02T00:00&before=2026-01-01T00:00").content.decode()
    assert "ends before it begins" in page


@pytest.mark.django_db
def test_an_empty_list_says_how_alerts_get_there(person: Person) -> None:
    assert "manage.py alertsource create" in text_of(person("viewer"), "/alerts")
    AlertSource.objects.create(pk="eu1")
    assert "Nothing fires" in text_of(person("viewer"), "/alerts")


@pytest.mark.django_db
def test_a_route_that_reaches_nobody_is_said_before_an_alert_finds_it_out(person: Person) -> None:
    client = person("viewer")
    page = text_of(client, "/alerts")
    assert "Nobody can be paged by 5 routes" in page
    assert "alerts: there is no service named slack. Configure it, or send alerts elsewhere." in page
    assert "management: there is no service named smtp" in page
    assert "Nobody can be paged" not in text_of(client, "/")  # nobody sends alerts to this portal yet


@pytest.mark.django_db
def test_the_overview_says_it_too_once_there_are_sources(person: Person) -> None:
    make()
    page = text_of(person("operator"), "/")
    assert "Nobody can be paged by 5 routes" in page
    assert "DiskFull" in page


@pytest.mark.django_db
def test_an_alert_is_found_by_words_and_by_number(person: Person) -> None:
    episode = make("CheckoutSlow", severity="critical")
    client = person("viewer")
    for query in ("checkoutslow", str(episode.pk), f"alert {episode.pk}"):
        assert f'href="/alerts/{episode.pk}"' in client.get(f"/find?q={query}").content.decode(), query

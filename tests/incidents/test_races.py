"""Sweeps and people at the same moment, in threads of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.audit.verification import verify_chain
from apps.core.actor import Actor
from apps.core.errors import Conflict, PortalError
from apps.incidents import services
from apps.incidents.merging import merge
from apps.incidents.models import Incident, IncidentEpisode, Rule
from apps.incidents.sweeping import sweep
from tests.incidents.conftest import episode

pytestmark = pytest.mark.django_db(transaction=True)
TOGETHER = 4


def at_once(*works: Callable[[], object]) -> list[object]:
    """What each gave, or the error it was refused with."""
    start = Barrier(len(works))

    def run(work: Callable[[], object]) -> object:
        try:
            start.wait(20)
            return work()
        except PortalError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def person(name: str) -> Actor:
    return User.objects.create_user(f"{name}@example.com", "right-password", role="operator").as_actor()


def test_sweeps_at_once_open_one_incident_with_every_alert() -> None:
    Rule.objects.create(name="critical", match={"severity": "critical"}, after_s=0)
    for number in range(20):
        episode(f"f{number}")
    at_once(*[sweep] * TOGETHER)
    sweep()
    assert Incident.objects.count() == 1
    assert IncidentEpisode.objects.count() == 20


def test_two_who_open_one_from_the_same_alert_get_one_and_a_word(transactional_db: None) -> None:
    row = episode()
    ana, budi = person("ana"), person("budi")

    def by(actor: Actor) -> Callable[[], object]:
        return lambda: services.open_incident(actor=actor, title="Disk", severity="sev2", episode_ids=[row.pk])

    found = at_once(by(ana), by(budi))
    assert Incident.objects.count() == 1
    refused = [each for each in found if isinstance(each, Conflict)]
    assert [each.detail for each in refused] == [{"incident": Incident.objects.get().pk}]


def test_a_sweep_and_a_person_open_one(transactional_db: None) -> None:
    Rule.objects.create(name="critical", match={"severity": "critical"}, after_s=0)
    row, ana = episode(), person("ana")
    at_once(
        sweep, lambda: services.open_incident(actor=ana, title="Disk", severity="sev2", episode_ids=[row.pk]), sweep
    )
    sweep()
    assert Incident.objects.count() == 1
    assert row.incident_links.count() == 1


def test_two_that_are_merged_into_each_other_at_once_leave_one(transactional_db: None) -> None:
    ana = person("ana")
    one, two = (services.open_incident(actor=ana, title=name, severity="sev2") for name in ("one", "two"))
    at_once(
        lambda: merge(incident_id=one.pk, into_id=two.pk, actor=ana),
        lambda: merge(incident_id=two.pk, into_id=one.pk, actor=ana),
    )
    assert sorted(Incident.objects.values_list("state", flat=True)) == ["investigating", "merged"]
    assert Incident.objects.get(state="investigating").merged_into_id is None


def test_one_of_two_takes_the_role_and_one_of_two_resolves(transactional_db: None) -> None:
    ana, budi = person("ana"), person("budi")
    made = services.open_incident(actor=ana, title="x", severity="sev2")

    def take(actor: Actor) -> Callable[[], object]:
        return lambda: services.assign_role(
            incident_id=made.pk, role="commander", person=actor.name, actor=actor, seen=""
        )

    found = at_once(take(ana), take(budi))
    assert sum(isinstance(each, Conflict) for each in found) == 1
    assert made.roles.count() == 1
    found = at_once(*[lambda: services.resolve(incident_id=made.pk, actor=ana)] * 2)
    assert sum(isinstance(each, Conflict) for each in found) == 1
    assert made.updates.filter(kind="resolved").count() == 1
    assert not verify_chain().broken_at

"""Which route takes an alert, and the versions of the routing."""

from __future__ import annotations

import pytest

from apps.alerts.models import RoutingVersion
from apps.alerts.policies import facts, in_force, restore_routing, save_routing
from apps.alerts.routing import DEFAULT, parsed
from apps.alerts.severity import severity_of
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, NotFound

ROUTES = [
    {"name": "pages", "match": {"severity": ["Page", "P1"]}, "steps": [{"after": 0, "notify": ["alerts"]}]},
    {"name": "odd", "match": {"severity": "banana"}, "steps": [{"after": 0, "notify": ["alerts"]}]},
    {"name": "major", "match": {"severity_label": "major"}, "steps": [{"after": 0, "notify": ["alerts"]}]},
    {"name": "like", "match": {"severity": "~warn.*"}, "steps": [{"after": 0, "notify": ["alerts"]}]},
    {"name": "rest", "match": {}, "steps": [{"after": 0, "notify": ["alerts"]}]},
]


@pytest.mark.parametrize(
    ("labels", "route"),
    [
        ({"severity": "critical"}, "pages"),
        ({"severity": "Critical"}, "pages"),
        ({"severity": "page"}, "pages"),
        ({"severity": "P1"}, "pages"),
        ({"priority": "P1"}, "pages"),
        ({"severity": "Banana"}, "odd"),
        ({"severity": "major"}, "major"),
        ({"severity": "warning"}, "like"),
        ({"severity": "none"}, "rest"),
        ({"severity": "P9"}, "rest"),
        ({}, "rest"),
    ],
)
def test_case_26_every_word_for_a_severity_finds_its_route(labels: dict[str, str], route: str) -> None:
    routing = parsed({**DEFAULT, "routes": ROUTES})
    told = facts(labels, severity=str(severity_of(labels)), source="eu1", service="")
    assert routing.route_of(told).name == route


@pytest.mark.django_db
class TestVersions:
    def test_an_earlier_one_comes_back_as_a_new_one(self) -> None:
        first = save_routing(document=DEFAULT, actor=SYSTEM, reason="one")
        save_routing(document={**DEFAULT, "owners": {"payments": "alerts"}}, actor=SYSTEM, reason="two")
        third = restore_routing(number=first.pk, actor=SYSTEM, reason="back")
        assert in_force()[0] == third
        assert third.document == first.document

    def test_somebody_was_faster(self) -> None:
        first = save_routing(document=DEFAULT, actor=SYSTEM, reason="one", seen_version=0)
        save_routing(document=DEFAULT, actor=SYSTEM, reason="two", seen_version=first.pk)
        with pytest.raises(Conflict):
            save_routing(document=DEFAULT, actor=SYSTEM, reason="three", seen_version=first.pk)
        with pytest.raises(Conflict):
            restore_routing(number=first.pk, actor=SYSTEM, reason="back", seen_version=0)

    def test_of_what_is_not_there_and_by_whom_may_not(self) -> None:
        with pytest.raises(NotFound):
            restore_routing(number=99, actor=SYSTEM, reason="back")
        with pytest.raises(Forbidden):
            restore_routing(number=99, actor=Actor("person", "x"), reason="back")

    def test_one_of_another_release_does_not_stop_people_from_being_told(self) -> None:
        RoutingVersion.objects.create(document={"routes": "of another time"}, created_by="x")
        version, routing = in_force()
        assert version is None
        assert routing == parsed(DEFAULT)

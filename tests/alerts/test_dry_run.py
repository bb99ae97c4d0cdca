"""Stored posts through two routings: pure, so nothing is stored and nobody is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from apps.alerts.dry_run import Heard, Outcome, Reached, compare, spells
from apps.alerts.episodes import Seen
from apps.alerts.policies import facts
from apps.alerts.routing import DEFAULT, Routing, parsed
from tests.alerts.conftest import NOON, after

TARGETS = {
    **DEFAULT["targets"],
    "management": {"service": "smtp", "recipient": "management@example.com"},
    "cto": {"service": "smtp", "recipient": "cto@example.com"},
}
FORCE = parsed({**DEFAULT, "targets": TARGETS})
LATER = after(hours=2)


def reach(routing: Routing, name: str, about: Mapping[str, str], at: datetime) -> Reached:
    target = routing.targets[name]
    if target.owner:
        return Reached(name, problem="no_owner")
    return Reached(name, target.service, target.recipient)


def heard(
    at: datetime, status: str = "firing", *, name: str = "Disk", severity: str = "critical", mark: str = "a"
) -> Heard:
    labels = facts({"alertname": name, "severity": severity}, severity=severity, source="eu1", service="")
    ends = at if status == "resolved" else None
    return Heard("eu1", mark, name, severity, labels, Seen(status, NOON, ends, at))


def tried(draft: dict[str, Any], *told: Heard) -> Outcome:
    return compare(told, FORCE, parsed(draft), reach, LATER, is_night=lambda at: at.hour < 7)


def with_routes(*changes: dict[str, Any]) -> dict[str, Any]:
    named = {change["name"]: change for change in changes}
    routes = [{**route, **named.get(route["name"], {})} for route in DEFAULT["routes"]]
    return {**DEFAULT, "targets": TARGETS, "routes": routes}


def test_the_same_routing_changes_nothing_and_counts_what_it_tells() -> None:
    out = tried(with_routes(), heard(NOON))
    assert (out.spells, out.pages_before, out.pages_after, out.changes) == (1, 5, 5, [])
    assert {(one.service, one.who): one.before for one in out.told} == {
        ("pagerduty", ""): 2,
        ("slack", "#alerts"): 2,
        ("smtp", "cto@example.com"): 1,
    }


def test_another_route_says_which_alerts_and_how_many_messages() -> None:
    draft = with_routes({"name": "critical", "steps": [{"after": 0, "notify": ["alerts"]}]})
    out = tried(draft, heard(NOON), heard(after(minutes=1), severity="warning", mark="b", name="Slow"))
    (change,) = out.changes
    assert (change.name, change.spells, change.pages_before, change.pages_after) == ("Disk", 1, 5, 1)
    assert (out.pages_before, out.pages_after) == (6, 2)


def test_a_target_that_is_only_renamed_is_no_change() -> None:
    routes = [
        {
            **route,
            "steps": [{**s, "notify": [n.replace("alerts", "chat") for n in s["notify"]]} for s in route["steps"]],
        }
        for route in DEFAULT["routes"]
    ]
    targets = {("chat" if name == "alerts" else name): target for name, target in TARGETS.items()}
    assert tried({**DEFAULT, "targets": targets, "routes": routes}, heard(NOON)).changes == []


def test_what_is_over_before_a_step_tells_nobody_of_it() -> None:
    out = tried(with_routes(), heard(NOON), heard(after(minutes=4), "resolved"))
    assert (out.spells, out.pages_before) == (1, 2)


def test_recovering_holds_a_step_and_firing_again_takes_it() -> None:
    told = heard(NOON), heard(after(minutes=9), "resolved"), heard(after(minutes=12))
    (spell,) = spells(told, LATER)
    assert spell.told_at(after(minutes=10)) == after(minutes=12)
    assert spell.told_at(after(minutes=13)) == after(minutes=13)


def test_five_minutes_normal_is_the_end_and_the_next_one_another_spell() -> None:
    told = heard(NOON), heard(after(minutes=9), "resolved"), heard(after(minutes=20))
    later = Heard(
        **{name: getattr(told[2], name) for name in ("source", "fingerprint", "name", "severity", "facts")},
        seen=Seen("firing", after(minutes=20), None, after(minutes=20)),
    )
    first, second = spells([*told[:2], later], LATER)
    assert (first.ended, second.ended) == (after(minutes=14), None)
    assert first.told_at(after(minutes=30)) is None


def test_what_was_told_of_only_when_it_was_over_is_no_spell() -> None:
    assert spells([heard(NOON, "resolved")], LATER) == []


def test_a_step_that_reaches_nobody_is_followed_by_the_next_at_once() -> None:
    draft = with_routes(
        {"name": "warning", "steps": [{"after": 0, "notify": ["owner"]}, {"after": 3600, "notify": ["alerts"]}]}
    )
    out = compare(
        [heard(NOON, severity="warning")], FORCE, parsed(draft), reach, after(seconds=1), is_night=lambda at: False
    )
    assert (out.pages_after, out.nobody_after) == (1, 0)


def test_an_alert_that_would_reach_nobody_is_counted() -> None:
    draft = with_routes({"name": "critical", "steps": [{"after": 0, "notify": ["owner"]}]})
    out = tried(draft, heard(NOON))
    assert (out.nobody_before, out.nobody_after, out.pages_after) == (0, 1, 0)


def test_a_storm_is_told_together() -> None:
    told = [
        heard(NOON + timedelta(milliseconds=number), severity="warning", mark=str(number)) for number in range(1000)
    ]
    assert tried(with_routes(), *told).pages_before == 1


def test_a_night_is_the_readers() -> None:
    early = NOON.replace(hour=3)
    out = compare([heard(early, severity="warning")], FORCE, FORCE, reach, LATER, is_night=lambda at: at.hour < 7)
    assert [(one.night_before, one.night_after) for one in out.told] == [(1, 1)]

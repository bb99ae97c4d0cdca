"""An incident of the bad night, and older ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from apps.alerts.episodes import State as AlertState
from apps.alerts.models import Episode
from apps.console.demo import timelines
from apps.incidents.models import (
    Incident,
    IncidentEpisode,
    IncidentRole,
    IncidentThing,
    Origin,
    RoleName,
    Rule,
    State,
    StatusUpdate,
    UpdateKind,
)

ANA: Final = "ana@example.com"
BUDI: Final = "budi@example.com"
LEAD: Final = "lena@example.com"
SYSTEM: Final = "system:opsportal"
SLACK: Final = [{"service": "slack", "recipient": "#alerts", "message_id": 1}]
# Minutes ago, kind, state, who, text, detail.
Said = tuple[float, UpdateKind, State, str, str, dict[str, Any]]


def make(moment: datetime) -> None:
    """Made up as of ``moment``; the same moment gives the same data."""
    rule = _rules()
    _last_week(moment, rule)
    _late_mails(moment)
    open_one = _tonight(moment, rule)
    _the_same(moment, open_one)
    timelines.make(moment)


def _rules() -> Rule:
    """The shipped one, and one that somebody tried."""
    Rule.objects.get_or_create(
        name="payments-shaky",
        defaults={
            "match": {"severity": "warning", "team": ["payments", "~order.*"]},
            "after_s": 600,
            "at_least": 3,
            "severity": "sev3",
            "resolve_after_s": None,
            "enabled": False,
            "created_by": LEAD,
        },
    )
    shipped = {"match": {"severity": "critical"}, "after_s": 300, "severity": "sev2", "created_by": "opsportal"}
    return Rule.objects.get_or_create(name="critical-alert", defaults=shipped)[0]


def _made(moment: datetime, began: float, title: str, **given: Any) -> Incident:
    """``given`` may hold times as minutes ago."""
    times = ("detected_at", "acknowledged_at", "mitigated_at", "resolved_at", "created_at")
    facts = {name: _ago(moment, value) if name in times else value for name, value in given.items()}
    return Incident.objects.create(title=title, started_at=_ago(moment, began), **facts)


def _ago(moment: datetime, minutes: float) -> datetime:
    return moment - timedelta(minutes=minutes)


def _said(incident: Incident, moment: datetime, lines: Iterable[Said]) -> None:
    for back, kind, state, actor, text, detail in lines:
        told = SLACK if kind in (UpdateKind.OPENED, UpdateKind.RESOLVED) else []
        StatusUpdate.objects.create(
            incident=incident,
            at=_ago(moment, back),
            kind=kind,
            state=state,
            actor=actor,
            text=text,
            detail=detail,
            told=told,
        )


def _link(incident: Incident, at: datetime, who: str, episodes: Iterable[Episode], *services: str) -> None:
    for episode in episodes:
        IncidentEpisode.objects.create(incident=incident, episode=episode, added_at=at, added_by=who)
    for name in services:
        IncidentThing.objects.create(incident=incident, kind="service", ref=name, added_at=at, added_by=who)


def _roles(incident: Incident, at: datetime, **people: str) -> None:
    for role, person in people.items():
        IncidentRole.objects.create(incident=incident, role=role, person=person, since=at)


def _episodes(*names: str, over: bool) -> list[Episode]:
    """Made by the alerts of the night; without them there are just none."""
    rows = Episode.objects.filter(name__in=names, incident_links__isnull=True)
    rows = rows.filter(state=AlertState.RESOLVED) if over else rows.exclude(state=AlertState.RESOLVED)
    return list(rows.order_by("pk"))


def _last_week(moment: datetime, rule: Rule) -> None:
    day = 9 * 24 * 60
    incident = _made(
        moment,
        day,
        "9 % of the charges to midtrans failed",
        severity="sev2",
        state=State.RESOLVED,
        origin=Origin.RULE,
        rule=rule,
        detected_at=day,
        acknowledged_at=day - 12,
        mitigated_at=day - 16,
        resolved_at=day - 26,
        created_at=day - 5,
        created_by=SYSTEM,
    )
    _link(incident, _ago(moment, day - 5), SYSTEM, _episodes("PaymentErrorsHigh", over=True), "midtrans")
    _roles(incident, _ago(moment, day - 12), commander=LEAD, operations=ANA, scribe=BUDI)
    found = "Midtrans moved to new hosts; half of our calls go to addresses that our allow-list does not have."
    opened = {"severity": "sev2", "origin": "rule", "rule": rule.name}
    took = {"role": "commander", "from": "", "to": LEAD}
    _said(
        incident,
        moment,
        [
            (day - 5, UpdateKind.OPENED, State.INVESTIGATING, SYSTEM, "", opened),
            (day - 12, UpdateKind.ROLE, State.INVESTIGATING, LEAD, "", took),
            (day - 13, UpdateKind.SAID, State.IDENTIFIED, ANA, found, {"from": "investigating"}),
            (day - 16, UpdateKind.SAID, State.MONITORING, ANA, "The list is changed.", {"from": "identified"}),
            (
                *(day - 26, UpdateKind.RESOLVED, State.RESOLVED, SYSTEM, "All its alerts are resolved and stayed so."),
                {"by_itself": True, "firing": 0, "from": "monitoring"},
            ),
        ],
    )


def _late_mails(moment: datetime) -> None:
    incident = _made(
        moment,
        95,
        "Order confirmations arrive an hour late",
        summary="Customers ask the shop whether their order was taken.",
        severity="sev3",
        state=State.RESOLVED,
        origin=Origin.ALERTS,
        detected_at=95,
        acknowledged_at=84,
        mitigated_at=48,
        resolved_at=40,
        created_at=84,
        created_by=BUDI,
    )
    _link(incident, _ago(moment, 84), BUDI, _episodes("SmtpQueueLong", over=True), "smtp")
    _roles(incident, _ago(moment, 84), commander=BUDI)
    _said(
        incident,
        moment,
        [
            (
                *(84, UpdateKind.OPENED, State.INVESTIGATING, BUDI, incident.summary),
                {"severity": "sev3", "origin": "alerts", "rule": ""},
            ),
            (60, UpdateKind.SAID, State.IDENTIFIED, BUDI, "A campaign fills the queue.", {"from": "investigating"}),
            (
                *(40, UpdateKind.RESOLVED, State.RESOLVED, BUDI, "The campaign waits until the night."),
                {"by_itself": False, "firing": 0, "from": "identified"},
            ),
        ],
    )


def _tonight(moment: datetime, rule: Rule) -> Incident:
    incident = _made(
        moment,
        11.4,
        "Customers cannot pay: midtrans does not answer",
        summary="Card and e-wallet payments fail. Orders are kept and wait; bank transfer works.",
        severity="sev1",
        state=State.IDENTIFIED,
        origin=Origin.RULE,
        rule=rule,
        detected_at=11.4,
        acknowledged_at=5.2,
        created_at=6.4,
        created_by=SYSTEM,
    )
    _link(incident, _ago(moment, 6.4), SYSTEM, _episodes("PaymentErrorsHigh", "BreakerOpen", over=False), "midtrans")
    IncidentThing.objects.create(
        incident=incident, kind="deployment", ref="checkout v41", added_at=_ago(moment, 4), added_by=BUDI
    )
    _roles(incident, _ago(moment, 5), commander=ANA, communications=BUDI)
    known = "Midtrans answers 503 or not at all. Their status page says nothing yet; ticket 4411 is with them."
    said = "The shop shows a note beside the pay button and offers bank transfer."
    took = {"role": RoleName.COMMANDER.value, "from": "", "to": ANA}
    raised = {"from": "sev2", "to": "sev1"}
    opened = {"severity": "sev2", "origin": "rule", "rule": rule.name}
    _said(
        incident,
        moment,
        [
            (6.4, UpdateKind.OPENED, State.INVESTIGATING, SYSTEM, "", opened),
            (5, UpdateKind.ROLE, State.INVESTIGATING, ANA, "", took),
            (4.6, UpdateKind.SEVERITY, State.INVESTIGATING, ANA, "No card payment goes through.", raised),
            (3.5, UpdateKind.SAID, State.IDENTIFIED, ANA, known, {"from": "investigating"}),
            (1.8, UpdateKind.SAID, State.IDENTIFIED, BUDI, said, {}),
        ],
    )
    return incident


def _the_same(moment: datetime, target: Incident) -> None:
    """Somebody opened one by hand for what was the same."""
    incident = _made(
        moment,
        9,
        "Orders stay in “waiting for payment”",
        severity="sev3",
        state=State.MERGED,
        origin=Origin.HAND,
        merged_into=target,
        detected_at=8,
        acknowledged_at=8,
        resolved_at=4.2,
        created_at=8,
        created_by=BUDI,
    )
    opened = {"severity": "sev3", "origin": "hand", "rule": ""}
    into = {"other": target.pk, "title": target.title}
    _said(
        incident,
        moment,
        [
            (8, UpdateKind.OPENED, State.INVESTIGATING, BUDI, "", opened),
            (4.2, UpdateKind.MERGED, State.MERGED, ANA, "The same outage.", into),
        ],
    )
    took = {"other": incident.pk, "title": incident.title}
    _said(target, moment, [(4.2, UpdateKind.TOOK_IN, State.INVESTIGATING, ANA, "The same outage.", took)])

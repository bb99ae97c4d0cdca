"""Alerts of the bad night: sources, what they posted, episodes in every state, and who was told."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.fingerprint import fingerprint_of
from apps.alerts.models import (
    AlertDelivery,
    AlertLog,
    AlertSource,
    DeliveryState,
    Episode,
    EpisodeEvent,
    Escalation,
    Notification,
    NotificationOutcome,
    SourceKind,
)
from apps.alerts.policies import facts_of, frozen, in_force, thawed
from apps.alerts.reaching import Directory
from apps.alerts.severity import severity_of
from apps.alerts.shown import visible_line
from apps.alerts.telling import PAGE, RESOLVED
from apps.core.text import storable
from apps.outbox.models import Message, MessageStatus
from apps.services.models import Service

RUNBOOK: Final = "https://runbooks.example/midtrans"
ANA: Final = "ana@example.com"
ALIVE: Final = [["told_by_source", True], ["normal_for", True], ["source_alive", True], ["confirmed_by_api", True]]


@dataclass(frozen=True, slots=True)
class Made:
    """An alert of the night. Times are minutes before now; ``steps`` were taken; ``facts`` go into its episode."""

    name: str
    source: str
    severity: str
    began: float
    summary: str
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    state: str = State.FIRING
    steps: int = 1
    verdicts: tuple[tuple[float, str], ...] = ()
    events: tuple[tuple[float, str, str, dict[str, Any]], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    late: int = 0


def make(moment: datetime) -> None:
    """Made up as of ``moment``; the same moment gives the same data."""
    _sources(moment)
    night = _Night(moment)
    for made in _alerts(moment):
        night.add(made)


def _sources(moment: datetime) -> None:
    recently = moment - timedelta(seconds=22)
    facts: dict[str, dict[str, Any]] = {
        "eu1": {"api_url": "http://alertmanager.example:9093", "api_at": recently, "watchdog_at": recently},
        "edge": {"watchdog_at": moment - timedelta(minutes=31), "blind_since": moment - timedelta(minutes=16)},
        "grafana": {"kind": SourceKind.GRAFANA, "payload_version": "1", "agent": "Grafana"},
        "portal": {"kind": SourceKind.PORTAL, "watchdog": "", "agent": "opsportal"},
    }
    for name, given in facts.items():
        common = {"agent": "Alertmanager/0.27.0", "payload_version": "4", "last_post_at": recently}
        late = {"last_post_at": moment - timedelta(minutes=31)} if name == "edge" else {}
        AlertSource.objects.get_or_create(pk=name, defaults={**common, **late, "created_by": ANA, **given})


def _ago(moment: datetime, minutes: float) -> datetime:
    return moment - timedelta(minutes=minutes)


def _alerts(moment: datetime) -> list[Made]:
    return [*_of_other_days(moment), *_of_services(moment), *_of_machines(moment), *_over(moment)]


def _of_other_days(moment: datetime) -> list[Made]:
    """What the alerts of tonight have come after."""
    return [
        Made(
            *("OrderApiErrors", "eu1", "warning", 3 * 24 * 60, "Orders failed for some customers"),
            state=State.RESOLVED,
            verdicts=((3 * 24 * 60 - 9, "recovering"),),
            facts={
                "resolved_at": _ago(moment, 3 * 24 * 60 - 14),
                "proof": ALIVE,
                "ends_at": _ago(moment, 3 * 24 * 60 - 9),
            },
        ),
        Made(
            *("PaymentErrorsHigh", "eu1", "critical", 9 * 24 * 60, "9 % of the charges to midtrans failed"),
            {"service": "midtrans", "team": "payments", "instance": "gw-1:9100", "job": "gateway"},
            state=State.RESOLVED,
            steps=2,
            verdicts=((9 * 24 * 60 - 16, "recovering"),),
            events=((9 * 24 * 60 - 12, "acknowledged", "at it", {"until": None}),),
            facts={
                "resolved_at": _ago(moment, 9 * 24 * 60 - 21),
                "proof": ALIVE,
                "ends_at": _ago(moment, 9 * 24 * 60 - 16),
            },
        ),
    ]


def _of_services(moment: datetime) -> list[Made]:
    """What hurts: one open, one acknowledged, one recovering, one flapping."""
    return [
        Made(
            *("PaymentErrorsHigh", "eu1", "critical", 11.4, "82 % of the charges to midtrans fail"),
            {"service": "midtrans", "team": "payments", "instance": "gw-1:9100", "job": "gateway"},
            {
                "description": "82 % of 1,204 charges failed within five minutes, with HTTP 503 and time-outs.",
                "runbook_url": RUNBOOK,
            },
            steps=2,
            verdicts=((8.4, "repeated"), (5.4, "repeated"), (2.4, "repeated")),
        ),
        Made(
            *("BreakerOpen", "portal", "critical", 6.1, "The breaker of midtrans is open: its calls fail"),
            {"service": "midtrans"},
            events=((5.2, "acknowledged", "calling midtrans, ticket 4411", {"until": None}),),
            facts={"acknowledged_at": _ago(moment, 5.2), "acknowledged_by": ANA, "assignee": ANA},
        ),
        Made(
            *("WhatsappSlow", "eu1", "warning", 21, "p95 of whatsapp is 6.4 s"),
            {"service": "whatsapp", "job": "gateway", "instance": "gw-2:9100"},
            state=State.RECOVERING,
            verdicts=((1.8, "recovering"),),
            facts={
                "normal_since": _ago(moment, 1.8),
                "ends_at": _ago(moment, 1.8),
                "last_resolved_at": _ago(moment, 1.8),
            },
        ),
        Made(
            *("QueueLagHigh", "grafana", "warning", 58, "The lag of the order queue is above 5 min"),
            {"job": "orders", "queue": "orders", "cluster": "eu1"},
            verdicts=((44, "recovering"), (42, "refired"), (29, "recovering"), (27, "refired"), (14, "flapped")),
            events=((40, "noted", "Flaps since the deployment of 02:10.", {}),),
            facts={
                "flapping": True,
                "fired_again": 3,
                "refired": [_ago(moment, back).isoformat() for back in (42, 27, 14)],
            },
        ),
    ]


def _of_machines(moment: datetime) -> list[Made]:
    """Suppressed, source-blind, snoozed, untouched, and one whose every text is hostile."""
    return [
        Made(
            *("NodeDiskFilling", "eu1", "warning", 190, "/var of db-2 is full in 9 h"),
            {"instance": "db-2:9100", "job": "node", "mountpoint": "/var"},
            facts={"suppressed": True, "suppressed_by": ["silence 3f6c1a52"]},
        ),
        Made(
            *("EdgeLatency", "edge", "warning", 40, "The edge answers in 2.1 s"),
            {"instance": "edge-jkt-1", "job": "edge"},
            state=State.RECOVERING,
            verdicts=((17, "recovering"),),
            facts={"normal_since": _ago(moment, 17), "ends_at": _ago(moment, 17), "last_resolved_at": _ago(moment, 17)},
        ),
        Made(
            *("CertExpiresSoon", "eu1", "notice", 26 * 60, "The certificate of api.example ends in 12 days"),
            {"instance": "api.example", "job": "probe"},
            events=((300, "snoozed", "renewed on Monday", {"until": (moment + timedelta(hours=9)).isoformat()}),),
            facts={"snoozed_until": moment + timedelta(hours=9), "assignee": "budi@example.com"},
        ),
        Made(
            *("BruteForceLogin", "grafana", "security", 2.2, "412 failed log-ins from one network in 5 min"),
            {"job": "auth", "network": "203.0.113.0/24"},
        ),
        Made(
            *(
                "<script>alert(1)</script>",
                "grafana",
                "P9",
                76,
                "Disk of \u202egpj.exe\u202c is {{ 7*7 }} % full\r\nBcc: x",
            ),
            {"instance": "web-\x003", "job": "<b>node</b>", "__proto__": "x"},
            {"runbook_url": "javascript:alert(document.domain)", "description": "<img src=x onerror=alert(1)> %s {x}"},
            facts={"generator_url": "javascript:alert(1)"},
        ),
    ]


def _over(moment: datetime) -> list[Made]:
    """Resolved tonight: one inferred, one that told people late."""
    return [
        Made(
            *("ReplicaLag", "eu1", "warning", 130, "The replica is 40 s behind"),
            {"service": "database", "instance": "db-3:9187", "job": "postgres"},
            state=State.RESOLVED,
            facts={
                "inferred": True,
                "absent_since": _ago(moment, 70),
                "normal_since": _ago(moment, 70),
                "resolved_at": _ago(moment, 62),
                "proof": [
                    ["told_by_source", False],
                    ["normal_for", True],
                    ["source_alive", True],
                    ["confirmed_by_api", True],
                ],
            },
        ),
        Made(
            *("SmtpQueueLong", "eu1", "warning", 95, "2,300 mails wait"),
            {"service": "smtp", "job": "mail", "instance": "mx-1"},
            state=State.RESOLVED,
            verdicts=((48, "recovering"),),
            facts={
                "resolved_at": _ago(moment, 43),
                "proof": ALIVE,
                "ends_at": _ago(moment, 48),
                "normal_since": _ago(moment, 48),
            },
            late=14,
        ),
    ]


class _Night:
    """Rows of one alert after another, each with its post, its story and its escalation."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment
        self.version, self.routing = in_force()
        self.directory = Directory(moment)
        self.services = set(Service.objects.values_list("pk", flat=True))
        self.newest: dict[tuple[str, str], Episode] = {}

    def at(self, minutes: float) -> datetime:
        return self.moment - timedelta(minutes=minutes)

    def add(self, made: Made) -> None:
        labels = {"alertname": made.name, "severity": made.severity, **made.labels}
        began = self.at(made.began)
        delivery = self._delivery(made, labels, "firing", began)
        episode = self._episode(made, labels, began)
        self._line(episode, delivery, "firing", "opened", began)
        for minutes, verdict in made.verdicts:
            status = "resolved" if "recovering" in verdict else "firing"
            at = self.at(minutes)
            self._line(episode, self._delivery(made, labels, status, at), status, verdict, at)
        for minutes, kind, text, detail in made.events:
            EpisodeEvent.objects.create(
                episode=episode, at=self.at(minutes), kind=kind, actor=ANA, text=text, detail=detail
            )
        self._escalation(made, episode, delivery)

    def _episode(self, made: Made, labels: dict[str, str], began: datetime) -> Episode:
        mark = fingerprint_of(labels)
        service = labels.get("service", "")
        heard = [minutes for minutes, verdict in made.verdicts if verdict in ("repeated", "refired", "flapped")]
        given: dict[str, Any] = {"last_fired_at": self.at(min(heard)) if heard else began, **made.facts}
        episode = Episode.objects.create(
            source_id=made.source,
            fingerprint=mark,
            name=made.name,
            severity=severity_of(labels),
            state=made.state,
            labels=_storable(labels),
            annotations=_storable({"summary": made.summary, **made.annotations}),
            service=service if service in self.services else "",
            starts_at=began,
            first_seen_at=began,
            previous=self.newest.get((made.source, mark)),
            **given,
        )
        self.newest[made.source, mark] = episode
        return episode

    def _delivery(self, made: Made, labels: dict[str, str], status: str, at: datetime) -> AlertDelivery:
        alert = {
            "status": status,
            "labels": labels,
            "annotations": {"summary": made.summary, **made.annotations},
            "startsAt": self.at(made.began).isoformat(),
            "endsAt": at.isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
            "fingerprint": fingerprint_of(labels),
        }
        group = f'{{}}:{{alertname="{visible_line(made.name, 60)}"}}'
        body = json.dumps(
            {"version": "4", "groupKey": group, "status": status, "receiver": "opsportal", "alerts": [alert]}
        )
        raw = body.encode()
        return AlertDelivery.objects.create(
            source_id=made.source,
            received_at=at,
            body=raw,
            size=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
            headers={"User-Agent": "Alertmanager/0.27.0", "Content-Type": "application/json"},
            address="10.0.0.7",
            state=DeliveryState.PROCESSED,
            processed_at=at + timedelta(milliseconds=140),
            receiver="opsportal",
            group_key=group,
            external_url="http://alertmanager.example:9093",
            alerts=1,
        )

    def _line(self, episode: Episode, delivery: AlertDelivery, status: str, verdict: str, at: datetime) -> None:
        AlertLog.objects.create(
            delivery=delivery,
            at=at,
            source=episode.source_id,
            fingerprint=episode.fingerprint,
            status=status,
            name=episode.name,
            severity=episode.severity,
            starts_at=episode.starts_at,
            ends_at=at if status == "resolved" else None,
            verdict=verdict,
            episode=episode,
        )

    def _escalation(self, made: Made, episode: Episode, delivery: AlertDelivery) -> None:
        route = self.routing.route_of(facts_of(episode))
        policy = frozen(self.routing, route)
        # What was quiet from its beginning was told to nobody.
        taken = 0 if episode.suppressed else min(made.steps, len(route.steps))
        left = episode.state in OPEN_STATES and taken < len(route.steps)
        due = episode.first_seen_at + timedelta(seconds=route.steps[taken].after) if left else None
        running = Escalation.objects.create(
            episode=episode,
            route=route.name,
            routing=self.version,
            policy=policy,
            started_at=episode.first_seen_at,
            step=taken,
            next_at=due,
            ended_at=episode.resolved_at,
        )
        for number in range(taken):
            planned = episode.first_seen_at + timedelta(seconds=route.steps[number].after)
            for target in route.steps[number].notify:
                self._tell(made, running, PAGE, number, target, planned, delivery)
        if episode.resolved_at is not None:
            for target in route.steps[0].notify:
                self._tell(made, running, RESOLVED, taken, target, episode.resolved_at, delivery)

    def _tell(
        self,
        made: Made,
        running: Escalation,
        kind: str,
        step: int,
        target: str,
        planned: datetime,
        delivery: AlertDelivery,
    ) -> None:
        _route, targets, owners = thawed(running.policy)
        way = self.directory.way(target, targets, owners, running.episode)
        decided = planned + timedelta(seconds=made.late or 2)
        message = None if way.problem else self._message(running.episode, way.service, way.recipient, decided)
        why: dict[str, Any] = {
            "route": running.route,
            "match": running.policy["route"]["match"],
            "target": running.policy["targets"][target],
            "delivery": delivery.pk,
        }
        Notification.objects.create(
            escalation=running,
            step=step,
            kind=kind,
            target=target,
            service=way.service,
            recipient=way.recipient,
            outcome=NotificationOutcome.IMPOSSIBLE if way.problem else NotificationOutcome.QUEUED,
            message_id=message.pk if message else None,
            planned_at=planned,
            decided_at=decided,
            late_s=made.late,
            fate="sent" if message else "",
            fate_at=decided if message else None,
            why={**why, "problem": way.problem} if way.problem else why,
        )

    def _message(self, episode: Episode, service: str, recipient: str, at: datetime) -> Message:
        sent = at + timedelta(seconds=1)
        return Message.objects.create(
            service_id=service,
            recipient=recipient,
            json=json.dumps({"text": f"[{episode.severity.upper()}] {visible_line(episode.name, 100)}"}),
            priority=9,
            ordering_key=f"opsportal-episode-{episode.pk}",
            source="alerts",
            status=MessageStatus.SENT,
            attempt_count=1,
            attempt_total=1,
            created_at=at,
            sent_at=sent,
            settled_at=sent,
        )


def _storable(given: dict[str, str]) -> dict[str, str]:
    """As the reader of posts keeps texts."""
    return {storable(name): storable(value) for name, value in given.items()}

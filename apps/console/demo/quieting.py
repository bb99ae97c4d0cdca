"""Silences and maintenance windows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from apps.alerts.episodes import State
from apps.alerts.fingerprint import fingerprint_of
from apps.alerts.models import (
    Episode,
    EpisodeEvent,
    Escalation,
    Maintenance,
    Silence,
    SilenceState,
)
from apps.alerts.policies import facts_of, frozen, in_force
from apps.alerts.silencing import matchers_of

ANA: Final = "ana@example.com"
BUDI: Final = "budi@example.com"
ACTIVE: Final = "7d1f6c1e-5b0a-4b57-9c3f-0a51b2d7c001"


def make(moment: datetime) -> None:
    """Made up as of ``moment``; the same moment gives the same data."""
    _windows(moment)
    _silences(moment)


def _windows(moment: datetime) -> None:
    disks = _window(
        moment, -40, 80, {"job": "node", "instance": ["db-4:9100", "db-5:9100"]}, "New disks in db-4 and db-5"
    )
    _window(
        moment, 60 * 20, 60 * 22, {"service": "database", "severity": ["warning", "notice"]}, "Upgrade of PostgreSQL"
    )
    _window(moment, -60 * 30, -60 * 28, {"instance": "~edge-.*"}, "The edge moved to another rack")
    early = _window(moment, -60 * 52, -60 * 44, {"service": "smtp"}, "Relay replaced")
    Maintenance.objects.filter(pk=early.pk).update(ended_at=moment - timedelta(hours=47), ended_by=BUDI)
    for instance, minutes in (("db-4:9100", 31), ("db-5:9100", 12)):
        labels = {"alertname": "NodeDown", "severity": "warning", "instance": instance, "job": "node"}
        episode = _fires(moment, labels, minutes, f"{instance.partition(':')[0]} does not answer")
        Escalation.objects.filter(episode=episode).update(held_by=disks)
        detail = {"maintenance": disks.pk, "until": disks.ends_at.isoformat(), "step": 0}
        at = episode.first_seen_at + timedelta(seconds=3)
        EpisodeEvent.objects.create(episode=episode, kind="held", at=at, text=disks.reason, detail=detail)


def _window(moment: datetime, since: int, until: int, match: dict[str, Any], reason: str) -> Maintenance:
    return Maintenance.objects.create(
        match=match,
        starts_at=moment + timedelta(minutes=since),
        ends_at=moment + timedelta(minutes=until),
        reason=reason,
        created_by=ANA,
        created_at=moment + timedelta(minutes=min(since, 0) - 95),
    )


def _silences(moment: datetime) -> None:
    lag = {"alertname": "BackupOld", "severity": "warning", "instance": "vault-1", "job": "backup"}
    quiet = _fires(moment, lag, 150, "The last backup is 27 h old", suppressed=True, suppressed_by=[ACTIVE])
    _silence(moment, quiet, 130, 110, "The tape robot is mended at six", state=SilenceState.ACTIVE, remote_id=ACTIVE)
    fan = {"alertname": "FanSlow", "severity": "info", "instance": "rack-7", "job": "ipmi"}
    waiting = _fires(moment, fan, 9, "A fan of rack-7 turns at 900 rpm")
    problem = "http://alertmanager.example:9093 answered 503: Service Unavailable"
    tried = {"problem": problem, "tries": 2, "next_try_at": moment + timedelta(seconds=41)}
    _silence(moment, waiting, 1, 479, "Spare part is ordered", state=SilenceState.WANTED, **tried)
    over = Episode.objects.filter(source="eu1", state=State.RESOLVED).order_by("pk").last()
    if over is not None:
        ended = {"ended_at": over.resolved_at, "ended_by": "resolved", "remote_id": "3b0e6f0a"}
        _silence(moment, over, 90, 30, "Known, the relay is slow", state=SilenceState.EXPIRED, **ended)


def _silence(moment: datetime, episode: Episode, ago: int, left: int, reason: str, **given: Any) -> None:
    made, until = moment - timedelta(minutes=ago), moment + timedelta(minutes=left)
    next_try = {"next_try_at": None if "ended_at" in given else moment + timedelta(seconds=30)}
    Silence.objects.create(
        episode=episode,
        source=episode.source,
        matchers=matchers_of(episode.labels),
        reason=reason,
        created_by=BUDI,
        created_at=made,
        until=until,
        **{**next_try, **given},
    )
    detail = {"silence": 0, "until": until.isoformat()}
    EpisodeEvent.objects.create(episode=episode, kind="silenced", at=made, actor=BUDI, text=reason, detail=detail)


def _fires(moment: datetime, labels: dict[str, str], minutes: int, summary: str, **given: Any) -> Episode:
    began = moment - timedelta(minutes=minutes)
    version, routing = in_force()
    episode = Episode.objects.create(
        source_id="eu1",
        fingerprint=fingerprint_of(labels),
        name=labels["alertname"],
        severity=labels["severity"],
        state=State.FIRING,
        labels=labels,
        annotations={"summary": summary},
        starts_at=began,
        first_seen_at=began,
        last_fired_at=began,
        **given,
    )
    route = routing.route_of(facts_of(episode))
    policy = frozen(routing, route)
    Escalation.objects.create(
        episode=episode, route=route.name, routing=version, policy=policy, started_at=began, next_at=began
    )
    return episode

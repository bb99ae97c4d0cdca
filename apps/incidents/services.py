"""Running an incident. Each verb is one transaction with its line in the incident's story and its audit row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.audit.services import changed_fields
from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid
from apps.incidents.holding import (
    alerts_of,
    clean_text,
    clean_time,
    clean_title,
    held,
    held_open,
    noted,
    over_words,
    refuse_shared,
    seen_by,
    still,
    written,
)
from apps.incidents.lifecycle import may_become, normal_since
from apps.incidents.linking import add_episodes, add_services, episodes_of, known_services
from apps.incidents.models import (
    OPEN_STATES,
    Incident,
    IncidentRole,
    Origin,
    RoleName,
    Rule,
    Severity,
    State,
    StatusUpdate,
    UpdateKind,
)
from apps.incidents.telling import tell

log = structlog.get_logger(__name__)


@transaction.atomic
def open_incident(
    *,
    actor: Actor,
    title: str,
    severity: str,
    summary: str = "",
    started_at: datetime | None = None,
    episode_ids: Iterable[int] = (),
    services: Iterable[str] = (),
    rule: Rule | None = None,
    tell_people: bool = True,
) -> Incident:
    """Open one by hand, from alerts, or for a rule.

    It began with its earliest alert unless ``started_at`` says otherwise. Raises Invalid, and Conflict when an alert
    belongs to another open incident (``detail["incident"]``) or the rule has one already.
    """
    require(actor, INCIDENTS_WORK)
    now, wanted = database_now(), list(episode_ids)
    episodes = episodes_of(wanted) if wanted else []
    incident = Incident(
        title=clean_title(title),
        summary=clean_text(summary, "summary"),
        severity=_known_severity(severity),
        origin=Origin.RULE if rule else Origin.ALERTS if episodes else Origin.HAND,
        rule=rule,
        started_at=clean_time(started_at, now) if started_at else now,
        started_by_hand=started_at is not None,
        detected_at=now,
        created_by=str(actor)[:200],
    )
    named = known_services(services)
    seen_by(incident, actor, now)
    _saved_new(incident)
    add_services(incident, named, str(actor), now)
    ids = add_episodes(incident, episodes, str(actor), now)
    incident.save()
    facts = {"severity": incident.severity, "origin": incident.origin, "rule": rule.name if rule else ""}
    update = written(incident, UpdateKind.OPENED, at=now, actor=actor, text=incident.summary, **facts)
    if tell_people:
        _tell(incident, update, "Incident", now)
    noted(incident, "incident.opened", "opened", actor=actor, after={"title": incident.title, "alerts": ids, **facts})
    refuse_shared(ids, incident)
    log.info("incidents.opened", incident_id=incident.pk, severity=incident.severity, origin=incident.origin)
    return incident


def _saved_new(incident: Incident) -> None:
    try:
        with transaction.atomic():
            incident.save(force_insert=True)
    except IntegrityError:
        raise Conflict(_("The rule {name} has an open incident already.").format(name=incident.rule_id)) from None


@transaction.atomic
def say(
    *,
    incident_id: int,
    actor: Actor,
    text: str = "",
    state: str = "",
    seen: str | None = None,
    tell_people: bool = False,
) -> StatusUpdate:
    """A status update, with or without another state of an open incident. ``seen`` is the state the person looked at;
    Conflict when it is another one by now.
    """
    require(actor, INCIDENTS_WORK)
    incident, now = held_open(incident_id), database_now()
    still(incident, seen)
    wanted, said = state or incident.state, clean_text(text)
    if wanted not in OPEN_STATES:
        raise Invalid.field("state", _("must be one of {known}").format(known=", ".join(OPEN_STATES)))
    before = incident.state
    if wanted == before and not said:
        raise Invalid.field("text", _("say something, or choose another state"))
    _become(incident, wanted, now)
    seen_by(incident, actor, now)
    incident.save()
    detail = {"from": before} if wanted != before else {}
    update = written(incident, UpdateKind.SAID, at=now, actor=actor, text=said, **detail)
    if tell_people:
        _tell(incident, update, f"Update ({incident.state})", now)
    change = {"before": {"state": before}, "after": {"state": wanted}} if wanted != before else {}
    noted(incident, "incident.updated", "state" if change else "said", actor=actor, reason=said, **change)
    return update


def _become(incident: Incident, wanted: str, now: datetime) -> None:
    """Mended when it is first watched; not mended after all when people look for the cause again."""
    incident.state = wanted
    if wanted == State.MONITORING:
        incident.mitigated_at = incident.mitigated_at or now
    elif wanted in OPEN_STATES:
        incident.mitigated_at = None


@transaction.atomic
def resolve(
    *,
    incident_id: int,
    actor: Actor,
    text: str = "",
    seen: str | None = None,
    tell_people: bool = True,
    by_itself: bool = False,
) -> Incident:
    """It is over. It was mended when its alerts fell silent, unless somebody said so before."""
    require(actor, INCIDENTS_WORK)
    incident, now = held_open(incident_id), database_now()
    still(incident, seen)
    alerts = list(alerts_of(incident).values())
    silent = normal_since(alerts)
    incident.mitigated_at = max(incident.mitigated_at or silent or now, incident.started_at)
    before, incident.state, incident.resolved_at = incident.state, State.RESOLVED, now
    seen_by(incident, actor, now)
    incident.save()
    firing = sum(alert.firing for alert in alerts)
    said = clean_text(text)
    update = written(
        incident,
        UpdateKind.RESOLVED,
        at=now,
        actor=actor,
        text=said,
        by_itself=by_itself,
        firing=firing,
        **{"from": before},
    )
    if tell_people:
        _tell(incident, update, "Incident", now, over=True)
    change = {"before": {"state": before}, "after": {"state": incident.state, "firing": firing}}
    noted(incident, "incident.resolved", "resolved", actor=actor, reason=said, **change)
    log.info("incidents.resolved", incident_id=incident.pk, by_itself=by_itself)
    return incident


@transaction.atomic
def reopen(
    *, incident_id: int, actor: Actor, reason: str, episode_id: int | None = None, tell_people: bool = True
) -> Incident:
    """It was not over. Raises Conflict for one that is open or merged, or whose rule has opened another."""
    require(actor, INCIDENTS_WORK)
    incident, now = held(incident_id), database_now()
    said = clean_text(reason, "reason", required=True)
    if not may_become(incident.state, State.INVESTIGATING) or incident.state in OPEN_STATES:
        raise Conflict(_not_reopened(incident))
    incident.state, incident.resolved_at, incident.mitigated_at = State.INVESTIGATING, None, None
    incident.reopened += 1
    try:
        with transaction.atomic():
            incident.save()
    except IntegrityError:
        raise Conflict(
            _("The rule {name} has opened another incident since: work there.").format(name=incident.rule_id)
        ) from None
    update = written(incident, UpdateKind.REOPENED, at=now, actor=actor, text=said, episode=episode_id)
    if tell_people:
        _tell(incident, update, "Opened again: incident", now)
    noted(incident, "incident.reopened", "reopened", actor=actor, reason=said, after={"state": incident.state})
    refuse_shared(list(incident.links.values_list("episode_id", flat=True)), incident)
    return incident


def _not_reopened(incident: Incident) -> str:
    if incident.state == State.MERGED:
        return over_words(incident)
    return _("INC-{number} is open.").format(number=incident.pk)


@transaction.atomic
def change_severity(
    *, incident_id: int, actor: Actor, severity: str, reason: str = "", seen: str | None = None
) -> Incident:
    """``seen`` is the severity the person looked at."""
    require(actor, INCIDENTS_WORK)
    incident, now = held_open(incident_id), database_now()
    wanted, before = _known_severity(severity), incident.severity
    if seen is not None and seen != before:
        text = _("INC-{number} is {severity} by now: somebody changed it meanwhile. Look again before you decide.")
        raise Conflict(text.format(number=incident.pk, severity=before.upper()))
    if wanted == before:
        raise Invalid.field("severity", _("It is {severity} already.").format(severity=before.upper()))
    incident.severity = wanted
    seen_by(incident, actor, now)
    incident.save(update_fields=["severity", "acknowledged_at"])
    said = clean_text(reason, "reason")
    written(incident, UpdateKind.SEVERITY, at=now, actor=actor, text=said, **{"from": before, "to": wanted})
    change = {"before": {"severity": before}, "after": {"severity": wanted}}
    noted(incident, "incident.severity_changed", "changed", actor=actor, reason=said, **change)
    return incident


@transaction.atomic
def change(
    *, incident_id: int, actor: Actor, title: str, summary: str = "", started_at: datetime | None = None
) -> Incident:
    """Correct what it is called, what it is about, and when it began; also after it is over, for the post-mortem."""
    require(actor, INCIDENTS_WORK)
    incident, now = held(incident_id), database_now()
    if incident.state == State.MERGED:
        raise Conflict(over_words(incident))
    before = _correctable(incident)
    began_before = incident.started_at
    incident.title, incident.summary = clean_title(title), clean_text(summary, "summary")
    if started_at is not None and started_at != incident.started_at:
        _start_at(incident, started_at, now)
    was, became = changed_fields(before, _correctable(incident))
    if not became:
        return incident
    seen_by(incident, actor, now)
    incident.save()
    if "started_at" in became:
        times = {"from": began_before.isoformat(), "to": incident.started_at.isoformat()}
        written(incident, UpdateKind.STARTED, at=now, actor=actor, **times)
    noted(incident, "incident.changed", "changed", actor=actor, before=was, after=became)
    return incident


def _start_at(incident: Incident, at: datetime, now: datetime) -> None:
    incident.started_at, incident.started_by_hand = clean_time(at, now), True
    if incident.resolved_at is not None and at >= incident.resolved_at:
        raise Invalid.field("started_at", _("must be before it was resolved"))
    incident.collected_at = None


def _correctable(incident: Incident) -> dict[str, str]:
    return {"title": incident.title, "summary": incident.summary, "started_at": incident.started_at.isoformat()}


@transaction.atomic
def assign_role(
    *, incident_id: int, role: str, person: str, actor: Actor, seen: str | None = None
) -> IncidentRole | None:
    """Give a role to somebody, or to nobody (empty). ``seen`` is who held it when the person looked."""
    require(actor, INCIDENTS_WORK)
    incident, now = held_open(incident_id), database_now()
    if role not in RoleName.values:
        raise Invalid.field("role", _("must be one of {known}").format(known=", ".join(RoleName.values)))
    if person and not User.objects.filter(email=person, is_active=True).exists():
        raise Invalid.field("person", _("{person} is nobody who may log in here.").format(person=person))
    current = IncidentRole.objects.filter(incident=incident, role=role).first()
    before = current.person if current else ""
    if seen is not None and seen != before:
        raise Conflict(_taken(role, before))
    if person == before:
        return current
    made = _set_role(incident, role, person, now)
    seen_by(incident, actor, now)
    incident.save(update_fields=["acknowledged_at"])
    written(incident, UpdateKind.ROLE, at=now, actor=actor, role=role, **{"from": before, "to": person})
    noted(incident, "incident.role_changed", "roles", actor=actor, before={role: before}, after={role: person})
    return made


def _taken(role: str, who: str) -> str:
    name = RoleName(role).label
    if not who:
        return _("Nobody holds the role {role} any more: it was given up meanwhile.").format(role=name)
    return _("{who} has taken the role {role} meanwhile.").format(who=who, role=name)


def _set_role(incident: Incident, role: str, person: str, now: datetime) -> IncidentRole | None:
    IncidentRole.objects.filter(incident=incident, role=role).delete()
    return IncidentRole.objects.create(incident=incident, role=role, person=person, since=now) if person else None


def _known_severity(severity: str) -> str:
    if severity not in Severity.values:
        raise Invalid.field("severity", _("must be one of {known}").format(known=", ".join(Severity.values)))
    return severity


def _tell(incident: Incident, update: StatusUpdate, word: str, now: datetime, *, over: bool = False) -> None:
    headline = f"{word} INC-{incident.pk}: {incident.title}"
    update.told = tell(incident, headline=headline, text=update.text, now=now, over=over)
    update.save(update_fields=["told"])

"""The sweep: what opens, grows, opens again and ends by itself. Rows and the database's clock decide.

Two sweeps at once share the rules (SKIP LOCKED); behind that stand the one open incident of a rule and the one open
incident of an alert. What loses such a race is looked at again by the next sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.alerts.episodes import State as AlertState
from apps.alerts.models import Episode, Maintenance
from apps.alerts.notices import one_line
from apps.alerts.policies import facts_of as labels_of
from apps.core.actor import SYSTEM
from apps.core.db import database_now
from apps.core.errors import Conflict
from apps.incidents.holding import alerts_of
from apps.incidents.lifecycle import REOPEN_WITHIN, earliest, over_since, reopens, resolves_itself_at
from apps.incidents.linking import link_alerts
from apps.incidents.models import OPEN_STATES, Incident, IncidentEpisode, LeftOut, Origin, Rule, State, UpdateKind
from apps.incidents.rules import matcher
from apps.incidents.services import open_incident, reopen, resolve

log = structlog.get_logger(__name__)

BATCH: Final = 1000
# What a rule asks of the columns of an episode is asked of the database.
COLUMNS: Final = ("severity", "service", "source")


def sweep(now: datetime | None = None) -> int:
    """Returns how many incidents were changed."""
    at = now or database_now()
    changed = sum(apply_rule(name, at) for name in list(Rule.objects.filter(enabled=True).values_list("pk", flat=True)))
    changed += fired_again(at) + followed(at)
    changed += acknowledged()
    return changed + resolve_over(at)


def eligible(now: datetime) -> QuerySet[Episode]:
    """Alerts that may be an incident's by themselves: they fire, are to be told of, and are no heartbeat."""
    told = Q(snoozed_until__isnull=True) | Q(snoozed_until__lte=now)
    rows = Episode.objects.filter(told, state=AlertState.FIRING, suppressed=False)
    left_out = LeftOut.objects.filter(episode=OuterRef("pk"))
    return rows.exclude(name=F("source__watchdog")).exclude(Exists(left_out))


def maintained(now: datetime) -> Callable[[Episode], bool]:
    """Is an alert within a maintenance window? Nothing is opened for what people are working on."""
    windows = Maintenance.objects.filter(starts_at__lte=now, ends_at__gt=now, ended_at__isnull=True)
    routes = [matcher(window.match) for window in windows]
    return lambda row: any(route.matches(labels_of(row)) for route in routes)


# --- by a rule -----------------------------------------------------------------------------------


@transaction.atomic
def apply_rule(name: str, now: datetime) -> int:
    """Open an incident, or let alerts join the open one."""
    skip = connection.features.has_select_for_update_skip_locked
    rule = Rule.objects.select_for_update(skip_locked=skip).filter(pk=name, enabled=True).first()
    found = _taken_by(rule, now) if rule else []
    if rule is None or not found:
        return 0
    running = Incident.objects.filter(rule=rule, state__in=OPEN_STATES).values_list("pk", flat=True).first()
    ids = [row.pk for row in found]
    try:
        if running is not None:
            return min(1, link_alerts(incident_id=running, episode_ids=ids, actor=SYSTEM))
        if len(found) >= rule.at_least:
            title = title_of(found)
            open_incident(actor=SYSTEM, title=title, severity=rule.severity, episode_ids=ids, rule=rule)
            return 1
    except Conflict as error:
        log.info("incidents.rule_lost_a_race", rule=name, error=error.message)
    return 0


def _taken_by(rule: Rule, now: datetime) -> list[Episode]:
    """Firing long enough, of no incident yet, and matched; at most a batch, the longest firing first."""
    route = matcher(rule.match)
    linked = IncidentEpisode.objects.filter(episode=OuterRef("pk"))
    rows = _narrowed(eligible(now), rule.match).filter(first_seen_at__lte=now - timedelta(seconds=rule.after_s))
    found: list[Episode] = []
    quiet = maintained(now)
    for row in rows.exclude(Exists(linked)).order_by("pk").iterator(chunk_size=BATCH):
        if route.matches(labels_of(row)) and not quiet(row):
            found.append(row)
        if len(found) == BATCH:
            break
    return found


def _narrowed(rows: QuerySet[Episode], match: Mapping[str, Any]) -> QuerySet[Episode]:
    for name in COLUMNS:
        given = match.get(name)
        texts = [given] if isinstance(given, str) else given
        if texts and not any(text.startswith("~") for text in texts):
            rows = rows.filter(**{f"{name}__in": texts})
    return rows


def title_of(episodes: list[Episode]) -> str:
    """What the longest firing of them says; people may call it something better."""
    first = min(episodes, key=lambda row: (row.first_seen_at, row.pk))
    said = one_line(first.annotations.get("summary", ""), 150) or one_line(first.name, 150) or "An alert without a name"
    rest = len(episodes) - 1
    return f"{said} (and {rest} more alerts)" if rest > 1 else f"{said} (and 1 more alert)" if rest else said


# --- again ---------------------------------------------------------------------------------------


def followed(now: datetime) -> int:
    """A new episode of an alert that belongs to an incident: it joins while that is open, and opens it again within
    :data:`REOPEN_WITHIN` of its end. Of a merged incident that is the one it lives on in.
    """
    linked = IncidentEpisode.objects.filter(episode=OuterRef("pk"))
    alive = Q(previous__incident_links__incident__state__in=OPEN_STATES)
    lately = Q(
        previous__incident_links__incident__state=State.RESOLVED,
        previous__incident_links__incident__resolved_at__gt=now - REOPEN_WITHIN - timedelta(hours=1),
    )
    rows = eligible(now).filter(alive | lately).exclude(Exists(linked)).order_by("pk").distinct()
    quiet = maintained(now)
    return sum(_follow(row) for row in rows[:BATCH] if not quiet(row))


def _follow(row: Episode) -> int:
    links = IncidentEpisode.objects.filter(episode=row.previous_id).select_related("incident")
    link = links.order_by("-incident").first()
    if link is None:
        return 0
    incident = link.incident
    try:
        if incident.state in OPEN_STATES:
            return link_alerts(incident_id=incident.pk, episode_ids=[row.pk], actor=SYSTEM)
        if incident.resolved_at is not None and reopens(incident.resolved_at, row.first_seen_at):
            _reopen_for(incident, row)
            return 1
    except Conflict as error:
        log.info("incidents.not_reopened", incident_id=incident.pk, error=error.message)
    return 0


@transaction.atomic
def _reopen_for(incident: Incident, row: Episode) -> None:
    reason = f"{one_line(row.name, 200)} fires again."
    reopen(incident_id=incident.pk, actor=SYSTEM, reason=reason, episode_id=row.pk)
    if not incident.links.filter(episode=row).exists():
        link_alerts(incident_id=incident.pk, episode_ids=[row.pk], actor=SYSTEM)


def fired_again(now: datetime) -> int:
    """A member that had fallen silent, or had not, when its incident was resolved, and fired anew since."""
    open_elsewhere = IncidentEpisode.objects.filter(episode=OuterRef("pk"), incident__state__in=OPEN_STATES)
    rows = eligible(now).filter(incident_links__incident__state=State.RESOLVED).exclude(Exists(open_elsewhere))
    quiet = maintained(now)
    return sum(_fire_again(row) for row in rows.order_by("pk").distinct()[:BATCH] if not quiet(row))


def _fire_again(row: Episode) -> int:
    link = row.incident_links.select_related("incident").order_by("-incident").first()
    if link is None or link.incident.resolved_at is None or not row.refired:
        return 0
    if datetime.fromisoformat(row.refired[-1]) <= link.incident.resolved_at:
        return 0
    try:
        _reopen_for(link.incident, row)
    except Conflict as error:
        log.info("incidents.not_reopened", incident_id=link.incident_id, error=error.message)
        return 0
    return 1


# --- acknowledged, over ---------------------------------------------------------------------------


def acknowledged() -> int:
    """An acknowledgement of an alert is the first sign of somebody at the incident."""
    waiting = Incident.objects.filter(state__in=OPEN_STATES, acknowledged_at__isnull=True).order_by("pk")[:BATCH]
    return sum(_acknowledge(incident) for incident in waiting)


def _acknowledge(incident: Incident) -> int:
    first = earliest(alert.acknowledged_at for alert in alerts_of(incident).values())
    if first is None:
        return 0
    rows = Incident.objects.filter(pk=incident.pk, acknowledged_at__isnull=True)
    return rows.update(acknowledged_at=max(first, incident.started_at))


def resolve_over(now: datetime) -> int:
    """Incidents that a rule opened and whose alerts have all been over for as long as the rule says."""
    rows = Incident.objects.filter(
        state__in=OPEN_STATES, origin=Origin.RULE, rule__resolve_after_s__isnull=False
    ).select_related("rule")
    return sum(_resolve_if_over(incident, now) for incident in rows.order_by("pk")[:BATCH])


def ends_at(incident: Incident) -> datetime | None:
    """When ``incident`` will end by itself if nothing happens; None if it will not, or not yet."""
    if incident.rule is None or incident.origin != Origin.RULE or reopened_by_hand(incident):
        return None
    return resolves_itself_at(over_since(alerts_of(incident).values()), incident.rule.resolve_after_s)


def reopened_by_hand(incident: Incident) -> bool:
    """Who opened it again decides when it is over."""
    if not incident.reopened:
        return False
    last = incident.updates.filter(kind=UpdateKind.REOPENED).first()
    return last is not None and last.actor != str(SYSTEM)


def _resolve_if_over(incident: Incident, now: datetime) -> int:
    due = ends_at(incident)
    if due is None or due > now:
        return 0
    try:
        text = "All its alerts are resolved and stayed so."
        resolve(incident_id=incident.pk, actor=SYSTEM, text=text, seen=incident.state, by_itself=True)
    except Conflict as error:
        log.info("incidents.changed_meanwhile", incident_id=incident.pk, error=error.message)
        return 0
    return 1

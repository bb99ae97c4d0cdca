"""Incidents as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db.models import Count
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.episodes import State as AlertState
from apps.alerts.models import Episode
from apps.alerts.notices import one_line
from apps.breakers.selectors import BreakerSnapshot
from apps.console.marks import INCIDENT, INCIDENT_SEVERITY, Mark, breaker_mark
from apps.console.selectors.letters import remembered
from apps.incidents.linking import DEPLOYMENT, SERVICE
from apps.incidents.models import (
    OPEN_STATES,
    Incident,
    IncidentEpisode,
    IncidentRole,
    IncidentThing,
    RoleName,
    StatusUpdate,
    UpdateKind,
)
from apps.incidents.selectors import open_incidents
from apps.outbox.models import DeadLetter, DeadLetterState
from apps.outbox.selectors import Backlog
from apps.postmortems.models import PostMortem

SHOWN_ALERTS: Final = 50
SHOWN_UPDATES: Final = 100
ALERT: Final[Mapping[str, Mark]] = {
    AlertState.FIRING: Mark("bad", gettext_lazy("FIRING")),
    AlertState.RECOVERING: Mark("warning", gettext_lazy("RECOVERING")),
    AlertState.RESOLVED: Mark("good", gettext_lazy("RESOLVED")),
}


def address(name: str, *args: object) -> str:
    """Empty while this portal has no such page."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""


# --- the list ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class IncidentRow:
    """``firing`` of ``alerts`` fire. ``ended_at`` is when it was over; None while it is open."""

    incident: Incident
    mark: Mark
    severity: Mark
    alerts: int = 0
    firing: int = 0
    services: list[str] = field(default_factory=list)
    commander: str = ""
    latest: StatusUpdate | None = None

    @property
    def is_open(self) -> bool:
        return self.incident.state in OPEN_STATES

    @property
    def lasted(self) -> float | None:
        """Seconds from start to end; None while it is open."""
        ended = self.incident.resolved_at
        return max(0.0, (ended - self.incident.started_at).total_seconds()) if ended else None


def marked(incident: Incident) -> IncidentRow:
    return IncidentRow(incident, INCIDENT[incident.state], INCIDENT_SEVERITY[incident.severity])


def incident_rows(incidents: Iterable[Incident]) -> list[IncidentRow]:
    """Each with what it is about, and what was said last of those that are open; a question per kind of thing,
    whatever the number of rows.
    """
    rows = {incident.pk: marked(incident) for incident in incidents}
    links = IncidentEpisode.objects.filter(incident__in=rows).values_list("incident_id", "episode__state")
    for incident_id, state, count in links.annotate(count=Count("pk")).order_by():
        rows[incident_id].alerts += count
        rows[incident_id].firing += count if state == AlertState.FIRING else 0
    things = IncidentThing.objects.filter(incident__in=rows, kind=SERVICE).order_by("ref")
    for incident_id, ref in things.values_list("incident_id", "ref"):
        rows[incident_id].services.append(ref)
    roles = IncidentRole.objects.filter(incident__in=rows, role=RoleName.COMMANDER)
    for incident_id, person in roles.values_list("incident_id", "person"):
        rows[incident_id].commander = person
    running = [number for number, row in rows.items() if row.is_open]
    if running:
        for update in StatusUpdate.objects.filter(incident__in=running).exclude(text="").order_by("at", "pk"):
            rows[update.incident_id].latest = update
    return list(rows.values())


def open_rows() -> list[IncidentRow]:
    return incident_rows(open_incidents())


# --- one of them -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AlertRow:
    episode: Episode
    mark: Mark
    name: str
    summary: str
    url: str


@dataclass(frozen=True, slots=True)
class RoleRow:
    role: str
    label: str
    person: str
    since: datetime | None


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service the incident is about, as it is now; ``letters`` are open ones that died since it began."""

    thing: IncidentThing
    mark: Mark | None
    waiting: int
    letters: int
    broken: bool


@dataclass(frozen=True, slots=True)
class UpdateRow:
    update: StatusUpdate
    title: str
    tone: str
    told: list[str]
    href: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the times of an incident; ``after`` is in seconds since it began."""

    label: str
    at: datetime
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    row: IncidentRow
    alerts: list[AlertRow]
    more_alerts: int
    services: list[ServiceRow]
    deployments: list[IncidentThing]
    roles: list[RoleRow]
    updates: list[UpdateRow]
    moments: list[Moment]
    merged: list[Incident]
    postmortem: PostMortem | None
    postmortem_url: str

    @property
    def over(self) -> bool:
        """Open, although no alert of it is any more."""
        return self.row.is_open and bool(self.alerts) and not self.unresolved

    @property
    def unresolved(self) -> int:
        return sum(alert.episode.state != AlertState.RESOLVED for alert in self.alerts) + self.more_alerts

    @property
    def waiting(self) -> int:
        return sum(service.waiting for service in self.services)

    @property
    def letters(self) -> int:
        return sum(service.letters for service in self.services)

    @property
    def broken(self) -> list[str]:
        return [service.thing.ref for service in self.services if service.broken]


def incident_page(
    incident: Incident, *, breakers: Mapping[str, BreakerSnapshot], backlog: Mapping[str, Backlog]
) -> IncidentPage:
    row = marked(incident)
    alerts = alert_rows(incident)
    row.alerts = len(alerts) if len(alerts) < SHOWN_ALERTS else incident.links.count()
    row.firing = sum(alert.episode.state == AlertState.FIRING for alert in alerts)
    things = list(incident.things.all())
    roles = role_rows(incident)
    row.commander = next((each.person for each in roles if each.role == RoleName.COMMANDER), "")
    row.services = [thing.ref for thing in things if thing.kind == SERVICE]
    postmortem = PostMortem.objects.filter(incident=incident).only("id", "incident_id", "title", "state").first()
    return IncidentPage(
        row=row,
        alerts=alerts,
        more_alerts=max(0, row.alerts - len(alerts)),
        services=service_rows(incident, [thing for thing in things if thing.kind == SERVICE], breakers, backlog),
        deployments=[thing for thing in things if thing.kind == DEPLOYMENT],
        roles=roles,
        updates=update_rows(incident),
        moments=moments_of(incident),
        merged=list(incident.merged.order_by("pk")),
        postmortem=postmortem,
        postmortem_url=address("postmortem", postmortem.pk) if postmortem else "",
    )


def alert_rows(incident: Incident) -> list[AlertRow]:
    """Those that fire first, then the newest."""
    rows = Episode.objects.filter(incident_links__incident=incident).defer("labels", "refired")
    order = {AlertState.FIRING.value: 0, AlertState.RECOVERING.value: 1}
    found = sorted(rows.order_by("-pk")[:SHOWN_ALERTS], key=lambda row: order.get(row.state, 2))
    return [alert_row(episode) for episode in found]


def alert_row(episode: Episode) -> AlertRow:
    name = one_line(episode.name, 200) or _("an alert without a name")
    summary = one_line(episode.annotations.get("summary", ""), 300)
    return AlertRow(episode, ALERT[AlertState(episode.state)], name, summary, address("alert", episode.pk))


def role_rows(incident: Incident) -> list[RoleRow]:
    held = {role.role: role for role in incident.roles.all()}
    return [
        RoleRow(
            role.value,
            str(role.label),
            held[role].person if role in held else "",
            held[role].since if role in held else None,
        )
        for role in RoleName
    ]


def service_rows(
    incident: Incident,
    things: list[IncidentThing],
    breakers: Mapping[str, BreakerSnapshot],
    backlog: Mapping[str, Backlog],
) -> list[ServiceRow]:
    letters = letters_since(incident, [thing.ref for thing in things])
    found = []
    for thing in things:
        state = str(breakers[thing.ref].state) if thing.ref in breakers else ""
        mark = breaker_mark(state) if state else None
        waits = backlog.get(thing.ref, Backlog()).waiting
        broken = state in ("OPEN", "HALF_OPEN", "FORCED_OPEN")
        found.append(ServiceRow(thing, mark, waits, letters.get(thing.ref, 0), broken))
    return found


def letters_since(incident: Incident, services: list[str]) -> dict[str, int]:
    """Open dead letters that died since it began, of its services; looked up every five seconds."""
    if not services:
        return {}
    key = f"console.incident.{incident.pk}.letters.{incident.started_at.timestamp()}.{len(services)}"
    found: dict[str, int] = remembered(key, 5, lambda: _letters_since(incident.started_at, services))
    return found


def _letters_since(start: datetime, services: list[str]) -> dict[str, int]:
    rows = DeadLetter.objects.filter(state=DeadLetterState.OPEN, service__in=services, died_at__gte=start)
    return dict(rows.order_by().values_list("service").annotate(count=Count("pk")))


def moments_of(incident: Incident) -> list[Moment]:
    times = (
        (_("Noticed"), incident.detected_at),
        (_("Somebody was at it"), incident.acknowledged_at),
        (_("Mended"), incident.mitigated_at),
        (_("Merged") if incident.merged_into_id else _("Resolved"), incident.resolved_at),
    )
    return [Moment(label, at, (at - incident.started_at).total_seconds()) for label, at in times if at is not None]


# --- what was said -------------------------------------------------------------------------------------

TONES: Final[Mapping[str, str]] = {
    UpdateKind.OPENED: "bad",
    UpdateKind.REOPENED: "bad",
    UpdateKind.RESOLVED: "good",
    UpdateKind.SEVERITY: "warning",
    UpdateKind.MERGED: "unknown",
}


def update_rows(incident: Incident) -> list[UpdateRow]:
    """Newest first."""
    return [update_row(update) for update in incident.updates.order_by("-at", "-pk")[:SHOWN_UPDATES]]


def update_row(update: StatusUpdate) -> UpdateRow:
    told = [" ".join(filter(None, (each.get("service"), each.get("recipient")))) for each in update.told]
    other = update.detail.get("other")
    tone = TONES.get(update.kind) or (INCIDENT[update.state].tone if "from" in update.detail else "info")
    return UpdateRow(
        update, title_of(update), tone, list(dict.fromkeys(told)), reverse("incident", args=[other]) if other else ""
    )


def title_of(update: StatusUpdate) -> str:
    """What was done, by whom, in the reader's language."""
    who, detail = update.actor, update.detail
    words = {
        UpdateKind.OPENED: _("Opened by {who}"),
        UpdateKind.SAID: _("{who} wrote"),
        UpdateKind.SEVERITY: _("{who} changed the severity from {before} to {after}"),
        UpdateKind.STARTED: _("{who} corrected when it began"),
        UpdateKind.TOOK_IN: _("{who} merged INC-{other} into this one"),
        UpdateKind.MERGED: _("{who} merged this into INC-{other}"),
        UpdateKind.RESOLVED: _("Resolved by {who}"),
        UpdateKind.REOPENED: _("Opened again by {who}"),
    }
    if update.kind == UpdateKind.ROLE:
        return _role_words(update)
    if update.kind == UpdateKind.SAID and "from" in detail:
        return _("{who}: {state}").format(who=who, state=update.get_state_display())
    if update.kind == UpdateKind.OPENED and detail.get("rule"):
        return _("Opened by the rule {rule}").format(rule=detail["rule"])
    if update.kind == UpdateKind.RESOLVED and detail.get("by_itself"):
        return _("Resolved by itself")
    return words[UpdateKind(update.kind)].format(
        who=who,
        before=str(detail.get("from", "")).upper(),
        after=str(detail.get("to", "")).upper(),
        other=detail.get("other", ""),
    )


def _role_words(update: StatusUpdate) -> str:
    role = RoleName(update.detail["role"]).label
    to = update.detail.get("to", "")
    if not to:
        return _("{who} gave up the role {role} of {before}").format(
            who=update.actor, role=role, before=update.detail.get("from", "")
        )
    if to == update.actor:
        return _("{who} took the role {role}").format(who=to, role=role)
    return _("{who} gave the role {role} to {to}").format(who=update.actor, role=role, to=to)

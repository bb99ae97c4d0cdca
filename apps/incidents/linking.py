"""Which alerts, services and deployments an incident is about."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from apps.alerts.models import Episode
from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Invalid, NotFound
from apps.incidents.holding import alerts_of, facts_of, held_open, noted, refuse_shared, seen_by
from apps.incidents.lifecycle import began, earliest
from apps.incidents.models import Incident, IncidentEpisode, IncidentThing, LeftOut, Origin
from apps.services.models import Service

SERVICE = "service"
DEPLOYMENT = "deployment"
KINDS = (SERVICE, DEPLOYMENT)
MOST_AT_ONCE = 1000


@transaction.atomic
def link_alerts(*, incident_id: int, episode_ids: Iterable[int], actor: Actor) -> int:
    """Returns how many are new. Raises Conflict when one belongs to another open incident."""
    require(actor, INCIDENTS_WORK)
    incident, now = held_open(incident_id), database_now()
    seen_by(incident, actor, now)
    episodes = episodes_of(episode_ids)
    added = add_episodes(incident, episodes, str(actor), now)
    LeftOut.objects.filter(incident=incident, episode__in=episodes).delete()
    incident.save()
    if added:
        noted(incident, "incident.linked", "linked", actor=actor, after={"alerts": added})
        refuse_shared(added, incident)
    return len(added)


@transaction.atomic
def unlink_alert(*, incident_id: int, episode_id: int, actor: Actor, reason: str = "") -> None:
    """Take an alert out of an open incident; no rule puts it back. When it began and was noticed follows those left."""
    require(actor, INCIDENTS_WORK)
    incident, now = held_open(incident_id), database_now()
    gone, _rows = IncidentEpisode.objects.filter(incident=incident, episode=episode_id).delete()
    if not gone:
        raise NotFound(_("This alert is not of INC-{number} any more.").format(number=incident.pk))
    LeftOut.objects.get_or_create(
        incident=incident, episode_id=episode_id, defaults={"at": now, "by": str(actor)[:200]}
    )
    seen_by(incident, actor, now)
    follow_those_left(incident)
    incident.save()
    noted(incident, "incident.unlinked", "linked", actor=actor, reason=reason, before={"alerts": [episode_id]})


@transaction.atomic
def add_thing(*, incident_id: int, kind: str, ref: str, actor: Actor) -> IncidentThing:
    """A service of the portal, or a deployment by whatever name it has."""
    require(actor, INCIDENTS_WORK)
    incident, now = held_open(incident_id), database_now()
    name = ref.strip()
    if kind not in KINDS:
        raise Invalid.field("kind", _("must be one of {known}").format(known=", ".join(KINDS)))
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid.field("ref", _("must be one line of at most 200 characters"))
    if kind == SERVICE and not Service.objects.filter(pk=name).exists():
        raise Invalid.field("ref", _("There is no service {name}.").format(name=name))
    thing, made = IncidentThing.objects.get_or_create(
        incident=incident, kind=kind, ref=name, defaults={"added_at": now, "added_by": str(actor)[:200]}
    )
    seen_by(incident, actor, now)
    incident.save(update_fields=["acknowledged_at"])
    if made:
        noted(incident, "incident.linked", "linked", actor=actor, after={kind: name})
    return thing


@transaction.atomic
def remove_thing(*, incident_id: int, thing_id: int, actor: Actor) -> None:
    require(actor, INCIDENTS_WORK)
    incident = held_open(incident_id)
    thing = IncidentThing.objects.filter(incident=incident, pk=thing_id).first()
    if thing is None:
        raise NotFound(_("This is not of INC-{number} any more.").format(number=incident.pk))
    thing.delete()
    noted(incident, "incident.unlinked", "linked", actor=actor, before={thing.kind: thing.ref})


def episodes_of(ids: Iterable[int]) -> list[Episode]:
    """In the order of their ids. Raises Invalid for none, too many, or one that is not there."""
    wanted = sorted(set(ids))
    if not wanted or len(wanted) > MOST_AT_ONCE:
        raise Invalid.field("alerts", _("choose 1 to {most} alerts").format(most=MOST_AT_ONCE))
    found = list(Episode.objects.filter(pk__in=wanted).order_by("pk"))
    missing = set(wanted) - {row.pk for row in found}
    if missing:
        raise Invalid.field("alerts", _("There is no alert {number}.").format(number=min(missing)))
    return found


def add_episodes(incident: Incident, episodes: list[Episode], who: str, now: datetime) -> list[int]:
    """Link what is not linked yet, with the services these alerts are of; times follow. Returns the ids that are new.

    Changes ``incident`` without saving it.
    """
    known = set(incident.links.filter(episode__in=episodes).values_list("episode_id", flat=True))
    new = [row for row in episodes if row.pk not in known]
    IncidentEpisode.objects.bulk_create(
        [IncidentEpisode(incident=incident, episode=row, added_at=now, added_by=who[:200]) for row in new],
        ignore_conflicts=True,
    )
    add_services(incident, {row.service for row in new if row.service}, who, now)
    follow(incident, new)
    return [row.pk for row in new]


def add_services(incident: Incident, names: Iterable[str], who: str, now: datetime) -> None:
    known = Service.objects.filter(pk__in=list(names)).order_by("pk").values_list("pk", flat=True)
    things = [
        IncidentThing(incident=incident, kind=SERVICE, ref=name, added_at=now, added_by=who[:200]) for name in known
    ]
    IncidentThing.objects.bulk_create(things, ignore_conflicts=True)


def known_services(names: Iterable[str]) -> list[str]:
    """Raises Invalid for one that is no service."""
    wanted = list(dict.fromkeys(names))
    known = set(Service.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    for name in wanted:
        if name not in known:
            raise Invalid.field("services", _("There is no service {name}.").format(name=name))
    return wanted


def follow_those_left(incident: Incident) -> None:
    """When it began and was noticed, without what was taken out. One that a person opened did so at the latest."""
    alerts = list(alerts_of(incident).values())
    opened = [incident.created_at] if incident.origin == Origin.HAND or not alerts else []
    if not incident.started_by_hand:
        incident.started_at = earliest([*opened, *map(began, alerts)]) or incident.started_at
    noticed = earliest([*opened, *(alert.first_seen_at for alert in alerts)])
    incident.detected_at = noticed or incident.detected_at


def follow(incident: Incident, episodes: list[Episode]) -> None:
    """Earlier alerts make it begin, be noticed and be acknowledged earlier; a start that a person set stays."""
    alerts = list(facts_of(episodes).values())
    if not incident.started_by_hand:
        incident.started_at = earliest([incident.started_at, *map(began, alerts)]) or incident.started_at
    noticed = earliest([incident.detected_at, *(alert.first_seen_at for alert in alerts)])
    incident.detected_at = noticed or incident.detected_at
    incident.acknowledged_at = earliest([incident.acknowledged_at, *(alert.acknowledged_at for alert in alerts)])

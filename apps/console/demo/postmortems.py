"""Post-mortems and what was promised in them."""

from __future__ import annotations

from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any, Final

from apps.incidents.models import Incident, IncidentThing
from apps.outbox.models import DeliveryMinute
from apps.outbox.stats import empty_histogram
from apps.postmortems.drafting import drafted
from apps.postmortems.facts import gather
from apps.postmortems.joining import look_again
from apps.postmortems.models import ActionItem, PostMortem, PostMortemVersion, State
from apps.postmortems.sections import tidied, words_of

ANA, BUDI, LEAD = "ana@example.com", "budi@example.com", "lena@example.com"
LEARNT: Final = {
    "summary": (
        "For 26 minutes **one charge in eleven failed**. Midtrans had moved to new hosts, and our allow-list let only "
        "the old ones through. The breaker stayed closed, as it should: most charges went well, and those that failed "
        "were tried again and arrived. Nobody paid twice."
    ),
    "root_causes": (
        "1. Midtrans announced the new hosts in a newsletter that goes to a mailbox nobody reads.\n"
        "2. Our allow-list of outgoing addresses is changed by hand, so the new hosts were refused.\n"
        "3. No test of ours talks to the real host, so the change was found by customers."
    ),
    "went_well": (
        "- The alert fired within a minute of the first failure.\n"
        "- Retries carried the same `Idempotency-Key`, so **no charge was made twice**."
    ),
    "went_badly": (
        "- It took twelve minutes and a second page until somebody acknowledged.\n"
        "- We looked at our own release first, because it was close in time; it had nothing to do with it."
    ),
    "lucky": "It was two in the afternoon, not the evening of pay day.",
}
ITEMS: Final = (
    ("Read the provider's announcements in the shared channel", ANA, -9, "open"),
    ("Make the allow-list from the provider's published file, every hour", BUDI, 12, "open"),
    ("Put the new contact into the runbook", BUDI, -20, "done"),
)


def make(moment: datetime) -> None:
    """One that is published, with promises of which one is overdue, and a draft for which later facts wait."""
    older, newer = _two_that_are_over(moment)
    _minutes_of(older)
    _published(older, moment)
    _draft(newer, moment)


def _two_that_are_over(moment: datetime) -> tuple[Incident, Incident]:
    """Of those that were made up before, the last two; what is missing is made here."""
    found = list(Incident.objects.filter(state="resolved", postmortem=None).order_by("-pk")[:2])
    for title, service, minutes in (("WhatsApp was slow", "whatsapp", 34), ("Payments were refused", "midtrans", 58)):
        if len(found) < 2:
            found.append(_incident(moment, title, service, minutes))
    return found[1], found[0]


def _incident(moment: datetime, title: str, service: str, minutes: int) -> Incident:
    began = moment - timedelta(minutes=minutes)
    incident = Incident.objects.create(
        title=title,
        severity="sev2",
        state="resolved",
        origin="hand",
        started_at=began,
        detected_at=began + timedelta(seconds=40),
        acknowledged_at=began + timedelta(minutes=2),
        resolved_at=began + timedelta(minutes=14),
        created_by=ANA,
    )
    IncidentThing.objects.create(incident=incident, kind="service", ref=service, added_at=began, added_by=ANA)
    return incident


def _minutes_of(incident: Incident) -> None:
    """What was delivered around it: one in eleven failed while it lasted."""
    begins = incident.started_at.replace(second=0, microsecond=0)
    ends = incident.resolved_at or begins
    at, rows = begins - timedelta(minutes=10), []
    while at < ends + timedelta(minutes=10):
        sent = 262 + (at.minute * 7) % 31
        failed = sent // 11 if begins <= at < ends - timedelta(minutes=9) else at.minute % 3
        rows.append(DeliveryMinute(service="midtrans", minute=at, sent=sent, failed=failed, latency=empty_histogram()))
        at += timedelta(minutes=1)
    DeliveryMinute.objects.bulk_create(rows, ignore_conflicts=True)


def _published(incident: Incident, moment: datetime) -> None:
    postmortem, first = _begun(incident, moment)
    written = tidied(first | LEARNT)
    told = incident.resolved_at or moment
    for state, actor, note in (
        (State.DRAFT, ANA, "What we found out together"),
        (State.IN_REVIEW, ANA, "Is the second cause clear?"),
        (State.PUBLISHED, LEAD, ""),
    ):
        postmortem.sections, postmortem.state = written, state
        _version(postmortem, actor, min(moment, told + timedelta(minutes=5 * postmortem.version)), note)
    postmortem.touched, postmortem.reviewer = sorted(LEARNT), LEAD
    postmortem.published_at, postmortem.published_by = postmortem.updated_at, LEAD
    postmortem.save()
    for text, owner, days, ends in ITEMS:
        _item(postmortem, text, owner, moment + timedelta(days=days), ends)


def _item(postmortem: PostMortem, text: str, owner: str, due: datetime, state: str) -> None:
    ended = {"ended_at": due, "ended_by": owner} if state == "done" else {}
    ActionItem.objects.create(
        postmortem=postmortem, text=text, owner=owner, due=due.date(), state=state, created_by=ANA, **ended
    )


def _draft(incident: Incident, moment: datetime) -> None:
    """What was counted first is a little less than what is known by now."""
    postmortem, _sections = _begun(incident, moment)
    now_known = postmortem.facts
    postmortem.facts = _earlier(now_known)
    postmortem.newer, postmortem.newer_at = now_known, moment
    PostMortemVersion.objects.filter(postmortem=postmortem).update(facts=postmortem.facts)
    postmortem.save()


def _earlier(facts: dict[str, Any]) -> dict[str, Any]:
    before = deepcopy(facts)
    for figure in before["figures"]:
        if figure["unit"] == "count" and (figure["value"] or 0) > 5:
            figure["value"] = round(figure["value"] * 0.8)
            figure["parts"] = [part | {"value": round(part["value"] * 0.8)} for part in figure["parts"]]
    del before["timeline"][-2:]
    return before


def _begun(incident: Incident, moment: datetime) -> tuple[PostMortem, dict[str, str]]:
    look_again(incident)
    facts = gather(incident)
    sections = tidied(drafted(facts))
    at = min(moment, (incident.resolved_at or moment) + timedelta(seconds=20))
    made = PostMortem.objects.create(
        incident=incident,
        title=incident.title,
        sections=sections,
        facts=facts,
        facts_at=at,
        checked_at=moment,
        created_at=at,
        version=0,
    )
    _version(made, "system:opsportal", at, "")
    return made, sections


def _version(postmortem: PostMortem, actor: str, at: datetime, note: str) -> None:
    postmortem.version += 1
    postmortem.updated_at = at
    postmortem.words = words_of(postmortem.title, postmortem.sections)
    postmortem.save()
    PostMortemVersion.objects.create(
        postmortem=postmortem,
        number=postmortem.version,
        at=at,
        actor=actor,
        state=postmortem.state,
        title=postmortem.title,
        sections=postmortem.sections,
        facts=postmortem.facts,
        note=note,
    )

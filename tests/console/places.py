"""Addresses of every page of a seeded portal."""

from __future__ import annotations

from apps.audit.models import AuditEntry
from apps.breakers.models import BreakerEvent
from apps.core.clock import now
from apps.outbox.models import DeadLetter, Message, Replay, Triage
from tests.console.rooms import alerts, incidents, postmortems, quiet, routing, sources

ROOMS = (alerts, incidents, postmortems, quiet, routing, sources)


def places() -> dict[str, str]:
    """The ids pages are tried with."""
    letter = DeadLetter.objects.filter(state="open", service="midtrans").order_by("-id").first()
    waiting = Message.objects.filter(status="RETRYING").order_by("id").first()
    assert letter is not None
    assert waiting is not None
    event = BreakerEvent.objects.filter(breaker__name="midtrans").order_by("-id").values_list("pk", flat=True).first()
    entry = AuditEntry.objects.order_by("-id").values_list("pk", flat=True).first()
    return {
        "entry": str(entry),
        "event": str(event),
        "cause": letter.cause_id,
        "letter": str(letter.pk),
        "dead": str(letter.message_id),
        "waiting": str(waiting.pk),
        "replay": str(Replay.objects.values_list("pk", flat=True).get()),
        "triage": str(_triage(letter).pk),
        **{name: value for room in ROOMS for name, value in room.ids().items()},
    }


def _triage(letter: DeadLetter) -> Triage:
    """One that has ended, of a letter that stays as it was."""
    ended = {"verb": "assign", "state": "done", "total": 1, "done": 1, "newest": letter.pk, "finished_at": now()}
    who = {"actor_kind": "person", "actor": "ana@example.com"}
    found, _made = Triage.objects.get_or_create(selection={"ids": [letter.pk]}, **who, defaults=ended)
    return found


PAGES: tuple[str, ...] = (
    "/",
    "/services",
    "/services/midtrans",
    "/services/smtp",
    "/services/midtrans/history",
    "/services/midtrans/history/{event}",
    "/services/midtrans/settings/history",
    "/outbox",
    "/outbox?status=waiting",
    "/outbox?q=nothing-like-it",
    "/outbox/{dead}",
    "/outbox/{waiting}",
    "/dead-letters",
    "/dead-letters?service=smtp",
    "/dead-letters?sort=last&q=http",
    "/dead-letters?state=snoozed",
    "/dead-letters/letters",
    "/dead-letters/letters?state=all",
    "/dead-letters/causes/{cause}",
    "/dead-letters/causes/{cause}?state=all",
    "/dead-letters/{letter}",
    "/dead-letters/triage/{triage}",
    "/templates",
    "/templates?archived=1",
    "/templates/order-paid?channel=email&language=en&version=3&against=2",
    "/templates/invoice",
    "/replays",
    "/replays/{replay}",
    "/replays/{replay}?state=failed",
    "/views",
    "/settings",
    "/settings/profile",
    "/settings/security",
    "/settings/sessions",
    "/settings/channels",
    "/settings/schedules",
)
# What a page offers, and the least role that may open it.
DIALOGS: dict[str, str] = {
    "/audit": "operator",
    "/audit?action=service.paused&q=nothing-like-it": "operator",
    "/audit/{entry}": "operator",
    "/find?q=midtrans": "viewer",
    "/find?q=nothing-like-it": "viewer",
    "/shortcuts": "viewer",
    "/views/new?page=outbox&query=status%3Dwaiting": "viewer",
    "/components": "admin",
    "/templates/new": "lead",
    "/templates/new?name=order-paid&channel=email&language=en": "lead",
    "/templates/order-paid/activate?channel=email&language=en&version=1": "lead",
    "/templates/order-paid/archive?channel=whatsapp&language=id": "lead",
    "/templates/order-paid/test?channel=email&language=en": "lead",
    "/services/midtrans/override?action=force_open": "operator",
    "/services/midtrans/override?action=reset": "operator",
    "/services/midtrans/pause": "operator",
    "/services/midtrans/settings": "lead",
    "/services/midtrans/settings/history/1/restore": "lead",
    "/services/midtrans/what-if": "viewer",
    "/services/midtrans/what-if?error_threshold_percentage=40&days=1": "viewer",
    "/outbox/{waiting}/cancel": "operator",
    "/dead-letters/assign?cause={cause}": "operator",
    "/dead-letters/note?cause={cause}": "operator",
    "/dead-letters/snooze?cause={cause}": "operator",
    "/dead-letters/discard?cause={cause}": "operator",
    "/dead-letters/{letter}/edit": "operator",
    "/replays/new?cause={cause}": "operator",
    "/replays/{replay}/pace": "operator",
    "/replays/{replay}/cancel": "operator",
    "/replays/{replay}/resume": "operator",
    "/settings/keys/new": "lead",
    "/settings/people/invite": "admin",
}
POSTS: tuple[str, ...] = (
    "/audit/export",
    "/audit/verify",
    "/templates/new",
    "/templates/preview",
    "/templates/order-paid/activate?channel=email&language=en&version=1",
    "/templates/order-paid/archive?channel=email&language=en",
    "/templates/order-paid/test?channel=email&language=en",
    "/services/midtrans/override",
    "/services/midtrans/pause",
    "/services/midtrans/resume",
    "/services/midtrans/test",
    "/services/midtrans/settings",
    "/services/midtrans/settings/history/1/restore",
    "/outbox/{waiting}/cancel",
    "/outbox/{waiting}/retry",
    "/outbox/{waiting}/reveal",
    "/dead-letters/assign",
    "/dead-letters/note",
    "/dead-letters/snooze",
    "/dead-letters/discard",
    "/dead-letters/{letter}/edit",
    "/dead-letters/triage/{triage}/undo",
    "/dead-letters/triage/{triage}/stop",
    "/replays/new",
    "/replays/{replay}/pace",
    "/replays/{replay}/take-out",
    "/replays/{replay}/pause",
    "/replays/{replay}/resume",
    "/replays/{replay}/cancel",
    "/settings/keys/new",
    "/settings/people/invite",
    "/settings/sessions/end-others",
)
for _room in ROOMS:
    PAGES += _room.PAGES
    DIALOGS |= _room.DIALOGS
    POSTS += _room.POSTS

"""Which pictures ``scripts.screenshots`` takes: of each page, and of what opens on it."""

from __future__ import annotations

from typing import Any, Final

from scripts.pictures import alerts, incidents, postmortems, quiet, routing, sources
from scripts.pictures.shot import Shot

DESKTOP: Final = {"width": 1280, "height": 860}
PHONE: Final = {"width": 390, "height": 844}
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True, "has_touch": True},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "is_mobile": True, "has_touch": True},
}

SHOTS: Final = (
    Shot("login", "/login", person=False),
    Shot("overview", "/"),
    Shot("find", "/find?q=midtrans"),
    Shot("palette", "/replays", "key:Control+k; type:mid", full=False),
    Shot("shortcuts", "/replays", "key:?", full=False),
    Shot("services", "/services"),
    Shot("service", "/services/midtrans"),
    Shot("override", "/services/midtrans", "summary.danger; a[href*=force_open]"),
    Shot("pause", "/services/smtp", "a[href$=pause]"),
    Shot("service-settings", "/services/midtrans/settings"),
    Shot("service-versions", "/services/midtrans/settings/history"),
    Shot("service-restore", "/services/midtrans/settings/history", "a[href$=restore]"),
    Shot("service-history", "/services/midtrans/history"),
    Shot("service-event", "/services/midtrans/history/{event}"),
    Shot("what-if", "/services/midtrans/what-if?error_threshold_percentage=40&volume_threshold=10&days=1"),
    Shot("outbox", "/outbox", full=False),
    Shot("outbox-waiting", "/outbox?status=waiting&service=midtrans", full=False),
    Shot("outbox-none", "/outbox?q=nothing-like-this"),
    Shot("save-view", "/outbox?status=waiting", ".views-menu summary; .views-menu [hx-get]"),
    Shot("views", "/views"),
    Shot("message", "/outbox/{retrying}"),
    Shot("message-dead", "/outbox/{dead}"),
    Shot("message-revealed", "/outbox/{dead}", "#content button"),
    Shot("dead-letters", "/dead-letters"),
    Shot("assign", "/dead-letters/causes/{cause}", "a[hx-get*=assign]"),
    Shot("snooze", "/dead-letters/causes/{cause}", "a[hx-get*=snooze]"),
    Shot("discard", "/dead-letters", "a[hx-get*=discard]"),
    Shot("replay-new", "/dead-letters", "a[hx-get*='replays/new']"),
    Shot("letters", "/dead-letters/letters", full=False),
    Shot("cause", "/dead-letters/causes/{cause}", full=False),
    Shot("cause-selected", "/dead-letters/causes/{cause}", "[data-select-all]", full=False),
    Shot("letter", "/dead-letters/{letter}"),
    Shot("letter-edit", "/dead-letters/{letter}/edit"),
    Shot("templates", "/templates"),
    Shot("template", "/templates/order-paid?channel=email&language=en&version=3"),
    Shot("template-editor", "/templates/new?name=order-paid&channel=email&language=en"),
    Shot("template-test", "/templates/order-paid", "a[hx-get*=test]"),
    Shot("replays", "/replays"),
    Shot("replay", "/replays/1", full=False),
    Shot("audit", "/audit", full=False),
    Shot("audit-entry", "/audit/{entry}"),
    Shot("settings", "/settings"),
    Shot("profile", "/settings/profile"),
    Shot("security", "/settings/security"),
    Shot("sessions", "/settings/sessions"),
    Shot("people", "/settings/people"),
    Shot("person", "/settings/people/1"),
    Shot("invite", "/settings/people", "a[hx-get*=invite]"),
    Shot("keys", "/settings/keys"),
    Shot("key-new", "/settings/keys", "a[hx-get*=new]"),
    Shot("channels", "/settings/channels"),
    Shot("schedules", "/settings/schedules"),
    Shot("components", "/components"),
    Shot("menu", "/replays/1", ".top details.menu summary", full=False),
    Shot("missing", "/outbox/999999"),
    Shot("nowhere", "/nowhere"),
    *alerts.SHOTS,
    *sources.SHOTS,
    *routing.SHOTS,
    *quiet.SHOTS,
    *incidents.SHOTS,
    *postmortems.SHOTS,
    # Last: from here on the letters of one cause are gone.
    Shot(
        "triage", "/dead-letters", "a[hx-get*=discard] >> nth=-1; type:the orders were cancelled; #dialog [type=submit]"
    ),
)
_PICK: Final = """
from apps.audit.models import AuditEntry
from apps.breakers.models import BreakerEvent
from apps.outbox.models import DeadLetter, Message
letter = DeadLetter.objects.filter(state="open", service="midtrans", status_code=503).order_by("-id").first()
print("cause", letter.cause_id)
print("letter", letter.pk)
print("dead", letter.message_id)
print("retrying", Message.objects.filter(status="RETRYING", service="midtrans").order_by("id").first().pk)
print("event", BreakerEvent.objects.filter(breaker__name="midtrans").order_by("-id").first().pk)
print("entry", AuditEntry.objects.filter(action="service.changed").order_by("-id").first().pk)
"""
PICK: Final = "".join([_PICK, *(room.PICK for room in (alerts, sources, routing, quiet, incidents, postmortems))])

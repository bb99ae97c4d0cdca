"""What people did in the days before, so that the trail has something to tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from apps.audit.models import AuditEntry
from apps.audit.services import append
from apps.core.actor import Actor
from apps.outbox.models import Message, Replay

ADMIN: Final = Actor("person", "rina@example.com", ip="10.20.0.4")
LEAD: Final = Actor("person", "lead@example.com", ip="10.20.0.11")
FIRST: Final = Actor("person", "operator-1@example.com", ip="10.20.0.23")
SECOND: Final = Actor("person", "operator-2@example.com", ip="10.20.0.31")
KEY: Final = Actor("apikey", "checkout", ip="10.30.1.7")
SHELL: Final = Actor("cli", "deploy")
PORTAL: Final = Actor("system", "opsportal")
# Minutes before the moment, who, what, to what, why, before, after.
ROWS: Final[tuple[tuple[int, Actor, str, str, str, Any, Any], ...]] = (
    (4310, SHELL, "person.created", "person:rina@example.com", "first log-in", None, {"role": "admin"}),
    (4302, ADMIN, "person.factor_added", "person:rina@example.com", "", None, {"kind": "totp"}),
    (4290, ADMIN, "person.created", "person:operator-1@example.com", "", None, {"role": "operator"}),
    (4289, ADMIN, "person.created", "person:operator-2@example.com", "", None, {"role": "viewer"}),
    (4270, ADMIN, "apikey.created", "apikey:checkout", "", None, {"scopes": ["messages:write", "messages:read"]}),
    (2995, ADMIN, "person.changed", "person:operator-2@example.com", "on call from Monday",
     {"role": "viewer"}, {"role": "operator"}),
    (2940, LEAD, "service.changed", "service:midtrans", "their latency doubled at noon, ticket MT-8802",
     {"breaker": {"timeout": 8, "volume_threshold": 10}}, {"breaker": {"timeout": 10, "volume_threshold": 5}}),
    (2310, LEAD, "template.written", "template order-paid", "", None,
     {"channel": "email", "language": "en", "version": 3}),
    (2302, LEAD, "template.activated", "template order-paid", "new footer, agreed with marketing",
     {"version": 2}, {"version": 3}),
    (1500, FIRST, "service.paused", "service:slack", "workspace is being moved", None, None),
    (1448, FIRST, "service.resumed", "service:slack", "moved", None, None),
    (1380, ADMIN, "apikey.revoked", "apikey:legacy-shop", "switched off on Friday", {"scopes": ["messages:write"]},
     None),
    (430, PORTAL, "person.login_failed", "person:operator-1@example.com", "", None, {"why": "wrong password"}),
    (429, FIRST, "person.logged_in", "person:operator-1@example.com", "", None, {"factor": "totp"}),
    (412, FIRST, "deadletter.discarded", "38 dead letters", "test orders of the load test, not customers", None,
     {"service": "smtp", "letters": 38}),
    (75, SECOND, "person.logged_in", "person:operator-2@example.com", "", None, {"factor": "passkey"}),
    (47, SECOND, "breaker.forced_open", "service:midtrans", "they asked us to stop until their restart",
     {"state": "closed"}, {"state": "forced_open", "minutes": 5}),
    (46, SECOND, "breaker.override_ended", "service:midtrans", "restart done",
     {"state": "forced_open"}, {"state": "closed"}),
    (33, KEY, "message.cancelled", "message {message}", "", {"status": "PENDING"}, {"status": "CANCELLED"}),
    (18, LEAD, "message.revealed", "message {message}", "", None, None),
    (12, SECOND, "deadletter.assigned", "24 dead letters", "", None, {"assignee": "operator-2@example.com"}),
    (9, SECOND, "deadletter.noted", "24 dead letters", "", None, {"note": "partner works on it, MT-8841"}),
    (2, LEAD, "service.changed", "service:billing-webhook", "they can take more since the move",
     {"limits": {"max_per_second": 100}}, {"limits": {"max_per_second": 200}}),
    (1, SECOND, "replay.started", "replay {replay}", "partner confirmed recovery, MT-8841", None,
     {"letters": 240, "canary": 10, "per_second": 5}),
    (0, SECOND, "replay.pace_changed", "replay {replay}", "canary went through", {"per_second": 2}, {"per_second": 5}),
)  # fmt: skip


def make_trail(moment: datetime) -> None:
    """Last, because it names a message and the replay."""
    known = {
        "message": Message.objects.filter(status="RETRYING").order_by("id").values_list("pk", flat=True).first(),
        "replay": Replay.objects.order_by("-id").values_list("pk", flat=True).first(),
    }
    for number, (minutes, actor, action, target, reason, before, after) in enumerate(ROWS):
        entry = AuditEntry(
            at=moment - timedelta(minutes=minutes, seconds=number),
            actor_kind=actor.kind,
            actor=actor.name,
            ip=actor.ip,
            action=action,
            target=target.format(**known),
            reason=reason,
            before=before,
            after=after,
            request_id=f"{7 + number * 0x51ED27:016x}" if actor.kind in ("person", "apikey") else "",
        )
        append(entry)

"""Writing lines of templates, and sending through them."""

from __future__ import annotations

from typing import Any

from apps.core.actor import SYSTEM
from apps.outbox.delivery.claim import Want
from apps.outbox.delivery.lanes import envelope_of
from apps.outbox.delivery.store import Store
from apps.outbox.models import Message, MessageTemplate
from apps.outbox.services import enqueue
from apps.outbox.templating.services import NewVersion, line_id, save_version
from tests.conftest import make_service


def write(
    name: str = "otp", channel: str = "email", language: str = "en", body: str = "", **more: Any
) -> MessageTemplate:
    options = {key: more.pop(key) for key in ("draft", "reason", "seen_version", "actor") if key in more}
    fields = {"sample_data": {"code": "123456"}, **more}
    return save_version(
        line=line_id(name, channel, language),
        version=NewVersion(body=body or f"{language}: {{{{ code }}}}", **fields),
        actor=options.pop("actor", SYSTEM),
        **options,
    )


def mail(**fields: Any) -> Any:
    return make_service(
        "smtp", channel="email", settings={"host": "mail.example", "from_address": "a@b.example"}, **fields
    )


def sent(template: str, **fields: Any) -> Message:
    given = {"service": "smtp", "recipient": "sari@example.com", "body_data": {"code": "1"}, **fields}
    return Message.objects.get(pk=enqueue(template=template, **given).message_id)


def on_the_wire(service: str = "smtp") -> list[Any]:
    """What the claimed messages of a service become."""
    store = Store()
    store.lane_configs()
    want = Want(service=service, slots=50, lease_s=30, max_in_flight=50, max_per_second=None)
    claim, templates = store.claim(want)
    return [envelope_of(row, service, templates) for row in sorted(claim.rows, key=lambda row: row.id)]

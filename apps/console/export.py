"""The outbox as CSV: what the filters show, up to a bound, masked unless somebody reveals it and the trail says so."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from apps.audit.services import record
from apps.core.actor import MESSAGES_READ, MESSAGES_REVEAL, Actor, require
from apps.core.clock import now
from apps.core.masking import mask_addresses, mask_recipient
from apps.core.pagination import MAX_LIMIT
from apps.outbox.models import Message
from apps.outbox.search import MessageFilters, list_messages

MOST_ROWS: Final = 10_000
# A filter that no index answers is looked for in so many steps at most.
MOST_STEPS: Final = 40
COLUMNS: Final = (
    *("id", "wire_id", "status", "service", "tenant", "recipient", "ordering_key", "idempotency_key"),
    *("attempts", "accepted", "sent", "last_error", "source"),
)
# A spreadsheet takes a cell that begins so for a formula.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def messages_csv(filters: MessageFilters, *, actor: Actor, revealed: bool) -> str:
    """At most 10,000 rows, newest first; the last line says so when there were more. Times are UTC."""
    require(actor, MESSAGES_READ)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    count, whole = 0, True
    for message in _messages(filters):
        if message is None or count == MOST_ROWS:
            whole = False
            break
        writer.writerow([_cell(value) for value in _values(message, revealed=revealed)])
        count += 1
    if not whole:
        writer.writerow([f"# cut off after {count} messages: narrow the filters to see the rest"])
    if revealed:
        require(actor, MESSAGES_REVEAL)
        record(actor=actor, action="outbox.exported", target="outbox", after={"messages": count, **_asked(filters)})
    return out.getvalue()


def _messages(filters: MessageFilters) -> Iterator[Message | None]:
    """Newest first; None when it looked far enough. The bounds of time are fixed, so that pages fit together."""
    fixed = filters if filters.created_before else replace(filters, created_before=now())
    cursor: int | None = None
    for _ in range(MOST_STEPS):
        found = list_messages(fixed, cursor=cursor, limit=MAX_LIMIT)
        yield from found.items
        cursor = found.next_cursor
        if cursor is None:
            return
    yield None


def _values(message: Message, *, revealed: bool) -> list[Any]:
    return [
        message.pk,
        message.wire_id,
        message.status,
        message.service_id,
        message.tenant_id,
        message.recipient if revealed else mask_recipient(message.recipient),
        message.ordering_key,
        message.idempotency_key,
        message.attempt_total,
        f"{message.created_at:%Y-%m-%dT%H:%M:%SZ}",
        f"{message.sent_at:%Y-%m-%dT%H:%M:%SZ}" if message.sent_at else "",
        message.last_error if revealed else mask_addresses(message.last_error),
        message.source,
    ]


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _asked(filters: MessageFilters) -> dict[str, Any]:
    """The filters, for the trail: without what was looked for in recipients and errors."""
    said = {
        "statuses": list(filters.statuses),
        "service": filters.service,
        "tenant": filters.tenant_id,
        "after": filters.created_after,
        "before": filters.created_before,
    }
    return {name: value for name, value in said.items() if value}

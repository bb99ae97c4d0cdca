"""Finding messages: by an index where there is one, else within a bound that the answer names.

Ids rise with time, so "the newest so many" is a range of ids. A page that found too few within its range says
how far it looked (:attr:`Looked.down_to`) and its cursor goes on from there: nothing is out of reach, and no
page costs more than its range.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import BooleanField, F, Max, Min, Q, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat
from django.utils.translation import gettext as _

from apps.core.db import Folded
from apps.core.errors import Invalid
from apps.core.pagination import BIGGEST_ID, Page, page_by_id
from apps.outbox.models import LIVE, UNSENT, Message, MessageStatus

# Bodies may be a megabyte each; a list does not need them.
BIG_COLUMNS: Final = ("payload", "json", "body_template", "body_data", "headers")
# How many ids one page looks through for what no index answers; text is dearer to look into.
WINDOW: Final = 100_000
TEXT_WINDOW: Final = 10_000
# So many hits of an index are fetched by their ids; more are looked for like what has no index.
MOST_HITS: Final = 1000
# Clocks and long transactions put times and ids out of step; further than this many rows they are not.
OUT_OF_STEP: Final = 1000
FOLDED_CHARS: Final = 200
# SQLite takes a partial index only when the statement repeats its condition word for word.
IS_LIVE: Final = "notification_outbox.status IN ('PENDING', 'RETRYING', 'SENDING')"
IS_UNSENT: Final = "notification_outbox.status IN ('DLQ', 'CANCELLED', 'EXPIRED')"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilters:
    """What a list of messages shows; an empty value shows all.

    ``query`` finds a message by its number, its wire id (``msg_...``), its idempotency key or the beginning of
    its recipient, whatever their age; other text is looked for among the newest. ``recipient`` is its beginning
    in any case, else a part of it among the newest; ``error`` is a part of the last error. With ``personal``
    False a query finds numbers, wire ids and keys only: who may not see recipients must not find out by searching.
    """

    statuses: tuple[str, ...] = ()
    service: str = ""
    services: tuple[str, ...] | None = None
    tenant_id: str = ""
    recipient: str = ""
    ordering_key: str = ""
    idempotency_key: str = ""
    source: str = ""
    replay_id: int | None = None
    template: str = ""
    template_id: int | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    error: str = ""
    query: str = ""
    personal: bool = True

    def exact(self) -> Q:
        """The filters that compare a column with a value. Raises :class:`Invalid` for a status there is none of."""
        unknown = [status for status in self.statuses if status not in MessageStatus.values]
        if unknown:
            raise Invalid.field(
                "status",
                _("{value} is not one of {known}").format(
                    value=repr(unknown[0][:40]), known=", ".join(MessageStatus.values)
                ),
            )
        named: dict[str, Any] = {
            "service_id": self.service,
            "tenant_id": self.tenant_id,
            "ordering_key": self.ordering_key,
            "idempotency_key": self.idempotency_key,
            "source": self.source,
            "replay_id": self.replay_id,
            "template": self.template,
            "template_id": self.template_id,
            "status__in": self.statuses,
            "created_at__gte": self.created_after,
            "created_at__lt": self.created_before,
        }
        found = Q(**{name: value for name, value in named.items() if value not in ("", None, ())})
        # SQLite takes a partial index only when its condition is said too.
        if self.template:
            found &= ~Q(template="")
        if self.template_id is not None:
            found &= Q(template_id__isnull=False)
        return found if self.services is None else found & Q(service_id__in=self.services)

    @property
    def answered_by_index(self) -> bool:
        """True when one index gives the rows newest first, so that no bound is needed."""
        asked = [
            self.service or self.services is not None,
            self.tenant_id,
            self.ordering_key,
            self.source,
            self.replay_id,
            self.template,
            self.template_id,
            self.statuses,
        ]
        if sum(map(bool, asked)) > 1 or self.tenant_id or self.ordering_key or self.source or self.services is not None:
            return False
        return not self.statuses or _partial_index(self.statuses) is not None


@dataclass(frozen=True, slots=True)
class Looked(Page[Message]):
    """A page of messages. ``down_to`` is the lowest id it looked at when it stopped at its bound, and ``among``
    how many ids that bound is; None and 0 when an index answered. ``newest`` is the highest id there is, when it
    was looked up.
    """

    down_to: int | None = None
    among: int = 0
    newest: int | None = None


@dataclass(frozen=True, slots=True)
class Hunt:
    """What to look for. ``rows`` carries every condition; with ``window`` it is looked for so many ids at a time,
    from ``high`` down to ``low`` at most.
    """

    rows: QuerySet[Message]
    window: int = 0
    high: int = BIGGEST_ID
    low: int = 1


def list_messages(filters: MessageFilters, *, cursor: int | None = None, limit: int = 50) -> Looked:
    """A page of messages without their bodies, newest first."""
    hunt = _hunt(filters)
    top = min(hunt.high, BIGGEST_ID if cursor is None else cursor - 1)
    rows = hunt.rows.defer(*BIG_COLUMNS)
    if not hunt.window:
        found = page_by_id(rows, cursor=cursor, limit=limit)
        return Looked(found.items, found.next_cursor)
    oldest, newest = _ends()
    top = min(top, newest)
    bottom = max(hunt.low, top - hunt.window + 1)
    found = page_by_id(rows.filter(pk__gte=bottom, pk__lte=top), cursor=None, limit=limit)
    if found.next_cursor is not None or bottom <= max(hunt.low, oldest):
        return Looked(found.items, found.next_cursor, newest=newest)
    return Looked(found.items, bottom, down_to=bottom, among=hunt.window, newest=newest)


def count_newer(filters: MessageFilters, anchor: int, most: int = 1000) -> int:
    """How many match that were accepted after ``anchor``: up to ``most``, among the next ones."""
    rows = _hunt(filters).rows.filter(pk__gt=anchor, pk__lte=anchor + WINDOW)
    return rows[:most].count()


def found_at_once(text: str, *, personal: bool, limit: int = 5) -> list[Message]:
    """What an index answers while somebody types: number, wire id, idempotency key, and with ``personal`` the
    beginning of a recipient. Nothing is looked for in text.
    """
    text, light = _clean(text), Message.objects.defer(*BIG_COLUMNS)
    for question in _exactly(text):
        found = list(light.filter(question).order_by("-pk")[:limit])
        if found:
            return found
    return list(_beginning(light, text).order_by(Folded(F("recipient")))[:limit]) if personal and text else []


def _exactly(text: str) -> Iterator[Q]:
    """What ``text`` may name, the most precise first."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        yield Q(pk=int(text))
    wire_id = wire_uid(text)
    if wire_id is not None:
        yield Q(uid=wire_id)
    elif text:
        yield Q(idempotency_key=text) & ~Q(idempotency_key="")


def newest_id() -> int:
    """The id of the message accepted last; 0 for none."""
    return _ends()[1]


def _ends() -> tuple[int, int]:
    """The lowest and the highest id there is; 0 and 0 for none."""
    with connection.cursor() as cursor:
        # Apart, because SQLite looks at every row for both in one SELECT.
        cursor.execute("SELECT (SELECT min(id) FROM notification_outbox), (SELECT max(id) FROM notification_outbox)")
        least, most = cursor.fetchone()
    return least or 0, most or 0


def accepted_at(message_id: int) -> datetime | None:
    """When the message of that id, or the next one that is kept, was accepted."""
    return Message.objects.filter(pk__gte=message_id).order_by("pk").values_list("created_at", flat=True).first()


# --- what answers what is asked -----------------------------------------------------------------
def _hunt(filters: MessageFilters) -> Hunt:
    exact = Message.objects.filter(filters.exact())
    few, many = _narrowed(filters)
    if few is not None:
        rows = exact.filter(few)
        return Hunt(rows.filter(last_error__icontains=_clean(filters.error)) if filters.error else rows)
    if filters.created_after is None and filters.created_before is None:
        low, high = 1, BIGGEST_ID
    else:
        low, high = _ids_between(filters.created_after, filters.created_before)
    if many:
        return Hunt(_beginning(exact, many), WINDOW, high, low)
    text = _text(filters)
    if text is not None:
        return Hunt(exact.filter(text), TEXT_WINDOW, high, low)
    partial = _partial_index(filters.statuses)
    if partial is not None:
        exact = exact.filter(RawSQL(partial, [], output_field=BooleanField()))  # noqa: S611  a constant of this file
    timeless = (low, high) == (1, BIGGEST_ID)
    return Hunt(exact, 0 if timeless and filters.answered_by_index else WINDOW, high, low)


def _partial_index(statuses: tuple[str, ...]) -> str | None:
    """The condition of the partial index that holds exactly such messages."""
    if statuses and set(statuses) <= set(LIVE):
        return IS_LIVE
    return IS_UNSENT if len(statuses) == 1 and statuses[0] in UNSENT else None


def _narrowed(filters: MessageFilters) -> tuple[Q | None, str]:
    """What an index narrows down to a few rows; or the beginning of recipients of which there are many."""
    if filters.idempotency_key:
        return ~Q(idempotency_key=""), ""
    text = _clean(filters.query)
    if text:
        found = _by_query(text, personal=filters.personal)
        if found is not None:
            return found, ""
    start = text if text and filters.personal else _clean(filters.recipient)
    return _by_recipient(start) if start else (None, "")


def _by_query(text: str, *, personal: bool) -> Q | None:
    if text.isascii() and text.isdigit() and len(text) < 19 and Message.objects.filter(pk=int(text)).exists():
        return Q(pk=int(text))
    wire_id = wire_uid(text)
    if wire_id is not None:
        return Q(uid=wire_id)
    by_key = Q(idempotency_key=text) & ~Q(idempotency_key="")
    return by_key if not personal or Message.objects.filter(by_key).exists() else None


def wire_uid(text: str) -> uuid.UUID | None:
    """``msg_...`` as the uuid it stands for."""
    if not text.startswith("msg_"):
        return None
    try:
        return uuid.UUID(hex=text.removeprefix("msg_"))
    except ValueError:
        return None


def _by_recipient(text: str) -> tuple[Q | None, str]:
    """The messages whose recipient begins with ``text``, by their ids; ``text`` itself when they are too many."""
    rows = _beginning(Message.objects.all(), text).order_by(Folded(F("recipient")))
    ids = list(rows.values_list("pk", flat=True)[: MOST_HITS + 1])
    if len(ids) > MOST_HITS:
        return None, text
    return (Q(pk__in=ids) if ids else None), ""


def _beginning(rows: QuerySet[Message], text: str) -> QuerySet[Message]:
    """Those whose recipient begins with ``text``, in any case. Nothing sorts behind the last character there is."""
    start = Folded(Value(text[:FOLDED_CHARS]))
    rows = rows.alias(folded=Folded(F("recipient"))).exclude(recipient="")
    return rows.filter(folded__gte=start, folded__lt=Concat(start, Value("\U0010ffff")))


def _text(filters: MessageFilters) -> Q | None:
    """Text that no index answers; looked for among the newest."""
    found = []
    if filters.query.strip():
        text = _clean(filters.query)
        found.append(Q(recipient__icontains=text) | Q(subject__icontains=text) | Q(last_error__icontains=text))
    if filters.recipient.strip():
        found.append(Q(recipient__icontains=_clean(filters.recipient)))
    if filters.error.strip():
        found.append(Q(last_error__icontains=_clean(filters.error)))
    return None if not found else Q(*found)


def _clean(text: str) -> str:
    return text.replace("\x00", "").strip()


def _ids_between(after: datetime | None, before: datetime | None) -> tuple[int, int]:
    """The lowest and the highest id a message accepted then can have."""
    low, high = 1, BIGGEST_ID
    if after is not None:
        first = Message.objects.filter(created_at__gte=after).order_by("created_at").values("pk")[:OUT_OF_STEP]
        low = first.aggregate(least=Min("pk"))["least"] or BIGGEST_ID
    if before is not None:
        last = Message.objects.filter(created_at__lt=before).order_by("-created_at").values("pk")[:OUT_OF_STEP]
        high = last.aggregate(most=Max("pk"))["most"] or 0
    return low, high

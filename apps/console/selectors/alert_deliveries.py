"""Posts of alerts: the list, and one of them with its body and what became of each of its alerts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import BinaryField, QuerySet
from django.db.models.functions import Substr
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.episodes import Verdict
from apps.alerts.models import AlertDelivery, AlertLog, DeliveryState, Quarantined
from apps.alerts.parsing import Unreadable, unpacked
from apps.alerts.shown import visible, visible_line
from apps.console.marks import Mark
from apps.core.errors import NotFound
from apps.core.masking import mask_addresses
from apps.core.pagination import Page, page_by_id

PER_PAGE: Final = 50
LINES: Final = 100
REJECTED: Final = 50
# Larger bodies are shown as they came, cut; nothing that a page could choke on is ever read into it.
PRETTY_BYTES: Final = 256_000
SHOWN_CHARS: Final = 40_000
PARTLY: Final = "partly"

STATES: Final[dict[str, Mark]] = {
    DeliveryState.STORED: Mark("info", gettext_lazy("Stored")),
    DeliveryState.PROCESSED: Mark("good", gettext_lazy("Taken in")),
    DeliveryState.QUARANTINED: Mark("bad", gettext_lazy("Put aside")),
}
FILTERS: Final[dict[str, str | Promise]] = {
    "stored": gettext_lazy("Waiting"),
    "processed": gettext_lazy("Taken in"),
    "quarantined": gettext_lazy("Put aside"),
    PARTLY: gettext_lazy("With alerts put aside"),
}
# What each alert of a post was taken for: tone and words.
VERDICTS: Final[dict[str, Mark]] = {
    Verdict.OPENED: Mark("bad", gettext_lazy("A new episode")),
    Verdict.REPEATED: Mark("", gettext_lazy("Fires on, as known")),
    Verdict.FLAPPED: Mark("warning", gettext_lazy("Had ended and fired again between two posts")),
    Verdict.REFIRED: Mark("bad", gettext_lazy("Fires again, was recovering")),
    Verdict.RECOVERING: Mark("warning", gettext_lazy("Recovers from here on")),
    Verdict.STILL_RECOVERING: Mark("", gettext_lazy("Recovering, as known")),
    Verdict.LATE: Mark("unknown", gettext_lazy("Older than what is known")),
    Verdict.STALE: Mark("unknown", gettext_lazy("Began before an end we know: not believed at once")),
    Verdict.HISTORY: Mark("unknown", gettext_lazy("Told of when it was over: paged to nobody")),
    Verdict.KNOWN_RESOLVED: Mark("", gettext_lazy("Resolved, as known")),
    Verdict.HEARTBEAT: Mark("good", gettext_lazy("The heartbeat")),
}
LIGHT: Final = ("body", "headers", "group_key")


@dataclass(frozen=True, slots=True)
class Line:
    """One alert of a post, and what it was taken for."""

    row: AlertLog
    mark: Mark
    name: str


@dataclass(frozen=True, slots=True)
class Body:
    """What is shown of a body; ``cut`` says that there is more of it."""

    text: str
    cut: bool
    pretty: bool


@dataclass(frozen=True, slots=True)
class DeliveryView:
    delivery: AlertDelivery
    mark: Mark
    headers: list[tuple[str, str]]
    lines: list[Line]
    more_lines: int | None
    rejected: list[Quarantined]
    rejected_more: bool
    earlier: int | None
    receiver: str
    external_url: str
    group_key: str


def deliveries(
    *, source: str = "", state: str = "", cursor: int | None = None, limit: int = PER_PAGE
) -> Page[AlertDelivery]:
    """Newest first, without their bodies."""
    rows = AlertDelivery.objects.defer(*LIGHT)
    if source:
        rows = rows.filter(source=source)
    if state == PARTLY:
        rows = rows.filter(pk__in=_partly(source, cursor, limit))
    elif state:
        rows = rows.filter(state=state)
    return page_by_id(rows, cursor=cursor, limit=limit)


def _partly(source: str, cursor: int | None, limit: int) -> list[int]:
    """From the few that were put aside to their posts, not from all posts."""
    found = Quarantined.objects.order_by("-delivery")
    if source:
        found = found.filter(delivery__source=source)
    if cursor is not None:
        found = found.filter(delivery__lt=cursor)
    return list(found.values_list("delivery", flat=True).distinct()[: limit + 1])


def newest_deliveries(source: str, limit: int = 12) -> list[tuple[AlertDelivery, Mark]]:
    rows: QuerySet[AlertDelivery] = AlertDelivery.objects.filter(source=source).defer(*LIGHT).order_by("-pk")
    return [(row, STATES[row.state]) for row in rows[:limit]]


def delivery_of(delivery_id: int) -> AlertDelivery:
    """Without its body. Raises NotFound."""
    found = AlertDelivery.objects.defer("body").select_related("source").filter(pk=delivery_id).first()
    if found is None:
        raise NotFound(_("There is no delivery {number}.").format(number=delivery_id))
    return found


def delivery_view(delivery_id: int, *, after: int | None = None) -> DeliveryView:
    """``after``: the lines behind this position."""
    found = delivery_of(delivery_id)
    rows = AlertLog.objects.filter(delivery=found).order_by("position")
    if after is not None:
        rows = rows.filter(position__gt=after)
    shown = list(rows[: LINES + 1])
    rejected = list(Quarantined.objects.filter(delivery=found).order_by("position")[: REJECTED + 1])
    same = AlertDelivery.objects.filter(source=found.source_id, pk__lt=found.pk).defer(*LIGHT).order_by("-pk")[:20]
    return DeliveryView(
        delivery=found,
        mark=STATES[found.state],
        headers=[(name, visible_line(value, 500)) for name, value in sorted(found.headers.items())],
        lines=[
            Line(row, VERDICTS.get(row.verdict, Mark("", row.verdict)), visible_line(row.name, 120))
            for row in shown[:LINES]
        ],
        more_lines=shown[LINES - 1].position if len(shown) > LINES else None,
        rejected=[_harmless(row) for row in rejected[:REJECTED]],
        rejected_more=len(rejected) > REJECTED,
        earlier=next((row.pk for row in same if row.sha256 == found.sha256), None),
        receiver=visible_line(found.receiver),
        external_url=visible_line(found.external_url),
        group_key=visible_line(found.group_key, 500),
    )


def _harmless(row: Quarantined) -> Quarantined:
    row.raw = mask_addresses(visible(row.raw, 4000))
    row.reason = visible_line(row.reason, 500)
    return row


def body_of(delivery: AlertDelivery, *, clear: bool) -> Body:
    """``clear``: with the addresses and numbers of people that stand in it."""
    if delivery.size > PRETTY_BYTES:
        begin = AlertDelivery.objects.filter(pk=delivery.pk).annotate(
            begin=Substr("body", 1, SHOWN_CHARS, output_field=BinaryField())
        )
        text = _unzipped_begin(delivery, bytes(begin.values_list("begin", flat=True)[0]))
        return Body(_shown(text, clear), cut=True, pretty=False)
    raw = bytes(AlertDelivery.objects.filter(pk=delivery.pk).values_list("body", flat=True)[0])
    try:
        plain = unpacked(raw, delivery.headers.get("Content-Encoding", ""), int(settings.ALERT_BODY_BYTES))
    except Unreadable:
        return Body(_("It cannot be unpacked; download it to look at it."), cut=False, pretty=False)
    text, pretty = _pretty(plain[:PRETTY_BYTES])
    return Body(_shown(text, clear), cut=len(text) > SHOWN_CHARS or len(plain) > PRETTY_BYTES, pretty=pretty)


def _unzipped_begin(delivery: AlertDelivery, begin: bytes) -> str:
    if delivery.headers.get("Content-Encoding", "").strip().lower() not in ("", "identity"):
        return _("It is compressed and large; download it to look at it.")
    return begin.decode("utf-8", "replace")


def _pretty(plain: bytes) -> tuple[str, bool]:
    """Indented when it is JSON."""
    text = plain.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2), True
    except (ValueError, RecursionError):
        return text, False


def _shown(text: str, clear: bool) -> str:
    cut = text[:SHOWN_CHARS]
    return visible(cut if clear else mask_addresses(cut), SHOWN_CHARS)

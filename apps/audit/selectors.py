"""Reading the trail: a page of rows by any filter, one row with its neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.audit.models import AuditEntry
from apps.audit.services import entry_hash
from apps.core.errors import NotFound
from apps.core.pagination import Page, page_by_id

# Text in reasons is looked for among so many of the newest rows: no index answers that.
SEARCH_WINDOW: Final = 100_000
# Rows stand in the order they were written; the clocks of two hosts may differ by less than this.
CLOCK_SKEW: Final = timedelta(minutes=5)
TARGET_NAMES: Final = ("template ", "service:", "person:", "apikey:")
TARGET_NUMBERS: Final = ("message ", "dead letter ", "replay ", "triage ")
EXPORT_BATCH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilters:
    """What a list of the trail shows; an empty value shows all.

    ``target`` is a whole target (``service:midtrans``, ``message 7``) or the name in it. ``text`` is looked for in the
    reasons of the newest 100,000 rows.
    """

    actor: str = ""
    actor_kind: str = ""
    action: str = ""
    target: str = ""
    ip: str = ""
    request_id: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def queryset(self) -> QuerySet[AuditEntry]:
        exact = {name: _clean(getattr(self, name)) for name in ("actor_kind", "action", "ip", "request_id")}
        rows = AuditEntry.objects.filter(**{name: value for name, value in exact.items() if value})
        if self.actor.strip():
            rows = rows.filter(actor=_actor(_clean(self.actor)))
        if self.target.strip():
            rows = rows.filter(target=_target(_clean(self.target)))
        if self.text.strip():
            rows = rows.filter(pk__gt=_newest() - SEARCH_WINDOW, reason__icontains=_clean(self.text))
        return _in_time(rows, self.since, self.until)

    def as_dict(self) -> dict[str, str]:
        """What is set, as text."""
        texts = {name: getattr(self, name) for name in FILTER_TEXTS}
        times = {"since": self.since, "until": self.until}
        return {name: value for name, value in texts.items() if value} | {
            name: value.isoformat() for name, value in times.items() if value
        }


FILTER_TEXTS: Final = ("actor", "actor_kind", "action", "target", "ip", "request_id", "text")


def _clean(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "replace").decode().strip()


def _actor(text: str) -> str:
    """E-mail addresses are kept in small letters."""
    return text.lower() if "@" in text else text


def _target(text: str) -> str:
    """The whole target that ``text`` names; each try is one look into an index."""
    if ":" in text or " " in text:
        return text
    starts = TARGET_NUMBERS if text.isdecimal() else TARGET_NAMES
    tries = (f"{start}{text}" for start in starts)
    return next((name for name in tries if AuditEntry.objects.filter(target=name).exists()), text)


def _newest() -> int:
    return AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _in_time(rows: QuerySet[AuditEntry], since: datetime | None, until: datetime | None) -> QuerySet[AuditEntry]:
    """Ids bound the range as well, so that a page in the order of ids reads nothing outside of it."""
    if since is not None:
        first = AuditEntry.objects.filter(at__gte=since - CLOCK_SKEW).order_by("at", "pk")
        rows = rows.filter(at__gte=since, pk__gte=first.values_list("pk", flat=True).first() or 0)
    if until is not None:
        last = AuditEntry.objects.filter(at__lt=until + CLOCK_SKEW).order_by("-at", "-pk")
        rows = rows.filter(at__lt=until, pk__lte=last.values_list("pk", flat=True).first() or 0)
    return rows


def list_entries(filters: AuditFilters, *, cursor: int | None = None, limit: int = 50) -> Page[AuditEntry]:
    """A page of rows, newest first."""
    return page_by_id(filters.queryset(), cursor=cursor, limit=limit)


def newer_than(filters: AuditFilters, entry_id: int, most: int = 1000) -> int:
    """How many rows came after ``entry_id``, counted up to ``most``."""
    return filters.queryset().filter(pk__gt=entry_id)[:most].count()


def entries_for_export(filters: AuditFilters) -> Iterator[AuditEntry]:
    """Oldest first, so that the chain can be followed; a batch at a time, up to what is there at the beginning."""
    rows, after = filters.queryset().filter(pk__lte=_newest()), 0
    while True:
        batch = list(rows.filter(pk__gt=after).order_by("pk")[:EXPORT_BATCH])
        yield from batch
        if len(batch) < EXPORT_BATCH:
            return
        after = batch[-1].pk


@dataclass(frozen=True, slots=True)
class EntryDetail:
    """A row and the rows beside it. ``as_written`` and ``follows`` are worked out now, from what the table holds."""

    entry: AuditEntry
    before: AuditEntry | None
    after: AuditEntry | None
    computed: str

    @property
    def as_written(self) -> bool:
        return self.entry.hash == self.computed

    @property
    def follows(self) -> bool | None:
        """Does the row name the hash of the one before it? None when that is no longer kept."""
        return None if self.before is None else self.entry.previous_hash == self.before.hash

    @property
    def followed(self) -> bool | None:
        return None if self.after is None else self.after.previous_hash == self.entry.hash


def entry_detail(entry_id: int) -> EntryDetail:
    """One row; raises :class:`NotFound`."""
    entry = AuditEntry.objects.filter(pk=entry_id).first() if 0 < entry_id < 2**63 else None
    if entry is None:
        raise NotFound(
            _("There is no audit entry {entry_id}. It may be older than what is kept.").format(entry_id=entry_id)
        )
    return EntryDetail(
        entry=entry,
        before=AuditEntry.objects.filter(pk__lt=entry_id).order_by("-pk").first(),
        after=AuditEntry.objects.filter(pk__gt=entry_id).order_by("pk").first(),
        computed=entry_hash(entry),
    )


def as_row(entry: AuditEntry) -> dict[str, Any]:
    """A row as exports and commands show it: every column, the time as the hash covers it."""
    return {name: getattr(entry, name) for name in COLUMNS} | {"at": entry.at.isoformat()}


COLUMNS: Final = (
    "id",
    "at",
    "actor_kind",
    "actor",
    "ip",
    "action",
    "target",
    "reason",
    "before",
    "after",
    "request_id",
    "previous_hash",
    "hash",
)

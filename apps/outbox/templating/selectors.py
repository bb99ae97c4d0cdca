"""Reading templates: names with their lines, the versions of a line, and which messages took which version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from apps.core.clock import now
from apps.core.errors import Invalid, NotFound
from apps.outbox.models import LIVE, Message, MessageTemplate
from apps.outbox.templating.services import LineId, in_use

# Counting stops here, so that a busy template costs no more than a quiet one.
MOST_COUNTED: Final = 10_000
LOOK_BACK: Final = timedelta(days=7)
# How many of the newest living messages are looked at for those that wait.
LIVING: Final = 10_000
NAMES_PER_PAGE: Final = 50
LISTED: Final = (
    "pk",
    "name",
    "channel",
    "language",
    "version",
    "description",
    "draft",
    "active",
    "archived_at",
    "created_at",
    "created_by",
    "content_type",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One channel and language of a name, its versions newest first. ``using`` is what a message takes now."""

    id: LineId
    versions: list[MessageTemplate]

    @property
    def newest(self) -> MessageTemplate:
        return self.versions[0]

    @property
    def using(self) -> MessageTemplate | None:
        return in_use(self.versions)

    @property
    def archived_at(self) -> datetime | None:
        return self.newest.archived_at

    @property
    def drafts(self) -> list[MessageTemplate]:
        return [row for row in self.versions if row.draft]

    @property
    def rolled_back(self) -> bool:
        """An older version is in use although a newer one is ready."""
        using = self.using
        return using is not None and any(row.version > using.version and not row.draft for row in self.versions)


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    """A name with its lines. ``lately`` counts its messages of the last 7 days, up to MOST_COUNTED + 1."""

    name: str
    lines: list[Line]
    lately: int

    @property
    def last_change(self) -> MessageTemplate:
        return max((line.newest for line in self.lines), key=lambda row: row.created_at)

    @property
    def description(self) -> str:
        written = [line.using or line.newest for line in self.lines]
        return next((row.description for row in written if row.description), "")


@dataclass(frozen=True, slots=True)
class NamePage:
    items: list[NamedTemplate]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """How many messages took a version, up to MOST_COUNTED + 1, and the newest of them."""

    messages: int = 0
    newest: int | None = None
    newest_at: datetime | None = None


def list_templates(
    *,
    query: str = "",
    channel: str = "",
    language: str = "",
    archived: bool = False,
    cursor: str = "",
    limit: int = NAMES_PER_PAGE,
) -> NamePage:
    """A page of names in their order, each with all its lines. The filters choose names; ``archived`` those with
    an archived line instead of those with a living one.
    """
    if not 1 <= limit <= 500:
        raise Invalid.field("limit", _("must be from 1 to 500"))
    rows = MessageTemplate.objects.filter(archived_at__isnull=not archived)
    given = {"channel": channel, "language__iexact": language, "name__gt": cursor}
    rows = rows.filter(**{name: value for name, value in given.items() if value})
    text = query.replace("\x00", "").strip()
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(description__icontains=text))
    names = list(rows.order_by("name").values_list("name", flat=True).distinct()[: limit + 1])
    more, names = len(names) > limit, names[:limit]
    lately = count_lately(names)
    items = [NamedTemplate(name, lines, lately[name]) for name, lines in _lines_of(names).items()]
    return NamePage(items, names[-1] if more else None)


def _lines_of(names: Iterable[str]) -> dict[str, list[Line]]:
    """In the order of the names given; the order of text is the database's."""
    found: dict[str, list[Line]] = {name: [] for name in names}
    rows = MessageTemplate.objects.filter(name__in=list(found)).only(*LISTED)
    rows = rows.order_by("name", "channel", "language", "-version")
    for (name, channel, language), versions in groupby(rows, lambda row: (row.name, row.channel, row.language)):
        found[name].append(Line(LineId(name, channel, language), list(versions)))
    return found


def get_template(name: str) -> list[Line]:
    """The lines of a name, without the texts of their versions; raises :class:`NotFound`."""
    lines = _lines_of([name])[name] if "\x00" not in name else []
    if not lines:
        raise NotFound(_("There is no template named {name}.").format(name=repr(name[:100])))
    return lines


def get_line(lines: Sequence[Line], channel: str | None, language: str | None) -> Line:
    """The line that is meant; without a channel and language the first that is not archived."""
    fitting = [
        line
        for line in lines
        if (channel is None or line.id.channel == channel)
        and (not language or line.id.language.lower() == language.lower())
    ]
    if not fitting:
        there = ", ".join(f"{line.id.channel or _('any channel')} · {line.id.language}" for line in lines)
        text = _("The template {name} is not written for that. It is there for: {there}.")
        raise NotFound(text.format(name=repr(lines[0].id.name), there=there))
    return next((line for line in fitting if line.archived_at is None), fitting[0])


def get_version(line: LineId, version: int) -> MessageTemplate:
    """One version with its text; raises :class:`NotFound`."""
    found = line.versions().filter(version=version).first() if 0 < version < 2**31 else None
    if found is None:
        raise NotFound(_("The template {line} has no version {version}.").format(line=line, version=version))
    return found


def whole(versions: Sequence[MessageTemplate]) -> list[MessageTemplate]:
    """The same versions in the same order, with their texts."""
    found = MessageTemplate.objects.in_bulk([row.pk for row in versions])
    return [found[row.pk] for row in versions]


# --- messages -----------------------------------------------------------------------------------
# Each count reads at most so many entries of one partial index; the condition is the index's own.
LATELY: Final = """
    SELECT wanted.value, (SELECT count(*) FROM (
        SELECT 1 FROM notification_outbox m
        WHERE m.template = wanted.value AND NOT (m.template = '') AND m.id >= %s LIMIT %s) few)
    FROM ({values}) wanted"""
TAKEN: Final = """
    SELECT wanted.value, (SELECT count(*) FROM (
        SELECT 1 FROM notification_outbox m
        WHERE m.template_id = wanted.value AND m.template_id IS NOT NULL LIMIT %s) few),
        (SELECT max(m.id) FROM notification_outbox m
         WHERE m.template_id = wanted.value AND m.template_id IS NOT NULL)
    FROM ({values}) wanted"""


def count_lately(names: Sequence[str]) -> Mapping[str, int]:
    """Messages of the last 7 days by name of their template, up to MOST_COUNTED + 1 each."""
    # Ids rise with time, so "since" is an id.
    since = Message.objects.filter(created_at__gte=now() - LOOK_BACK).order_by("created_at")
    first = since.values_list("pk", flat=True).first()
    if first is None or not names:
        return dict.fromkeys(names, 0)
    return dict(_ask(LATELY, "CAST(%s AS varchar(100))", [first, MOST_COUNTED + 1], names))


def usage_of(template_ids: Sequence[int]) -> Mapping[int, Usage]:
    """Which messages took which version; a version that none took is left out."""
    if not template_ids:
        return {}
    rows = {number: found for number, *found in _ask(TAKEN, "CAST(%s AS bigint)", [MOST_COUNTED + 1], template_ids)}
    newest = [last for _, last in rows.values() if last is not None]
    times = dict(Message.objects.filter(pk__in=newest).values_list("pk", "created_at"))
    return {number: Usage(count, last, times.get(last)) for number, (count, last) in rows.items() if last is not None}


def _ask(statement: str, value: str, parameters: list[Any], values: Sequence[Any]) -> list[Any]:
    selects = " UNION ALL ".join([f"SELECT {value} AS value"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(statement.format(values=selects), [*parameters, *values])
        return list(cursor.fetchall())


def waiting_of(line: LineId) -> int:
    """How many of the newest 10,000 living messages wait with a version of this line, or with its name alone."""
    ids = list(line.versions().values_list("pk", flat=True))
    living = Message.objects.filter(status__in=LIVE).order_by("-pk").values("pk")[:LIVING]
    mine = Q(template_id__in=ids) | Q(template=line.name, template_id__isnull=True)
    return Message.objects.filter(mine, pk__in=living).exclude(template="").count()

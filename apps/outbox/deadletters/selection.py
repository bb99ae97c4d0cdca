"""Which dead letters a person means: these ids, this cause, or everything that matches a filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Final, Self

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core.errors import Invalid
from apps.outbox.deadletters.causes import normalise
from apps.outbox.models import Cause, DeadLetter, DeadLetterState, DeathReason

MAX_IDS: Final = 10_000
BIGGEST_ID: Final = 2**63 - 1
ASLEEP: Final = Q(snoozed_until__isnull=False, snoozed_until__gt=Now())


def causes_like(text: str) -> QuerySet[Cause]:
    """Causes whose words hold ``text``. Numbers and ids are not among those words, so they are taken out of
    ``text`` too: "order 4711" finds "order #". A bare number is a status code. Few rows, so no index.
    """
    words = normalise(text)
    found = Q(error_class__icontains=text.strip())
    if any(letter.isalpha() for letter in words):
        found |= Q(message__icontains=words)
    if text.strip().isascii() and text.strip().isdigit() and len(text.strip()) < 6:
        found |= Q(status_code=int(text))
    return Cause.objects.filter(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Either ``ids``, or any of the others together; ``everything`` must be said, never meant by silence.

    ``died_after`` is inclusive, ``died_before`` exclusive. ``snoozed`` None means both; ``text`` looks at
    the words of causes. ``up_to`` is the newest letter that was seen when it was decided: letters that
    died later are not meant.
    """

    ids: tuple[int, ...] = ()
    cause: str = ""
    service: str = ""
    tenant_id: str | None = None
    reason: str = ""
    status_code: int | None = None
    died_after: datetime | None = None
    died_before: datetime | None = None
    assignee: str = ""
    unassigned: bool = False
    snoozed: bool | None = None
    text: str = ""
    everything: bool = False
    up_to: int | None = None

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """A selection from JSON-like data of unknown origin; raises :class:`Invalid` naming each field."""
        known = {field.name for field in fields(cls)}
        problems = [_problem(name, _("is not a way to select dead letters")) for name in sorted(set(data) - known)]
        given = {name: value for name, value in data.items() if value not in (None, "", [], ())}
        values = {name: _parsed(name, value, problems) for name, value in given.items() if name in known}
        if problems:
            raise Invalid.fields(problems)
        selection = cls(**values)
        selection.check()
        return selection

    def check(self) -> None:
        """Raise :class:`Invalid` when it selects nothing, or two different things."""
        filters = self.as_dict()
        filters.pop("up_to", None)
        ids = filters.pop("ids", None)
        if ids is None and not filters:
            raise Invalid.field(
                "selection",
                _("name dead letters by ids, by cause or by a filter, or say everything to mean all of them"),
            )
        if ids is not None and filters:
            raise Invalid.field("ids", _("cannot be combined with {names}").format(names=", ".join(sorted(filters))))
        if self.everything and len(filters) > 1:
            raise Invalid.field("everything", _("means all open dead letters: leave the other filters out"))
        if self.unassigned and self.assignee:
            raise Invalid.field("unassigned", _("cannot be combined with an assignee"))

    def as_dict(self) -> dict[str, Any]:
        """As JSON, only what was given."""
        shown = {name: value for name, value in asdict(self).items() if value not in (None, "", (), False)}
        if self.tenant_id == "":
            shown["tenant_id"] = ""
        if self.snoozed is False:
            shown["snoozed"] = False
        if self.ids:
            shown["ids"] = list(self.ids)
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in shown.items()}

    def queryset(self) -> QuerySet[DeadLetter]:
        """The open letters it means now. The set of a replay is fixed when the replay is made."""
        letters = DeadLetter.objects.filter(state=DeadLetterState.OPEN)
        if self.up_to is not None:
            letters = letters.filter(pk__lte=self.up_to)
        if self.ids:
            return letters.filter(pk__in=self.ids)
        if self.snoozed is not None:
            letters = letters.filter(ASLEEP if self.snoozed else ~ASLEEP)
        if self.text:
            letters = letters.filter(cause__in=causes_like(self.text).values("pk"))
        return self._exactly(letters)

    def _exactly(self, letters: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        exact = {
            "cause_id": self.cause or None,
            "service": self.service or None,
            "tenant_id": self.tenant_id,
            "reason": self.reason or None,
            "status_code": self.status_code,
            "died_at__gte": self.died_after,
            "died_at__lt": self.died_before,
            "assignee": "" if self.unassigned else self.assignee or None,
        }
        return letters.filter(**{name: value for name, value in exact.items() if value is not None})

    def __str__(self) -> str:
        if self.ids:
            if len(self.ids) == 1:
                return _("dead letter {id}").format(id=self.ids[0])
            return ngettext("{n} chosen dead letter", "{n} chosen dead letters", len(self.ids)).format(n=len(self.ids))
        if self.everything:
            return _("all open dead letters")
        return ", ".join(f"{name} {value}" for name, value in self.as_dict().items() if name != "up_to")


def select(selection: Selection | Mapping[str, Any]) -> Selection:
    """``selection`` as a checked :class:`Selection`."""
    if isinstance(selection, Selection):
        selection.check()
        return selection
    return Selection.parse(selection)


def _problem(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}


def _parsed(name: str, value: Any, problems: list[dict[str, str]]) -> Any:
    try:
        return PARSERS[name](value)
    except ValueError as error:
        problems.append(_problem(name, str(error)))
        return None


def _ids(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(_("must be a list of dead letter ids"))
    if len(value) > MAX_IDS:
        raise ValueError(_("has more than {most} entries: select by cause or filter instead").format(most=MAX_IDS))
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int) or not 0 < item <= BIGGEST_ID:
            raise ValueError(_("holds {value}, which is not a dead letter id").format(value=repr(str(item)[:40])))
    return tuple(dict.fromkeys(value))


def _id(value: Any) -> int:
    return _ids([value])[0]


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable():
        raise ValueError(_("must be one line of text"))
    return value


def _reason(value: Any) -> str:
    if value not in DeathReason.values:
        raise ValueError(_("must be one of {words}").format(words=", ".join(DeathReason.values)))
    return str(value)


def _status_code(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 99_999:
        raise ValueError(_("must be a status code such as 503"))
    return value


def _time(value: Any) -> datetime:
    parsed = value if isinstance(value, datetime) else parse_datetime(value) if isinstance(value, str) else None
    if parsed is None or timezone.is_naive(parsed):
        raise ValueError(_("must be a time with its zone, such as 2026-01-31T09:00:00Z"))
    return parsed


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("must be true or false"))
    return value


PARSERS: Final = {
    "ids": _ids,
    "cause": _text,
    "service": _text,
    "tenant_id": _text,
    "reason": _reason,
    "status_code": _status_code,
    "died_after": _time,
    "died_before": _time,
    "assignee": _text,
    "unassigned": _flag,
    "snoozed": _flag,
    "text": _text,
    "everything": _flag,
    "up_to": _id,
}

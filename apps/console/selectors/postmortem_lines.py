"""The timeline as it was frozen with the facts, in the words of whoever reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.utils import timezone

from apps.incidents.timeline.lines import PER_MINUTE, Line, Row, folded
from apps.incidents.timeline.of_incident import HAND
from apps.incidents.timeline.words import kind_of, text_of, title_of, tone_of
from apps.postmortems.markdown import link_is_safe, visible

# More than this unfolds on demand.
AT_ONCE: Final = 40


def line_as_shown(number: int, line: Mapping[str, Any]) -> Line:
    """A frozen line as those of a running incident; what a person wrote is its own title."""
    what, detail, by_hand = str(line["what"]), line.get("detail") or {}, line["source"] == HAND
    url = str(line.get("url", ""))
    title = str(line.get("text", "")) if by_hand else title_of(what, detail)
    return Line(
        id=number,
        at=datetime.fromisoformat(line["at"]).astimezone(UTC),
        precision="minute" if what in PER_MINUTE else "exact",
        source=str(line["source"]),
        what=what,
        icon=kind_of(what).icon,
        tone=tone_of(what, detail),
        title=visible(title or str(line.get("title", ""))),
        text="" if by_hand else visible(text_of(what, detail)),
        url=url if link_is_safe(url) else "",
        actor=visible(str(line.get("actor", ""))),
        pinned=bool(line.get("pinned")),
        hidden=False,
        by_hand=by_hand,
        detail=detail,
    )


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the reader's zone, and what happened on it."""

    at: datetime
    rows: list[Row]


def shown_timeline(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What people pinned, and all of it with like lines folded."""
    lines = [line_as_shown(number, line) for number, line in enumerate(facts.get("timeline", []))]
    rows: Sequence[Row] = folded(lines)
    return {
        "pinned": by_day([line for line in lines if line.pinned]),
        "days": by_day(rows[:AT_ONCE]),
        "rest": by_day(rows[AT_ONCE:]),
        "more": len(rows[AT_ONCE:]),
        "lines": len(lines),
    }


def by_day(rows: Sequence[Row]) -> list[Day]:
    days: list[Day] = []
    for row in rows:
        at = timezone.localtime(row.at if isinstance(row, Line) else row.since)
        if not days or days[-1].at.date() != at.date():
            days.append(Day(at, []))
        days[-1].rows.append(row)
    return days

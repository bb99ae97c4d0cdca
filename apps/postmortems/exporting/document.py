"""What an exported post-mortem says, whatever it is written in: words in the language and zone that are active.

It reads stored facts, also old ones, so what makes no sense is left out rather than trusted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.core import human
from apps.incidents.models import Severity
from apps.incidents.timeline.of_incident import HAND
from apps.incidents.timeline.words import text_of, title_of
from apps.postmortems.charts import Chart, charts_of
from apps.postmortems.figures import BY_KEY
from apps.postmortems.item_selectors import items_of
from apps.postmortems.markdown import visible
from apps.postmortems.models import ItemState, PostMortem, State
from apps.postmortems.sections import LABELS, SECTIONS

NO_VALUE: Final = "–"
MOST_LINES: Final = 4000
SUSPECTS: Final = 5


@dataclass(frozen=True, slots=True)
class Part:
    """A section: people's Markdown under its heading."""

    key: str
    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    value: str
    parts: Sequence[tuple[str, str]]
    formula: str
    at: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the timeline. ``at`` is exact, with its zone."""

    at: str
    title: str
    text: str
    actor: str
    pinned: bool


@dataclass(frozen=True, slots=True)
class Item:
    text: str
    owner: str
    due: str
    state: str
    reason: str
    done: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """``facts`` are name and value; ``suspects`` title and reasons."""

    number: int
    title: str
    state: str
    version: int
    facts: Sequence[tuple[str, str]]
    parts: Sequence[Part]
    figures: Sequence[Figure]
    charts: Sequence[Chart]
    timeline: Sequence[Entry]
    more_lines: int
    suspects: Sequence[tuple[str, str]]
    items: Sequence[Item]

    @property
    def name(self) -> str:
        return f"PM-{self.number}"


def document_of(postmortem: PostMortem) -> Document:
    facts = postmortem.facts
    lines = _mappings(facts.get("timeline"))
    return Document(
        number=postmortem.pk,
        title=visible(postmortem.title),
        state=str(State(postmortem.state).label),
        version=postmortem.version,
        facts=_facts(postmortem),
        parts=_parts(postmortem.sections),
        figures=[_figure(each) for each in _mappings(facts.get("figures"))],
        charts=charts_of(facts),
        timeline=[_entry(line) for line in lines[:MOST_LINES]],
        more_lines=max(0, len(lines) - MOST_LINES),
        suspects=[_suspect(each) for each in _mappings(facts.get("suspects"))[:SUSPECTS]],
        items=_items(postmortem),
    )


def _facts(postmortem: PostMortem) -> list[tuple[str, str]]:
    incident = postmortem.incident
    found = [
        (_("Incident"), f"INC-{incident.pk} {visible(incident.title)}"),
        (_("Severity"), str(Severity(incident.severity).label)),
        (_("State"), f"{State(postmortem.state).label}, v{postmortem.version}"),
        (_("Began"), _exact(incident.started_at)),
        (_("Detected"), _exact(incident.detected_at)),
        (_("Acknowledged"), _exact(incident.acknowledged_at)),
        (_("Resolved"), _exact(incident.resolved_at)),
        (_("Services"), ", ".join(visible(str(name)) for name in _list(postmortem.facts.get("services")))),
        (_("Facts of"), _exact(postmortem.facts_at)),
    ]
    if postmortem.state == State.PUBLISHED:
        found.append((_("Published"), f"{_exact(postmortem.published_at)}, {visible(postmortem.published_by)}"))
    return [(name, value or NO_VALUE) for name, value in found]


def _exact(at: datetime | None) -> str:
    return human.exact(at) if at else ""


def _parts(sections: Mapping[str, str]) -> list[Part]:
    """In the order of the form; what nobody wrote in is left out."""
    known = {section.key: str(section.label) for section in SECTIONS}
    kept = [(key, text) for key in LABELS if (text := str(sections.get(key, "")).strip())]
    return [Part(key, known[key], text) for key, text in kept]


def _figure(each: Mapping[str, Any]) -> Figure:
    known = BY_KEY.get(str(each.get("key", "")))
    unit = str(each.get("unit", ""))
    return Figure(
        label=str(known.label) if known else visible(str(each.get("key", ""))),
        value=amount(each.get("value"), unit),
        parts=[(visible(str(p.get("name", ""))), amount(p.get("value"), unit)) for p in _mappings(each.get("parts"))],
        formula=visible(str(known.formula if known else each.get("formula", ""))),
        at=_exact(_time(each.get("at"))),
    )


def amount(value: Any, unit: str) -> str:
    """``1,204``, ``6 min 12 s``; a dash for what is not known."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NO_VALUE
    if unit == "seconds":
        return human.span(value)
    return human.percent(value) if unit == "share" else human.number(value, 0 if value == int(value) else 1)


def _entry(line: Mapping[str, Any]) -> Entry:
    """A line in the reader's words; of a kind this release does not know, as it was stored."""
    what, detail = str(line.get("what", "")), line.get("detail")
    by_hand = line.get("source") == HAND
    known = detail if isinstance(detail, Mapping) else {}
    title = str(line.get("text", "")) if by_hand else title_of(what, known) or str(line.get("title", ""))
    at = _time(line.get("at"))
    return Entry(
        at=human.exact(at) if at else visible(str(line.get("at", ""))),
        title=visible(title),
        text="" if by_hand else visible(text_of(what, known)),
        actor=visible(str(line.get("actor", ""))),
        pinned=bool(line.get("pinned")),
    )


def _suspect(each: Mapping[str, Any]) -> tuple[str, str]:
    reasons = "; ".join(str(reason) for reason in _list(each.get("reasons")))
    return visible(str(each.get("title", ""))), visible(reasons)


def _items(postmortem: PostMortem) -> list[Item]:
    return [
        Item(
            text=visible(item.text),
            owner=visible(item.owner),
            due=item.due.isoformat(),
            state=str(ItemState(item.state).label),
            reason=visible(item.reason),
            done=item.state == ItemState.DONE,
        )
        for item in items_of(postmortem.pk)
    ]


def _time(text: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in _list(value) if isinstance(each, Mapping)]

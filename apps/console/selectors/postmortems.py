"""What the pages of post-mortems show."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import User
from apps.console.marks import Mark
from apps.console.selectors.postmortem_lines import line_as_shown
from apps.core import human
from apps.postmortems import differences as differing
from apps.postmortems.differences import Difference, differences
from apps.postmortems.figures import BY_KEY, FIGURES, url_of
from apps.postmortems.markdown import link_is_safe, render, visible
from apps.postmortems.models import PostMortem, PostMortemVersion, State
from apps.postmortems.sections import SECTIONS, changed

STATES: Final[Mapping[str, Mark]] = {
    State.DRAFT: Mark("info", gettext_lazy("Draft")),
    State.IN_REVIEW: Mark("warning", gettext_lazy("In review")),
    State.PUBLISHED: Mark("good", gettext_lazy("Published")),
}
SEVERITIES: Final[Mapping[str, Mark]] = {
    "sev1": Mark("bad", "SEV1"),
    "sev2": Mark("warning", "SEV2"),
    "sev3": Mark("info", "SEV3"),
    "sev4": Mark("", "SEV4"),
}


def severity_mark(severity: str) -> Mark:
    return SEVERITIES.get(severity) or Mark("unknown", severity.upper())


def state_mark(postmortem: PostMortem | PostMortemVersion) -> Mark:
    return STATES.get(postmortem.state) or Mark("unknown", postmortem.state)


def people() -> list[str]:
    """Everybody who may log in, those who may publish first."""
    rows = User.objects.filter(is_active=True).order_by("email").values_list("email", "role")
    return [email for email, _role in sorted(rows, key=lambda row: (row[1] not in ("lead", "admin"), row[0]))]


def row_of(postmortem: PostMortem) -> dict[str, Any]:
    incident = postmortem.incident
    lasted = (incident.resolved_at - incident.started_at).total_seconds() if incident.resolved_at else None
    return {
        "postmortem": postmortem,
        "mark": state_mark(postmortem),
        "severity": severity_mark(incident.severity),
        "lasted": human.span(lasted) if lasted is not None else "",
    }


# --- figures ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ShownFigure:
    """``formula`` is in the reader's language while it is still the one the figure was counted by."""

    key: str
    label: str
    value: str
    tone: str
    url: str
    formula: str
    at: datetime | None
    parts: list[tuple[str, str]]


ALARMING: Final = ("dead_lettered", "expired")


def shown_value(unit: str, value: Any) -> str:
    if not isinstance(value, int | float):
        return "–"
    return human.span(value) if unit == "seconds" else human.number(value)


def shown_figures(facts: Mapping[str, Any]) -> list[ShownFigure]:
    """In the order of the registry; one that this release does not know stands last, under its key."""
    order = {figure.key: position for position, figure in enumerate(FIGURES)}
    found = sorted(facts.get("figures", []), key=lambda item: order.get(item["key"], len(order)))
    return [_shown(item, facts["span"]) for item in found]


def _shown(item: Mapping[str, Any], span: Mapping[str, str]) -> ShownFigure:
    known, value = BY_KEY.get(item["key"]), item.get("value")
    formula = str(item.get("formula", ""))
    return ShownFigure(
        key=item["key"],
        label=figure_label(item["key"]),
        value=shown_value(item["unit"], value),
        tone="bad" if item["key"] in ALARMING and value else "",
        url=url_of(item.get("rows") or {}, span),
        formula=str(known.formula) if known and known.stored_formula == formula else formula,
        at=time_of(item.get("at")),
        parts=[(part["name"], shown_value(item["unit"], part["value"])) for part in item.get("parts", [])],
    )


def figure_label(key: str) -> str:
    known = BY_KEY.get(key)
    return str(known.label) if known else key


def time_of(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) and text else None


def shown_suspect(one: Mapping[str, Any]) -> dict[str, Any]:
    """Words and addresses of a suspect come from rows that programs write."""
    url = str(one.get("url", ""))
    return {
        "title": visible(str(one.get("title", ""))),
        "url": url if url and link_is_safe(url) else "",
        "score": one.get("score"),
        "reasons": [visible(str(reason)) for reason in one.get("reasons", [])],
    }


# --- text ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ShownSection:
    key: str
    label: str
    html: SafeString | str
    asks: str
    required: bool


def shown_sections(sections: Mapping[str, str], *, empty: bool = False) -> list[ShownSection]:
    """Those that say something, or with ``empty`` all of them; the reason for having no items stands with the items."""
    found = []
    for section in SECTIONS:
        text = sections.get(section.key, "")
        if text.strip() or (empty and section.key != "no_items"):
            html = render(text) if text.strip() else ""
            found.append(ShownSection(section.key, str(section.label), html, str(section.asks), section.required))
    return found


# --- differences --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ShownDifference:
    """One line of the later facts: what it is about, what stood there, what stands there now."""

    kind: str
    label: str
    before: str
    after: str
    at: datetime | None = None
    url: str = ""


KINDS: Final[Mapping[str, Any]] = {
    differing.INCIDENT: gettext_lazy("The incident"),
    differing.FIGURE: gettext_lazy("Figures"),
    differing.CULPRIT: gettext_lazy("The cause people name"),
    differing.LINE: gettext_lazy("Timeline"),
}
OF_INCIDENTS: Final[Mapping[str, Any]] = {
    "title": gettext_lazy("Title"),
    "severity": gettext_lazy("Severity"),
    "started_at": gettext_lazy("Began"),
    "detected_at": gettext_lazy("Detected"),
    "acknowledged_at": gettext_lazy("Acknowledged"),
    "resolved_at": gettext_lazy("Resolved"),
}


def shown_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, list[ShownDifference]]]:
    """Under headings, in the order of the facts."""
    found: dict[str, list[ShownDifference]] = {}
    for item in differences(before, after):
        found.setdefault(item.kind, []).append(_WORDS[item.kind](item))
    return [(str(KINDS[kind]), items) for kind, items in found.items()]


def _figure_words(item: Difference) -> ShownDifference:
    one, other = (_figure_value(side) for side in (item.before, item.after))
    return ShownDifference(item.kind, figure_label(item.key), one, other)


def _figure_value(side: Mapping[str, Any] | None) -> str:
    if side is None:
        return ""
    parts = [f"{part['name']} {shown_value(side['unit'], part['value'])}" for part in side.get("parts", [])]
    value = shown_value(side["unit"], side.get("value"))
    return f"{value} ({', '.join(parts)})" if len(parts) > 1 else value


def _incident_words(item: Difference) -> ShownDifference:
    label = str(OF_INCIDENTS.get(item.key, item.key))
    one, other = (_incident_value(item.key, side) for side in (item.before, item.after))
    return ShownDifference(item.kind, label, one, other)


def _incident_value(key: str, side: Mapping[str, Any] | None) -> str:
    value = side["value"] if side else None
    if value is None:
        return ""
    if key.endswith("_at"):
        return human.exact(datetime.fromisoformat(value))
    return str(value).upper() if key == "severity" else visible(str(value))


def _culprit_words(item: Difference) -> ShownDifference:
    one, other = (visible(str(side.get("title", ""))) if side else "" for side in (item.before, item.after))
    return ShownDifference(item.kind, _("Cause"), one, other)


def _line_words(item: Difference) -> ShownDifference:
    line = item.after or item.before or {}
    one, other = (_line_value(side) for side in (item.before, item.after))
    return ShownDifference(item.kind, "", one, other, time_of(line.get("at")), str(line.get("url", "")))


def _line_value(side: Mapping[str, Any] | None) -> str:
    if side is None:
        return ""
    line = line_as_shown(0, side)
    return " · ".join(text for text in (line.title, line.text) if text)


_WORDS: Final = {
    differing.INCIDENT: _incident_words,
    differing.FIGURE: _figure_words,
    differing.CULPRIT: _culprit_words,
    differing.LINE: _line_words,
}


# --- versions -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ShownVersion:
    number: int
    at: datetime
    actor: str
    note: str
    mark: Mark


def shown_version(row: PostMortemVersion) -> ShownVersion:
    return ShownVersion(row.number, row.at, visible(row.actor), visible(row.note), state_mark(row))


Lines = list[tuple[str, str]]
_SIGNS: Final = {"- ": "del", "+ ": "ins", "  ": "same"}


def line_difference(before: str, after: str) -> Lines:
    """The lines that go, come and stay."""
    found = difflib.ndiff(before.splitlines(), after.splitlines())
    return [(_SIGNS[line[:2]], visible(line[2:])) for line in found if line[:2] in _SIGNS]


def section_differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, Lines]]:
    labels = {section.key: str(section.label) for section in SECTIONS}
    return [(labels[key], line_difference(before.get(key, ""), after.get(key, ""))) for key in changed(before, after)]


def version_differences(before: PostMortemVersion, after: PostMortemVersion) -> list[tuple[str, Lines]]:
    title = [(_("Title"), line_difference(before.title, after.title))] if before.title != after.title else []
    return [*title, *section_differences(before.sections, after.sections)]


# --- two who write at once ----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Clash:
    """A section that both have changed: what the other wrote, and how mine differs from it."""

    label: str
    theirs: str
    lines: Lines


@dataclass(frozen=True, slots=True)
class Merge:
    """``texts`` is what the form goes on with: mine where I wrote, theirs where only they did."""

    texts: dict[str, str]
    clashes: dict[str, Clash]
    taken: list[str]


def merged(base: Mapping[str, str], mine: Mapping[str, str], theirs: Mapping[str, str], keys: Iterable[str]) -> Merge:
    """Section by section. Nothing of mine is thrown away."""
    labels = {section.key: str(section.label) for section in SECTIONS} | {"title": _("Title")}
    merge = Merge({}, {}, [])
    for key in keys:
        own, other, begun = mine.get(key, ""), theirs.get(key, ""), base.get(key, "")
        only_theirs = own == begun and other != begun
        merge.texts[key] = other if only_theirs else own
        if only_theirs:
            merge.taken.append(labels[key])
        elif other not in (begun, own):
            merge.clashes[key] = Clash(labels[key], visible(other), line_difference(other, own))
    return merge

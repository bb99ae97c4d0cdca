"""The parts a post-mortem is written in, and what of them must say something before it is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.audit.canonical import clean_text
from apps.core.errors import Invalid

LONGEST: Final = 50_000
NO_ITEMS: Final = "no_items"


@dataclass(frozen=True, slots=True)
class Section:
    key: str
    label: Any
    asks: Any
    required: bool = False


SECTIONS: Final = (
    Section(
        "summary",
        gettext_lazy("Summary"),
        gettext_lazy("What happened, for somebody who reads nothing else."),
        required=True,
    ),
    Section(
        "impact",
        gettext_lazy("Impact"),
        gettext_lazy("Who noticed what, for how long. The figures stand beside it."),
        required=True,
    ),
    Section("trigger", gettext_lazy("Trigger"), gettext_lazy("What set it off at that moment.")),
    Section(
        "root_causes",
        gettext_lazy("Root causes"),
        gettext_lazy("Why it was possible at all. Ask why until the answer is something that can be changed."),
        required=True,
    ),
    Section("went_well", gettext_lazy("What went well"), gettext_lazy("Keep doing this.")),
    Section(
        "went_badly", gettext_lazy("What went badly"), gettext_lazy("Of systems and of ways to work, not of people.")
    ),
    Section("lucky", gettext_lazy("Where we were lucky"), gettext_lazy("What would have made it worse.")),
    Section(
        NO_ITEMS,
        gettext_lazy("Why there are no action items"),
        gettext_lazy("Only when nothing is to be done: say why."),
    ),
)
KEYS: Final = tuple(section.key for section in SECTIONS)
LABELS: Final[Mapping[str, Any]] = {section.key: section.label for section in SECTIONS}


def tidy(text: str) -> str:
    """What a person typed as it is kept: one kind of line end, nothing that a database refuses."""
    return clean_text(text.replace("\r\n", "\n").replace("\r", "\n"), LONGEST * 2).strip()


def tidied(sections: Mapping[str, str]) -> dict[str, str]:
    """Known sections only; raises Invalid for one that is too long."""
    found = {key: tidy(sections.get(key, "")) for key in KEYS}
    too_long = [key for key, text in found.items() if len(text) > LONGEST]
    if too_long:
        text = _("is longer than {most} characters").format(most=LONGEST)
        raise Invalid.fields([{"field": key, "message": text} for key in too_long])
    return found


def tidy_title(text: str) -> str:
    """One line that shows all of itself; raises Invalid when nothing is left, or too much."""
    title = " ".join("".join(c for c in clean_text(text, 10_000) if c.isprintable() or c.isspace()).split())
    if not title:
        raise Invalid.field("title", _("must say what happened"))
    if len(title) > 200:
        raise Invalid.field("title", _("must be at most 200 characters"))
    return title


def missing(sections: Mapping[str, str], *, items: int) -> list[dict[str, str]]:
    """What stands in the way of publishing: fields and sentences, empty when nothing does."""
    found = [
        {"field": section.key, "message": _("{section} says nothing yet.").format(section=section.label)}
        for section in SECTIONS
        if section.required and not sections.get(section.key, "").strip()
    ]
    if not items and not sections.get(NO_ITEMS, "").strip():
        text = _("There is no action item, and no word on why there is none.")
        found.append({"field": NO_ITEMS, "message": text})
    return found


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [key for key in KEYS if before.get(key, "") != after.get(key, "")]


def words_of(title: str, sections: Mapping[str, str]) -> str:
    """What a post-mortem is found by."""
    return "\n".join([title, *(sections.get(key, "") for key in KEYS)]).lower()


def labelled(keys: Iterable[str]) -> list[str]:
    return [str(LABELS[key]) for key in keys if key in LABELS]

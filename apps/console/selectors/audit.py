"""The trail as its pages show it: who, what in words, a link to what it was done to, and what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.audit.checks import Status, status
from apps.audit.models import AuditEntry
from apps.audit.selectors import AuditFilters, list_entries, newer_than
from apps.audit.wording import ACTIONS, action_words, kind_words
from apps.console.marks import Mark
from apps.console.selectors.audit_links import Links, links_for
from apps.core.actor import MESSAGES_REVEAL
from apps.core.masking import mask_addresses

PER_PAGE: Final = 50
SHOWN_CHANGES: Final = 3
LONGEST_VALUE: Final = 80
TONES: Final[Mapping[str, str]] = {"fits": "good", "broken": "bad", "stale": "unknown", "never": "unknown"}


@dataclass(frozen=True, slots=True)
class Change:
    """One value before and after; ``None`` where there was none."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry for people. ``changes`` are all of them; a list shows the first few."""

    entry: AuditEntry
    what: str
    kind: str
    reason: str
    target_url: str
    changes: list[Change]

    @property
    def first_changes(self) -> list[Change]:
        return self.changes[:SHOWN_CHANGES]

    @property
    def more_changes(self) -> int:
        return max(0, len(self.changes) - SHOWN_CHANGES)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """``newer`` counts rows written since the page was loaded; ``anchor`` is its newest row."""

    items: list[EntryRow]
    next_cursor: int | None
    anchor: int
    newer: int


def audit_page(
    filters: AuditFilters, *, cursor: int | None, anchor: int | None, permissions: frozenset[str]
) -> AuditPage:
    """A page of rows. With ``anchor`` the rows stay what they were and only newer ones are counted."""
    holds = cursor is None and anchor is not None
    newer = newer_than(filters, anchor) if holds and anchor is not None else 0
    start = anchor + 1 if holds and anchor is not None else cursor
    found = list_entries(filters, cursor=start, limit=PER_PAGE)
    first = found.items[0].pk if found.items else 0
    links = links_for([entry.target for entry in found.items], permissions)
    rows = [row_of(entry, links) for entry in found.items]
    return AuditPage(rows, found.next_cursor, anchor if anchor is not None else first, newer)


def row_of(entry: AuditEntry, links: Links) -> EntryRow:
    """Addresses of people in reasons and values are shown to whoever may reveal messages."""
    revealed = MESSAGES_REVEAL in links.permissions
    changes = changes_of(entry.before, entry.after)
    if not revealed:
        changes = [Change(item.name, _veiled(item.before), _veiled(item.after)) for item in changes]
    reason = entry.reason if revealed else mask_addresses(entry.reason)
    what, kind = action_words(entry.action), kind_words(entry.actor_kind)
    return EntryRow(entry, what, kind, reason, links.url(entry.target), changes)


def _veiled(text: str | None) -> str | None:
    return None if text is None else mask_addresses(text)


def changes_of(before: Any, after: Any) -> list[Change]:
    """What differs, value by value; ``retry.cap`` is ``cap`` within ``retry``."""
    old, new = _flat(before), _flat(after)
    names = dict.fromkeys([*old, *new])
    return [
        Change(name, old.get(name), new.get(name))
        for name in names
        if old.get(name) != new.get(name) or name not in old or name not in new
    ]


def _flat(value: Any, within: str = "") -> dict[str, str]:
    if isinstance(value, dict) and (value or within):
        return {
            name: text
            for key, item in value.items()
            for name, text in _flat(item, f"{within}.{key}" if within else str(key)).items()
        } or {within: "{}"}
    if value is None and not within:
        return {}
    if value == {} and not within:
        return {}
    return {within or _("value"): _shown(value)}


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """The state of the chain for people; ``mark`` is never good unless a check has run and is recent."""

    status: Status
    mark: Mark

    @property
    def word(self) -> str:
        return self.status.word


def chain() -> Chain:
    found = status()
    labels = {
        "fits": _("Verified"),
        "broken": _("Broken"),
        "stale": _("Not verified lately"),
        "never": _("Never verified"),
    }
    return Chain(found, Mark(TONES[found.word], labels[found.word]))


def action_choices() -> list[tuple[str, str]]:
    """Every action there is, in words, for the filter."""
    return sorted(((code, str(words)) for code, words in ACTIONS.items()), key=lambda pair: pair[1])

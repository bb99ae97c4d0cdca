"""Checking the chain: every row against its own hash, the row before it, and what was once seen of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from apps.audit import anchors
from apps.audit.models import AuditEntry
from apps.audit.services import entry_hash

SLICE: Final = 5000
PRUNED: Final = "audit.pruned"

CHANGED: Final = "its content was changed after it was written"
UNLINKED: Final = "the row before it was removed, added or re-ordered"
BEGINNING: Final = "rows before it were removed, and no retention (audit.pruned) says so"
CHECKED_GONE: Final = "it was checked before and is gone now"
CHECKED_OTHER: Final = "it was checked before and is another row now"


@dataclass(frozen=True, slots=True)
class Link:
    """The last row that fits. Id 0 stands for the beginning."""

    id: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """``broken_at`` is the id of the first row that does not fit, or None; ``upto`` the last one that does."""

    checked: int
    upto: Link = Link()
    broken_at: int | None = None
    problem: str = ""
    more: bool = False


def verify_chain() -> Verification:
    """Check the whole trail, in slices, so that memory stays bounded."""
    found = verify_slice(Link())
    while found.more:
        step = verify_slice(found.upto)
        found = Verification(found.checked + step.checked, step.upto, step.broken_at, step.problem, step.more)
    return found


def verify_slice(after: Link, limit: int = SLICE) -> Verification:
    """Check up to ``limit`` rows behind ``after``; at the end of the trail also that nothing was cut off.

    What retention removed (apps.audit.retention) is no break: the trail itself says up to where.
    A break is looked at twice, because rows may be written or removed by retention between the two reads.
    """
    found = _verify(after, limit)
    return found if found.broken_at is None else _verify(after, limit)


def _verify(after: Link, limit: int) -> Verification:
    removed = retained_from()
    if after.id and after.id <= removed.id:
        after = Link()
    problem = _lost_link(after)
    if problem:
        return Verification(0, after, after.id, problem)
    rows = list(AuditEntry.objects.filter(pk__gt=after.id).order_by("pk")[: limit + 1])
    more = len(rows) > limit
    found = _walk(rows[:limit], after, removed)
    if found.broken_at is not None:
        return found
    floor = max(after.id, removed.id)
    return _against_anchors(found, rows[:limit], floor, more)


def retained_from() -> Link:
    """The last row that retention removed, as the newest of its own rows in the trail says."""
    entry = AuditEntry.objects.filter(action=PRUNED).order_by("-pk").first()
    if entry is None or not isinstance(entry.after, dict):
        return Link()
    return Link(int(entry.after.get("through_id", 0)), str(entry.after.get("through_hash", "")))


def _lost_link(after: Link) -> str:
    if not after.id:
        return ""
    there = AuditEntry.objects.filter(pk=after.id).values_list("hash", flat=True).first()
    if there is None:
        return CHECKED_GONE
    return "" if there == after.hash else CHECKED_OTHER


def _walk(rows: list[AuditEntry], after: Link, removed: Link) -> Verification:
    checked, last = 0, after
    for entry in rows:
        expected = last.hash if last.id else removed.hash
        if entry.previous_hash != expected:
            return Verification(checked, last, entry.pk, UNLINKED if last.id else BEGINNING)
        if entry.hash != entry_hash(entry):
            return Verification(checked, last, entry.pk, CHANGED)
        checked, last = checked + 1, Link(entry.pk, entry.hash)
    return Verification(checked, last)


def _against_anchors(found: Verification, rows: list[AuditEntry], floor: int, more: bool) -> Verification:
    hashes = {entry.pk: entry.hash for entry in rows}
    for anchor in anchors.between(floor, found.upto.id if more else None):
        there = hashes.get(anchor.entry_id)
        if there == anchor.hash:
            continue
        if there is None and anchor.entry_id > found.upto.id:
            problem = f"it and what followed were cut off the end; {anchor.source} has seen it"
        else:
            problem = f"it is not the row that {anchor.source} has seen"
        return Verification(found.checked, found.upto, anchor.entry_id, problem)
    return Verification(found.checked, found.upto, more=more)

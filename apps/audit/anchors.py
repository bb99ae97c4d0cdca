"""What was once seen of the trail, kept where a change of the trail does not reach it.

Anchors stand in the table ``audit_anchor``, which the application may not change either, and in the file
DATA_DIR/audit-anchors.log of every host that runs checks: one line for each, "time id hash chain", only ever appended
to. ``chain`` is the name of the database's trail: a new database in an old DATA_DIR begins anew, and the lines of the
one before say nothing about it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings

from apps.audit.models import AuditAnchor, AuditChain
from apps.core import clock

log = structlog.get_logger(__name__)

FILE_NAME: Final = "audit-anchors.log"
HASH_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Anchor:
    """Row ``entry_id`` had ``hash``; ``source`` says where that is kept and since when."""

    entry_id: int
    hash: str
    source: str


def anchor_file() -> Path:
    return Path(settings.DATA_DIR) / FILE_NAME


def keep(entry_id: int, entry_hash: str) -> None:
    """Remember that the trail reached ``entry_id``. A file that cannot be written is logged; the table has it too."""
    newest = AuditAnchor.objects.values_list("entry_id", flat=True).first()
    if newest is None or newest < entry_id:
        AuditAnchor.objects.create(entry_id=entry_id, hash=entry_hash, at=clock.now())
    try:
        _append(entry_id, entry_hash, chain_name() or AuditChain.objects.create(name=secrets.token_hex(8)).name)
    except OSError as error:
        log.warning("audit.anchor_file", path=str(anchor_file()), error=str(error))


def chain_name() -> str:
    """Empty before the first anchor is kept."""
    return AuditChain.objects.values_list("name", flat=True).first() or ""


def _append(entry_id: int, entry_hash: str, chain: str) -> None:
    if any(anchor.entry_id >= entry_id for anchor in _in_file(after=entry_id - 1)):
        return
    line = f"{clock.now():%Y-%m-%dT%H:%M:%SZ} {entry_id} {entry_hash} {chain}\n"
    handle = os.open(anchor_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, line.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def between(after: int, upto: int | None) -> list[Anchor]:
    """The anchors of rows after ``after`` up to ``upto`` (None: all), in order of their rows."""
    rows = AuditAnchor.objects.filter(entry_id__gt=after)
    if upto is not None:
        rows = rows.filter(entry_id__lte=upto)
    found = [Anchor(row.entry_id, row.hash, f"the table audit_anchor, {row.at:%Y-%m-%d %H:%M:%S} UTC") for row in rows]
    found += [anchor for anchor in _in_file(after) if upto is None or anchor.entry_id <= upto]
    return sorted(found, key=lambda anchor: anchor.entry_id)


def _in_file(after: int) -> Iterator[Anchor]:
    """Those of this database; a line of an older release has no name and counts."""
    ours = chain_name()
    return (anchor for anchor, chain in _lines() if anchor.entry_id > after and chain in ("", ours))


def of_others() -> Anchor | None:
    """The newest anchor that the file holds of another database; None when it holds none."""
    ours = chain_name()
    return next((anchor for anchor, chain in reversed(list(_lines())) if chain not in ("", ours)), None)


def _lines() -> Iterator[tuple[Anchor, str]]:
    """Every anchor of the file with its chain. A line that is not whole is passed over: the host went down."""
    path = anchor_file()
    if not path.is_file():
        return
    with path.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            parts = line.split()
            if len(parts) in (3, 4) and parts[1].isdecimal() and len(parts[2]) == HASH_LENGTH:
                yield Anchor(int(parts[1]), parts[2], f"{path.name}, {parts[0]}"), "".join(parts[3:])

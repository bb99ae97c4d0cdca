"""The routing, its editor with a dry run, and who is on call."""

from __future__ import annotations

from typing import Final

from scripts.pictures.shot import Shot

SHOTS: Final[tuple[Shot, ...]] = (
    Shot("routing", "/alerts/routing"),
    Shot("routing-edit", "/alerts/routing/edit", "button[value=try]"),
    Shot("routing-versions", "/alerts/routing/versions"),
    Shot("on-call", "/on-call"),
    Shot("rotation", "/on-call/platform"),
    Shot("rotation-edit", "/on-call/platform", "a[hx-get$=edit]"),
    Shot("hand-over", "/on-call/platform", "a[hx-get$=hand-over]"),
)
# Prints "name id" for what the addresses above need.
PICK: Final = ""

from __future__ import annotations

from typing import Final

from scripts.pictures.shot import Shot

SHOTS: Final[tuple[Shot, ...]] = ()
# Prints "name id" for what the addresses above need.
PICK: Final = ""

"""What a picture is of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: which page, what to press before it is taken (``key:Control+k`` is a key, ``type:mid`` is typed)."""

    name: str
    path: str
    press: str = ""
    full: bool = True
    person: bool = True

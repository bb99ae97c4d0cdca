"""Text from outside, as every database can keep it."""

from __future__ import annotations


def storable(text: str) -> str:
    """``text`` without what PostgreSQL refuses: NUL becomes the replacement character, half a surrogate pair a ?."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()

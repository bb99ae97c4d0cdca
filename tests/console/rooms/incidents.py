from __future__ import annotations

PAGES: tuple[str, ...] = ()
# The least role that may open it.
DIALOGS: dict[str, str] = {}
POSTS: tuple[str, ...] = ()


def ids() -> dict[str, str]:
    """The ids pages are tried with."""
    return {}

"""What the pages count, in one table, so that every language can have its own plurals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from django.utils import formats
from django.utils.translation import ngettext

# Each is called with the count and answers with a pattern. A test holds that every noun used is here.
NOUNS: Final[Mapping[str, Callable[[int], str]]] = {
    "alert": lambda n: ngettext("{count} alert", "{count} alerts", n),
    "attempt": lambda n: ngettext("{count} attempt", "{count} attempts", n),
    "cause": lambda n: ngettext("{count} cause", "{count} causes", n),
    "chosen letter": lambda n: ngettext("{count} chosen letter", "{count} chosen letters", n),
    "action item": lambda n: ngettext("{count} action item", "{count} action items", n),
    "dead letter": lambda n: ngettext("{count} dead letter", "{count} dead letters", n),
    "entry": lambda n: ngettext("{count} entry", "{count} entries", n),
    "incident": lambda n: ngettext("{count} incident", "{count} incidents", n),
    "letter": lambda n: ngettext("{count} letter", "{count} letters", n),
    "message": lambda n: ngettext("{count} message", "{count} messages", n),
    "open letter": lambda n: ngettext("{count} open letter", "{count} open letters", n),
    "post": lambda n: ngettext("{count} post", "{count} posts", n),
    "post-mortem": lambda n: ngettext("{count} post-mortem", "{count} post-mortems", n),
    "replay": lambda n: ngettext("{count} replay", "{count} replays", n),
    "row": lambda n: ngettext("{count} row", "{count} rows", n),
    "service": lambda n: ngettext("{count} service", "{count} services", n),
    "template": lambda n: ngettext("{count} template", "{count} templates", n),
    "tenant": lambda n: ngettext("{count} tenant", "{count} tenants", n),
    "worker": lambda n: ngettext("{count} worker", "{count} workers", n),
}


def counted(count: int, noun: str) -> str:
    """``1 message``, ``1,204 messages``; ``1.204 pesan`` in Indonesian."""
    shown = formats.number_format(count, decimal_pos=0, use_l10n=True, force_grouping=True)
    pattern = NOUNS.get(noun)
    if pattern is None:  # a tidy page in English is better than none; a test finds the noun that is missing
        return f"{shown} {noun if count == 1 else noun + 's'}"
    return pattern(count).format(count=shown)

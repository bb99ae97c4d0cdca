"""What scripts say. A page brings the words in its own language on <body>; static/js/words.js reads them there."""

from __future__ import annotations

import json
from typing import Any, Final

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

# The names in braces are filled in by the script.
WORDS: Final[dict[str, Any]] = {
    "ago": _("{time} ago"),
    "in": _("in {time}"),
    "days": pgettext_lazy("days", "{number} d"),
    "hours": pgettext_lazy("hours", "{number} h"),
    "minutes": pgettext_lazy("minutes", "{number} min"),
    "seconds": pgettext_lazy("seconds", "{number} s"),
    "live": _("live · {time} ago"),
    "stale": _("not updated for {time}"),
    "stale_now": _("This page is not being updated. What it shows is old."),
    "live_again": _("This page is live again."),
    "copied": _("Copied."),
    "close": _("Close"),
    "one_selected": _("1 selected"),
    "many_selected": _("{count} selected"),
    "all_selected": _("All {count} on every page are selected"),
    "answered": _("The portal answered {status}; nothing was changed. Try again in a moment."),
    "unreachable_search": _("The search does not answer. Is the network up?"),
    "unreachable": _("The portal cannot be reached; nothing was changed. Is the network up?"),
}


def words() -> str:
    """The words of the active language as JSON."""
    return json.dumps({name: str(text) for name, text in WORDS.items()}, ensure_ascii=False, separators=(",", ":"))

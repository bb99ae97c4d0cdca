"""One timeline for each incident, which fills itself: docs/design/timeline.md."""

from __future__ import annotations

from apps.incidents.timeline.collecting import collect, collect_due
from apps.incidents.timeline.lines import Line, lines

__all__ = ["Line", "collect", "collect_due", "lines"]

"""News for the apps above. A sweep stands behind each, so a lost signal costs seconds."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit with episode_ids: list[int].
episodes_changed = Signal()

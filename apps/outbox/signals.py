"""News the apps above may want to hear. A sweep stands behind each, so a lost signal costs seconds."""

from __future__ import annotations

from django.dispatch import Signal

# Sent after the commit that dead-lettered them: service: str, dead_letter_ids: list[int].
message_died = Signal()

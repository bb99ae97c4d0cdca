"""Ask for a look at stored deliveries at once; the sweep looks anyway."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from apps.outbox.nudge import Nudger

nudge_now: Final = Nudger("alerts.process", "control")
nudge_silences: Final = Nudger("alerts.silences", "control")


def nudge() -> None:
    transaction.on_commit(nudge_now)

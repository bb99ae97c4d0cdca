from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "apps.alerts"

    def ready(self) -> None:
        from apps.outbox.signals import message_died

        message_died.connect(_heard_of_death, dispatch_uid="alerts.bounced")


def _heard_of_death(dead_letter_ids: list[int], **_: Any) -> None:
    from apps.alerts.bounced import heard_of_death

    heard_of_death(dead_letter_ids=dead_letter_ids)

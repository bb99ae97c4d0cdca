from __future__ import annotations

from typing import Any

from celery.signals import worker_process_shutdown
from django.apps import AppConfig


class BreakersConfig(AppConfig):
    name = "apps.breakers"
    label = "breakers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # A child of a prefork pool ends without atexit.
        worker_process_shutdown.connect(_stop, dispatch_uid="breakers.stop")


def _stop(**_: Any) -> None:
    from apps.breakers.runtime import RUNTIME

    RUNTIME.stop()

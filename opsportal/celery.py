"""The Celery application. Celery carries only "look now"; the database holds what must not be lost."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging
from kombu.transport.redis import Channel, QoS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsportal.settings")

app = Celery("opsportal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


class Forgetful(QoS):
    """A worker whose broker goes away would give back what it has not begun and acknowledge what it has, on a
    connection that is gone, and die of it. Nothing is lost without: a message says no more than "look now", and beat
    says the same again within seconds.
    """

    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        if getattr(self.channel.connection, "client", None) is not None:
            super().ack(delivery_tag)


Channel.QoS = Forgetful


@setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Django has configured logging already; a receiver here stops Celery from replacing it."""

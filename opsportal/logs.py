"""Logs are events with keys: ``log.info("delivery.failed", message_id=...)``."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog

from apps.core import context

TRAVELS = {"request_id": context.request_id, "tenant_id": context.tenant_id}


def add_context(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The ids of the request as rows and answers carry them; django-structlog would make up its own."""
    event.update({name: value for name, variable in TRAVELS.items() if (value := variable.get())})
    return event


SHARED_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    add_context,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
]


def logging_config(style: str, level: str) -> dict[str, Any]:
    """A ``logging`` configuration; ``style`` is ``json`` or ``console``."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED_PROCESSORS,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"portal": _formatter(style)},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "portal"}},
        "root": {"handlers": ["out"], "level": level},
        "loggers": {
            # Each request is an event of ours already; Django's own line would say it twice.
            "django.request": {"level": "ERROR"},
            "django.server": {"level": "WARNING"},
            "django_structlog": {"level": "WARNING"},
            "celery": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            "django_celery_beat": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
        },
    }


def _formatter(style: str) -> dict[str, Any]:
    renderer: Any = structlog.dev.ConsoleRenderer(colors=False)
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
        "foreign_pre_chain": SHARED_PROCESSORS,
    }

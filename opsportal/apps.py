"""The wiring as an app of its own: its commands, and what must happen after every migration."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    name = "opsportal"
    label = "opsportal"

    def ready(self) -> None:
        # Django sends the signal for apps with models only, so this listens to the one whose tables it fills.
        beat = apps.get_app_config("django_celery_beat")
        post_migrate.connect(_sync_schedule, sender=beat, dispatch_uid="opsportal.schedule")
        post_migrate.connect(_keep_grants, sender=beat, dispatch_uid="opsportal.grants")


def _sync_schedule(using: str, **_: Any) -> None:
    from django.db import connections

    from opsportal.schedule import sync_schedule

    # `migrate some_app zero` and the like may leave the tables away.
    if "django_celery_beat_periodictask" in connections[using].introspection.table_names():
        sync_schedule()


def _keep_grants(using: str, **_: Any) -> None:
    """Where the owner migrates, the application needs its grants on what is new."""
    import dj_database_url
    from django.conf import settings
    from django.db import connections

    from opsportal.database_roles import keep_grants

    if settings.MIGRATION_DATABASE_URL:
        keep_grants(connections[using], str(dj_database_url.parse(settings.APPLICATION_DATABASE_URL)["USER"]))

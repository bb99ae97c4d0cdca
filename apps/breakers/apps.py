from __future__ import annotations

from django.apps import AppConfig


class BreakersConfig(AppConfig):
    name = "apps.breakers"
    label = "breakers"
    default_auto_field = "django.db.models.BigAutoField"

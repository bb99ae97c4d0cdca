from __future__ import annotations

from django.apps import AppConfig


class PostmortemsConfig(AppConfig):
    name = "apps.postmortems"

    def ready(self) -> None:
        from apps.postmortems import receivers  # noqa: F401  binds them

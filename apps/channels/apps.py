from __future__ import annotations

from django.apps import AppConfig


class ChannelsConfig(AppConfig):
    name = "apps.channels"
    label = "channels"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from apps.channels.service_check import check_settings
        from apps.services.channel_checks import register_channel_check

        register_channel_check(check_settings)

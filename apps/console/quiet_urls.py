"""Addresses of silences and maintenance windows."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import quiet

urlpatterns: list[URLPattern] = [
    path("alerts/quiet", quiet.quiet, name="quiet"),
    path("alerts/quiet/silences/new", quiet.silence, name="silence-new"),
    path("alerts/quiet/silences/<int:silence_id>/extend", quiet.extend, name="silence-extend"),
    path("alerts/quiet/silences/<int:silence_id>/end", quiet.end_silence, name="silence-end"),
    path("alerts/quiet/maintenance/new", quiet.plan, name="maintenance-new"),
    path("alerts/quiet/maintenance/<int:window_id>", quiet.window, name="maintenance"),
    path("alerts/quiet/maintenance/<int:window_id>/change", quiet.change, name="maintenance-change"),
    path("alerts/quiet/maintenance/<int:window_id>/end", quiet.end_window, name="maintenance-end"),
]

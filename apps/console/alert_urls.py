"""Addresses of alerts: the list, one of them, and what is done with it."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import alerts, alerts_explain, alerts_one, alerts_work

urlpatterns: list[URLPattern] = [
    path("alerts", alerts.alerts, name="alerts"),
    path("alerts/acknowledge", alerts_work.acknowledge, name="alerts-acknowledge"),
    path("alerts/assign", alerts_work.assign, name="alerts-assign"),
    path("alerts/snooze", alerts_work.snooze, name="alerts-snooze"),
    path("alerts/undo/<int:entry_id>", alerts_work.undo, name="alerts-undo"),
    path("alerts/<int:episode_id>", alerts_one.alert, name="alert"),
    path("alerts/<int:episode_id>/take-back", alerts_work.take_back, name="alert-take-back"),
    path("alerts/<int:episode_id>/note", alerts_work.note, name="alert-note"),
    path("alerts/<int:episode_id>/wake", alerts_work.wake, name="alert-wake"),
    path(
        "alerts/<int:episode_id>/notifications/<int:notification_id>",
        alerts_explain.notification,
        name="alert-notification",
    ),
]

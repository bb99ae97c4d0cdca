"""Addresses of where alerts come from, and of what was posted."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import alert_deliveries as deliveries
from apps.console.views import alert_sources as sources

urlpatterns: list[URLPattern] = [
    path("alerts/sources", sources.sources, name="sources"),
    path("alerts/sources/new", sources.new, name="source-new"),
    path("alerts/sources/<slug:name>", sources.source, name="source"),
    path("alerts/sources/<slug:name>/settings", sources.settings, name="source-settings"),
    path("alerts/sources/<slug:name>/rotate", sources.rotate, name="source-rotate"),
    path("alerts/sources/<slug:name>/end-previous", sources.end_previous, name="source-end-previous"),
    path("alerts/sources/<slug:name>/disable", sources.disable, name="source-disable"),
    path("alerts/sources/<slug:name>/enable", sources.enable, name="source-enable"),
    path("alerts/refusals/<int:refusal_id>/clear", sources.clear_refusal, name="refusal-clear"),
    path("alerts/deliveries", deliveries.deliveries, name="alert-deliveries"),
    path("alerts/deliveries/<int:delivery_id>", deliveries.delivery, name="alert-delivery"),
    path("alerts/deliveries/<int:delivery_id>/reveal", deliveries.reveal, name="alert-delivery-reveal"),
    path("alerts/deliveries/<int:delivery_id>/download", deliveries.download, name="alert-delivery-download"),
    path("alerts/deliveries/<int:delivery_id>/retry", deliveries.retry, name="alert-delivery-retry"),
]

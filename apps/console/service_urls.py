"""The pages of services."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import service_pages, services

urlpatterns: list[URLPattern] = [
    path("services", services.services, name="services"),
    path("services/<slug:name>", services.service, name="service"),
    path("services/<slug:name>/override", services.override, name="service-override"),
    path("services/<slug:name>/test", services.test_now, name="service-test"),
    path("services/<slug:name>/pause", services.pause, name="service-pause"),
    path("services/<slug:name>/resume", services.resume, name="service-resume"),
    path("services/<slug:name>/history", service_pages.history, name="service-history"),
    path("services/<slug:name>/history/<int:event_id>", service_pages.history_event, name="service-event"),
    path("services/<slug:name>/what-if", service_pages.whatif, name="service-what-if"),
    path("services/<slug:name>/settings", service_pages.settings, name="service-settings"),
    path("services/<slug:name>/settings/history", service_pages.settings_history, name="service-versions"),
    path("services/<slug:name>/settings/history/<int:version>/restore", service_pages.restore, name="service-restore"),
]

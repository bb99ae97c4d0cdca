"""Addresses of the template pages. Names written before templates had rules may hold a slash."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import template_changes, templates

urlpatterns: list[URLPattern] = [
    path("templates", templates.templates, name="templates"),
    path("templates/new", templates.new, name="template-new"),
    path("templates/preview", templates.preview_typed, name="template-preview"),
    path("templates/<path:name>/activate", template_changes.activate, name="template-activate"),
    path("templates/<path:name>/archive", template_changes.archive, name="template-archive"),
    path("templates/<path:name>/test", template_changes.test, name="template-test"),
    path("templates/<path:name>", templates.template, name="template"),
]

"""Addresses of where alerts come from, and of what was posted."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

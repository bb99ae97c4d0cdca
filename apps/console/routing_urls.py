"""Addresses of the routing of alerts and of who is on call."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

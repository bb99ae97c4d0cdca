"""Addresses of alerts: the list, one of them, and what is done with it."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

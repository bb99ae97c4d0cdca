"""Wiring of the project: settings, URLs, Celery, logging. No domain code."""

from __future__ import annotations

from opsportal.celery import app as celery_app

__all__ = ["celery_app"]

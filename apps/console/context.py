"""What every page needs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.console.shell import portal_of


def portal(request: HttpRequest) -> dict[str, Any]:
    """``portal``: the frame of the page, looked up lazily."""
    return {"portal": portal_of(request)}

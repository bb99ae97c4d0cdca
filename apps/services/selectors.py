"""Reading services."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.core.errors import NotFound
from apps.services.models import Service


def list_services() -> QuerySet[Service]:
    """All services by name."""
    return Service.objects.order_by("name")


def get_service(name: str) -> Service:
    """The service; raises :class:`NotFound` with the names there are."""
    service = Service.objects.filter(pk=name).first()
    if service is None:
        known = ", ".join(Service.objects.values_list("name", flat=True)[:20]) or "none yet"
        raise NotFound(f"There is no service named {name!r}. Configured: {known}.", detail={"service": name})
    return service

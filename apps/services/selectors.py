"""Reading services."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.core.errors import NotFound
from apps.services.models import Service


def list_services() -> QuerySet[Service]:
    """All services by name."""
    return Service.objects.order_by("name")


def get_service(name: str) -> Service:
    """The service; raises :class:`NotFound` with the names there are."""
    service = Service.objects.filter(pk=name).first()
    if service is None:
        known = ", ".join(Service.objects.values_list("name", flat=True)[:20]) or _("none yet")
        text = _("There is no service named {name!r}. Configured: {known}.")
        raise NotFound(text.format(name=name, known=known), detail={"service": name})
    return service

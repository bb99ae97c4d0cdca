"""Posts of alerts: the list, one of them, its body as it came, and reading it again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.alerts import services
from apps.alerts.models import AlertDelivery, AlertSource
from apps.audit.services import record
from apps.console.selectors.alert_deliveries import (
    STATES,
    body_of,
    delivery_of,
    delivery_view,
)
from apps.console.selectors.alert_deliveries import deliveries as listed
from apps.console.selectors.alert_sources import megabytes
from apps.console.source_forms import DeliveryFilterForm
from apps.console.views.alert_sources import home
from apps.console.web import actor_of, crumbs, done, is_htmx, page, refused
from apps.core.actor import ALERTS_READ, MESSAGES_REVEAL, require
from apps.core.errors import PortalError
from apps.core.live import is_live, live_page
from apps.core.pagination import parse_cursor


def list_crumb() -> tuple[str, str]:
    return _("Posts"), reverse("alert-deliveries")


@page(ALERTS_READ)
@require_GET
def deliveries(request: HttpRequest) -> HttpResponse:
    sources = list(AlertSource.objects.order_by("name").values_list("pk", flat=True))
    form = DeliveryFilterForm(request.GET, sources=sources)
    given = form.cleaned_data if form.is_valid() else {}
    source, state = given.get("source", ""), given.get("state", "")
    found = listed(source=source, state=state, cursor=parse_cursor(request.GET.get("cursor")))
    context = {
        "form": form,
        "page": found,
        "rows": [(row, STATES[row.state], megabytes(row.size)) for row in found.items],
        "filtered": bool(source or state),
        "section": "sources",
        "crumbs": crumbs(home(), _("Posts")),
    }
    return live_page(request, "console/delivery_list.html", context)


@page(ALERTS_READ)
@require_GET
def delivery(request: HttpRequest, delivery_id: int) -> HttpResponse:
    return live_page(request, "console/delivery.html", _context(request, delivery_id, clear=False))


def _context(request: HttpRequest, delivery_id: int, *, clear: bool) -> dict[str, object]:
    view = delivery_view(delivery_id, after=_position(request))
    return {
        "view": view,
        "delivery": view.delivery,
        "size": megabytes(view.delivery.size),
        # It never changes, so a page that asks for its regions again does not read it again.
        "body": None if is_live(request) else body_of(view.delivery, clear=clear),
        "clear": clear,
        "section": "sources",
        "crumbs": crumbs(home(), list_crumb(), _("post {number}").format(number=delivery_id)),
    }


def _position(request: HttpRequest) -> int | None:
    """Behind which of its alerts the list goes on; the first is 0."""
    text = request.GET.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


@page(ALERTS_READ)
@require_POST
def reveal(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """With the addresses of people that stand in it, for this once. Who looked is in the audit trail."""
    actor = actor_of(request)
    require(actor, MESSAGES_REVEAL)
    found = delivery_of(delivery_id)
    record(actor=actor, action="alertdelivery.revealed", target=f"alertdelivery:{found.pk}")
    context = _context(request, delivery_id, clear=True)
    if is_htmx(request):
        response = render(request, "console/delivery_body.html", context)
    else:
        response = render(request, "console/delivery.html", {**context, "layout": "layouts/base.html"})
    response["Cache-Control"] = "private, no-store"
    return response


@page(ALERTS_READ)
@require_POST
def download(request: HttpRequest, delivery_id: int) -> HttpResponse:
    """The bytes as they came. People may be named in them, so it needs what revealing a message needs."""
    actor = actor_of(request)
    require(actor, MESSAGES_REVEAL)
    found = delivery_of(delivery_id)
    record(actor=actor, action="alertdelivery.downloaded", target=f"alertdelivery:{found.pk}")
    raw = bytes(AlertDelivery.objects.filter(pk=found.pk).values_list("body", flat=True)[0])
    # Never shown by a browser, whatever is in it.
    response = HttpResponse(raw, content_type="application/octet-stream")
    compressed = found.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip")
    name = f"delivery-{found.pk}.json{'.gz' if compressed else ''}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-store"
    return response


@page(ALERTS_READ)
@require_POST
def retry(request: HttpRequest, delivery_id: int) -> HttpResponse:
    url = reverse("alert-delivery", args=[delivery_id])
    try:
        services.retry_delivery(delivery_id=delivery_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    text = _("Post {number} is read again within seconds. If it still cannot be read, it is put aside again.")
    return done(request, text.format(number=delivery_id), url)

"""The outbox: search, one message, and what may be done to it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.audit.services import record
from apps.console import marks
from apps.console.bodies import mask_text, parts_of
from apps.console.export import messages_csv
from apps.console.forms import OptionalReasonForm
from apps.console.outbox_filters import STATUSES, OutboxFilterForm
from apps.console.selectors.messages import Door, message_page, timeline
from apps.console.shell import portal_of
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, may, page, posted, refused, show_dialog
from apps.core.actor import MESSAGES_READ, MESSAGES_REVEAL, MESSAGES_WRITE, require
from apps.core.clock import now
from apps.core.errors import PortalError
from apps.core.live import anchor, live_page
from apps.core.masking import mask_recipient
from apps.core.pagination import parse_cursor
from apps.outbox import actions
from apps.outbox.models import WAITING, DeadLetterState, Message
from apps.outbox.selectors import MessageDetail, message_detail


@page(MESSAGES_READ)
@require_GET
def outbox(request: HttpRequest) -> HttpResponse:
    portal = portal_of(request)
    form = _form(request)
    doors = {
        service.name: Door(service.paused_at is not None, str(portal.breakers[service.name].state))
        for service in portal.services
        if service.name in portal.breakers
    }
    found = message_page(form.filters(), doors, cursor=parse_cursor(request.GET.get("cursor")), anchor=anchor(request))
    counts = {"waiting": sum(row.waiting for row in portal.backlog.values())}
    counts |= {"sending": sum(row.sending for row in portal.backlog.values()), "dlq": portal.letters}
    chips = form.chips()
    context = {
        "form": form,
        "status": form.status,
        "states": [(key, label, counts.get(key)) for key, (label, _statuses) in STATUSES.items()],
        "chips": chips,
        "page": found,
        "filtered": bool(chips or form.status),
        "crumbs": crumbs(_("Outbox")),
    }
    return live_page(request, "console/outbox.html", context)


def _form(request: HttpRequest) -> OutboxFilterForm:
    services = portal_of(request).services
    form = OutboxFilterForm(request.GET, services=services, personal=may(request, MESSAGES_REVEAL))
    form.is_valid()
    return form


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def export(request: HttpRequest) -> HttpResponse:
    """The filtered list as CSV: masked by GET, in clear by POST with ``reveal``, which the trail keeps."""
    revealed = request.method == "POST" and "reveal" in request.POST
    if revealed:
        require(actor_of(request), MESSAGES_REVEAL)
    text = messages_csv(_form(request).filters(), actor=actor_of(request), revealed=revealed)
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="outbox-{now():%Y%m%d-%H%M%S}.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


@page(MESSAGES_READ)
@require_GET
def message(request: HttpRequest, message_id: int) -> HttpResponse:
    return live_page(request, "console/message.html", _message_context(request, message_detail(message_id)))


def _message_context(request: HttpRequest, detail: MessageDetail, *, revealed: bool = False) -> dict[str, object]:
    found = detail.message
    entries = timeline(detail)
    open_letter = next((letter for letter in detail.deaths if letter.state == DeadLetterState.OPEN), None)
    return {
        "detail": detail,
        "message": found,
        "mark": marks.MESSAGE[found.status],
        "entries": [(entry, entry.response if revealed else mask_text(entry.response)) for entry in entries],
        "parts": parts_of(found, revealed=revealed),
        "recipient": found.recipient if revealed else mask_recipient(found.recipient),
        "subject": found.subject if revealed else mask_text(found.subject),
        "revealed": revealed,
        "waits": found.status in WAITING,
        "open_letter": open_letter,
        "crumbs": crumbs(("Outbox", reverse("outbox")), f"message {found.pk}"),
    }


@page(MESSAGES_READ)
@require_POST
def reveal(request: HttpRequest, message_id: int) -> HttpResponse:
    """Show recipient, body and responses in clear, for this once. Who looked is in the audit trail."""
    actor = actor_of(request)
    require(actor, MESSAGES_REVEAL)
    detail = message_detail(message_id)
    record(actor=actor, action="message.revealed", target=f"message {message_id}")
    context = _message_context(request, detail, revealed=True)
    if request.headers.get("HX-Request") == "true":
        response = render(request, "console/message_content.html", context)
    else:
        response = render(request, "console/message.html", {**context, "layout": "layouts/base.html"})
    response["Cache-Control"] = "private, no-store"
    return response


@page(MESSAGES_READ)
@require_POST
def retry(request: HttpRequest, message_id: int) -> HttpResponse:
    url = reverse("message", args=[message_id])
    try:
        actions.retry_now(message_id=message_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, f"Message {message_id} is due now. Breaker, limits and the order of its key still hold.", url)


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, message_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, MESSAGES_WRITE)
    url = reverse("message", args=[message_id])
    form = OptionalReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            actions.cancel(message_id=message_id, actor=actor, reason=form.cleaned_data["reason"])
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, f"Message {message_id} is cancelled. It will not be sent.", url)
    return show_dialog(
        request, _cancel_dialog(message_detail(message_id).message, url), form, status=422 if form.errors else 200
    )


def _cancel_dialog(found: Message, url: str) -> Dialog:
    followers = "The next message of its ordering key may go then. " if found.ordering_key else ""
    return Dialog(
        heading=f"Cancel message {found.pk}",
        lead=f"To {found.service_id}, {mask_recipient(found.recipient) or 'no recipient'}.",
        consequences=(f"It will not be sent, and this cannot be undone. {followers}",),
        button="Cancel this message",
        button_class="danger-solid",
        cancel_label="Keep it",
        action_url=reverse("message-cancel", args=[found.pk]),
        back_url=url,
        crumbs=(("Outbox", reverse("outbox")), (f"message {found.pk}", url)),
    )

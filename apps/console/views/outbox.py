"""The outbox: search, one message, and what may be done to it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.audit.services import record
from apps.console import marks
from apps.console.bodies import as_curl, mask_text, parts_of
from apps.console.export import messages_csv
from apps.console.forms import OptionalReasonForm
from apps.console.outbox_filters import STATUSES, OutboxFilterForm
from apps.console.selectors.message import Story, find_message, story
from apps.console.selectors.messages import Door, message_page
from apps.console.shell import portal_of
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, may, page, posted, refused, show_dialog
from apps.core.actor import AUDIT_READ, MESSAGES_READ, MESSAGES_REVEAL, MESSAGES_WRITE, require
from apps.core.clock import now
from apps.core.errors import PortalError
from apps.core.live import anchor, live_page
from apps.core.masking import mask_recipient
from apps.core.pagination import parse_cursor
from apps.outbox import actions
from apps.outbox.models import WAITING, Message


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
    return live_page(request, "console/message.html", _message_context(request, _story(request, message_id)))


def _story(request: HttpRequest, message_id: int) -> Story:
    portal = portal_of(request)
    return story(message_id, breakers=portal.breakers, backlog=portal.backlog, may_read_trail=may(request, AUDIT_READ))


def _message_context(request: HttpRequest, told: Story, *, revealed: bool = False) -> dict[str, object]:
    found = told.detail.message
    service = found.service
    return {
        "story": told,
        "detail": told.detail,
        "message": found,
        "mark": marks.MESSAGE[found.status],
        "entries": [(entry, entry.response if revealed else mask_text(entry.response)) for entry in told.entries],
        "parts": parts_of(found, revealed=revealed),
        "curl": as_curl(found, service, revealed=revealed),
        "recipient": found.recipient if revealed else mask_recipient(found.recipient),
        "subject": found.subject if revealed else mask_text(found.subject),
        "revealed": revealed,
        "waits": found.status in WAITING,
        "open_letter": told.open_letter,
        "crumbs": crumbs((_("Outbox"), reverse("outbox")), _("message {id}").format(id=found.pk)),
    }


@page(MESSAGES_READ)
@require_POST
def reveal(request: HttpRequest, message_id: int) -> HttpResponse:
    """Show recipient, body and responses in clear, for this once. Who looked is in the audit trail."""
    actor = actor_of(request)
    require(actor, MESSAGES_REVEAL)
    told = _story(request, message_id)
    record(actor=actor, action="message.revealed", target=f"message {message_id}")
    context = _message_context(request, told, revealed=True)
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
    text = _("Message {id} is due now. Breaker, limits and the order of its key still hold.")
    return done(request, text.format(id=message_id), url)


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
            return done(request, _("Message {id} is cancelled. It will not be sent.").format(id=message_id), url)
    return show_dialog(request, _cancel_dialog(find_message(message_id), url), form, status=422 if form.errors else 200)


def _cancel_dialog(found: Message, url: str) -> Dialog:
    effects = [_("It will not be sent, and this cannot be undone.")]
    if found.ordering_key:
        effects.append(_("The next message of its ordering key may go then."))
    lead = _("To {service}, {recipient}.")
    return Dialog(
        heading=_("Cancel message {id}").format(id=found.pk),
        lead=lead.format(service=found.service_id, recipient=mask_recipient(found.recipient) or _("no recipient")),
        consequences=(" ".join(effects),),
        button=_("Cancel this message"),
        button_class="danger-solid",
        cancel_label=_("Keep it"),
        action_url=reverse("message-cancel", args=[found.pk]),
        back_url=url,
        crumbs=((_("Outbox"), reverse("outbox")), (_("message {id}").format(id=found.pk), url)),
    )

"""A post-mortem leaves the portal: as a file, or to an issue tracker."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.console.action_item_forms import PushForm
from apps.console.web import Dialog, actor_of, add_errors, done, page, posted, show_dialog
from apps.core.actor import INCIDENTS_READ, INCIDENTS_WORK, require
from apps.core.errors import PortalError
from apps.postmortems.exporting.page import policy
from apps.postmortems.exporting.service import export as export_file
from apps.postmortems.item_selectors import items_of
from apps.postmortems.pushing import push as push_to
from apps.postmortems.pushing import trackers
from apps.postmortems.selectors import get_postmortem


@page(INCIDENTS_READ)
@require_GET
def export(request: HttpRequest, postmortem_id: int, form: str) -> HttpResponse:
    exported = export_file(actor=actor_of(request), postmortem_id=postmortem_id, form=form)
    headers = {
        "Content-Disposition": f'attachment; filename="{exported.name}"',
        # Should a browser show the file after all, it is a page of no origin in which nothing runs, in no frame.
        "Content-Security-Policy": f"sandbox; {policy()}; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HttpResponse(exported.content, content_type=exported.content_type, headers=headers)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def push(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, INCIDENTS_WORK)
    postmortem, services = get_postmortem(postmortem_id), trackers()
    form = PushForm(posted(request), services=services, initial={"token": uuid.uuid4().hex})
    status = 200
    if form.is_bound and form.is_valid():
        try:
            made = push_to(actor=actor, postmortem_id=postmortem_id, **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
            status = error.status
        else:
            text = ngettext("{n} message is on its way.", "{n} messages are on their way.", len(made))
            return done(request, text.format(n=len(made)), reverse("postmortem", args=[postmortem.pk]))
    elif form.is_bound:
        status = 422
    return show_dialog(
        request, _push_dialog(postmortem.pk, len(items_of(postmortem.pk)), services), form, status=status
    )


def _push_dialog(number: int, count: int, services: list[str]) -> Dialog:
    items = ngettext("{n} action item becomes a work item too.", "{n} action items become work items too.", count)
    effects = (
        _("PM-{number} becomes a work item.").format(number=number),
        items.format(n=count),
        _("What was pushed before is brought up to date, not doubled."),
    )
    none = _("There is no service of the Plane channel yet: add one to config/services.yaml.")
    return Dialog(
        heading=_("Push PM-{number} to an issue tracker").format(number=number),
        consequences=effects if services else (none,),
        button=_("Push"),
        action_url=reverse("postmortem-push", args=[number]),
        back_url=reverse("postmortem", args=[number]),
        crumbs=((_("Post-mortems"), reverse("postmortems")),),
        blocked=not services,
    )

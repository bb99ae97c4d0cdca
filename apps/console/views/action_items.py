"""Action items: the list, one of them, and what a person does with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console.action_item_forms import DropForm, ItemFilterForm, ItemForm
from apps.console.selectors.action_items import item_context, rows_of
from apps.console.selectors.letters import people
from apps.console.web import Dialog, actor_of, add_errors, back_url, crumbs, done, page, posted, refused, show_dialog
from apps.core.actor import INCIDENTS_READ, INCIDENTS_WORK, require
from apps.core.errors import PortalError
from apps.core.live import live_page
from apps.postmortems import items
from apps.postmortems.item_selectors import SHOWN, ItemFilters, item_counts, item_page, owners
from apps.postmortems.selectors import get_postmortem

ROWS: Final = 50
# Does what a form says, and says so.
Act = Callable[[dict[str, Any]], str]
WORDS: Final = {
    "open": gettext_lazy("Open"),
    "overdue": gettext_lazy("Overdue"),
    "done": gettext_lazy("Done"),
    "dropped": gettext_lazy("Dropped"),
    "all": gettext_lazy("All"),
}


def home() -> tuple[str, str]:
    return _("Action items"), reverse("action-items")


# --- looking ------------------------------------------------------------------------------------
@page(INCIDENTS_READ)
@require_GET
def action_items(request: HttpRequest) -> HttpResponse:
    me, today = str(actor_of(request)), timezone.localdate()
    form = ItemFilterForm(request.GET, me=me, people=owners())
    given, state = form.given(), request.GET.get("state", "")
    show = state if state in SHOWN else "open"
    filters = ItemFilters(today=today, show=show, owner=given["owner"], text=given["q"])
    found = item_page(filters, cursor=request.GET.get("cursor", ""), limit=ROWS)
    counts = item_counts(today, me)
    known = {"open": counts.open, "overdue": counts.overdue}
    context = {
        "page": found,
        "rows": rows_of(found.items),
        "counts": counts,
        "form": form,
        "state": show,
        "states": [(name, WORDS[name], known.get(name)) for name in SHOWN],
        "kept": {"state": "" if show == "open" else show},
        "mine": given["owner"] == me.lower(),
        "filtered": bool(filters.owner or filters.text),
        "clear_url": reverse("action-items"),
        "crumbs": crumbs((_("Post-mortems"), reverse("postmortems")), home()[0]),
    }
    return live_page(request, "console/action_items_page.html", context)


@page(INCIDENTS_READ)
@require_GET
def action_item(request: HttpRequest, item_id: int) -> HttpResponse:
    item = items.get(item_id)
    context = {**item_context(item), "crumbs": crumbs(home(), str(item.pk))}
    return live_page(request, "console/action_item.html", context)


# --- doing --------------------------------------------------------------------------------------
def _asked(
    request: HttpRequest, dialog: Dialog, form: forms.Form, act: Callable[[dict[str, Any]], str]
) -> HttpResponse:
    """Show the form, or do what it says and go back to where it was opened."""
    status = 200
    if form.is_bound and form.is_valid():
        try:
            said = act(form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
            status = error.status
        else:
            return done(request, said, dialog.back_url)
    elif form.is_bound:
        status = 422
    return show_dialog(request, dialog, form, status=status)


def _with_people(form: ItemForm) -> ItemForm:
    form.fields["owner"].widget.attrs["list"] = "owners"
    return form


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, INCIDENTS_WORK)
    postmortem = get_postmortem(postmortem_id)
    url = reverse("postmortem", args=[postmortem.pk])
    dialog = Dialog(
        heading=_("Promise something after PM-{number}").format(number=postmortem.pk),
        lead=postmortem.title,
        button=_("Add it"),
        action_url=reverse("action-item-new", args=[postmortem.pk]),
        back_url=url,
        template="console/action_item_dialog.html",
        crumbs=(home(),),
        extra={"people": people()},
    )

    def act(given: dict[str, Any]) -> str:
        items.create(actor=actor, postmortem_id=postmortem.pk, **given)
        return _("Promised. {owner} will be reminded.").format(owner=given["owner"])

    return _asked(request, dialog, _with_people(ItemForm(posted(request), initial={"owner": str(actor)})), act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, item_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, INCIDENTS_WORK)
    item = items.get(item_id)
    dialog = Dialog(
        heading=_("Change action item {number}").format(number=item.pk),
        button=_("Save"),
        action_url=reverse("action-item-edit", args=[item.pk]),
        back_url=reverse("action-item", args=[item.pk]),
        template="console/action_item_dialog.html",
        crumbs=(home(),),
        extra={"people": people()},
    )

    def act(given: dict[str, Any]) -> str:
        items.edit(actor=actor, item_id=item.pk, **given)
        return _("Saved.")

    first = {"text": item.text, "owner": item.owner, "due": item.due}
    form = ItemForm(posted(request), initial=first)
    return _asked(request, dialog, _with_people(form), act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def drop(request: HttpRequest, item_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, INCIDENTS_WORK)
    item = items.get(item_id)
    dialog = Dialog(
        heading=_("Drop action item {number}?").format(number=item.pk),
        lead=item.text,
        consequences=(_("Nobody is reminded of it any more, and it does not come up with the next such alert."),),
        button=_("Drop it"),
        button_class="danger-solid",
        cancel_label=_("Keep it"),
        action_url=reverse("action-item-drop", args=[item.pk]),
        back_url=reverse("action-item", args=[item.pk]),
        crumbs=(home(),),
    )

    def act(given: dict[str, Any]) -> str:
        items.drop(actor=actor, item_id=item.pk, reason=given["reason"])
        return _("Dropped. It can be taken up again.")

    return _asked(request, dialog, DropForm(posted(request)), act)


@page(INCIDENTS_READ)
@require_POST
def finish(request: HttpRequest, item_id: int) -> HttpResponse:
    back = back_url(request)
    try:
        item = items.finish(actor=actor_of(request), item_id=item_id)
    except PortalError as error:
        return refused(request, error, back)
    undo = reverse("action-item-reopen", args=[item.pk])
    return done(request, _("Done: {text}").format(text=item.text), back, undo=undo)


@page(INCIDENTS_READ)
@require_POST
def reopen(request: HttpRequest, item_id: int) -> HttpResponse:
    back = back_url(request)
    try:
        item = items.reopen(actor=actor_of(request), item_id=item_id)
    except PortalError as error:
        return refused(request, error, back)
    return done(request, _("Taken up again: {text}").format(text=item.text), back)

"""A person's own views: lists with their filters, saved under a name."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts import saved_views as service
from apps.accounts.models import SavedView, User
from apps.console.forms import text_input
from apps.console.shell import link_of
from apps.console.web import Dialog, add_errors, crumbs, done, page, posted, show_dialog
from apps.core.actor import MESSAGES_READ
from apps.core.errors import Invalid, PortalError
from apps.core.live import live_page

PAGE_NAMES: Final = {
    "outbox": gettext_lazy("Outbox"),
    "dead-letters": gettext_lazy("Dead letters"),
    "letters": gettext_lazy("All letters"),
    "cause": gettext_lazy("Cause"),
    "replays": gettext_lazy("Replays"),
    "audit": gettext_lazy("Audit trail"),
    "templates": gettext_lazy("Templates"),
    "services": gettext_lazy("Services"),
}


class ViewForm(forms.Form):
    """``page`` and ``query`` say what is saved; they come from the page, not from the person's hand."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=service.LONGEST_NAME,
        widget=text_input(autofocus=True),
        error_messages={"required": gettext_lazy("Give it a name you will find it by.")},
    )
    page = forms.CharField(widget=forms.HiddenInput, required=False)
    query = forms.CharField(widget=forms.HiddenInput, required=False)


class NameForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=service.LONGEST_NAME, widget=text_input(autofocus=True)
    )


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # the page decorator has seen to it
    return request.user


def page_label(view: SavedView) -> str:
    """``Outbox``; a page that has gone keeps its own name."""
    name = view.page.partition(":")[0]
    return str(PAGE_NAMES.get(name, name))


@page(MESSAGES_READ)
@require_GET
def views(request: HttpRequest) -> HttpResponse:
    """All of one's views, with what they filter by."""
    rows = [(view, link_of(view), page_label(view)) for view in service.views_of(_person(request))]
    return live_page(request, "console/views.html", {"rows": rows, "crumbs": crumbs(_("Saved views"))})


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    form = ViewForm(posted(request), initial={name: request.GET.get(name, "") for name in ("page", "query")})
    given = request.POST if request.method == "POST" else request.GET
    back = _url(given.get("page", ""), given.get("query", ""))
    if request.method == "POST" and form.is_valid():
        try:
            view = service.save_view(person=_person(request), **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _("View {name} is saved.").format(name=view.name), link_of(view) or back)
    dialog = Dialog(
        heading=_("Save this view"),
        lead=_("The filters of this page under a name, for you alone."),
        button=_("Save view"),
        action_url=reverse("view-new"),
        back_url=back,
        crumbs=_way(),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _url(page_key: str, query: str) -> str:
    """Where a page with its filters is. Raises Invalid for what is no page of ours."""
    found = link_of(SavedView(page=page_key, query=service.clean_query(query)))
    if not found:
        raise Invalid.field("page", _("is not a page that can be saved"))
    return found


def _way() -> tuple[tuple[str, str], ...]:
    return ((_("Saved views"), reverse("views")),)


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def rename(request: HttpRequest, view_id: int) -> HttpResponse:
    view = service.own_view(_person(request), view_id)
    form = NameForm(posted(request), initial={"name": view.name})
    if request.method == "POST" and form.is_valid():
        try:
            view = service.rename_view(person=_person(request), view_id=view_id, name=form.cleaned_data["name"])
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _("The view is called {name} now.").format(name=view.name), reverse("views"))
    dialog = Dialog(heading=_("Rename {name}").format(name=view.name), button=_("Rename"), **_asks(view, "rename"))
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, view_id: int) -> HttpResponse:
    view = service.own_view(_person(request), view_id)
    if request.method == "POST":
        service.delete_view(person=_person(request), view_id=view_id)
        return done(request, _("View {name} is deleted.").format(name=view.name), reverse("views"))
    dialog = Dialog(
        heading=_("Delete the view {name}").format(name=view.name),
        button=_("Delete view"),
        button_class="danger-solid",
        cancel_label=_("Keep it"),
        consequences=(_("Only the name and its filters go; nothing of what it shows is touched."),),
        **_asks(view, "delete"),
    )
    return show_dialog(request, dialog, forms.Form())


def _asks(view: SavedView, verb: str) -> dict[str, Any]:
    return {
        "lead": page_label(view),
        "action_url": reverse(f"view-{verb}", args=[view.pk]),
        "back_url": reverse("views"),
        "crumbs": _way(),
    }

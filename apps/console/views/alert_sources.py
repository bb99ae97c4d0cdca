"""Where alerts come from: the delivery-health board, one source, and what may be changed of it."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.alerts import services
from apps.alerts.models import AlertSource, SourceKind
from apps.alerts.services import NewToken
from apps.console.forms import OptionalReasonForm, ReasonForm
from apps.console.selectors import source_fixes
from apps.console.selectors.alert_deliveries import newest_deliveries
from apps.console.selectors.alert_sources import SourceView, board, fixes_of, megabytes, source_view
from apps.console.source_forms import SourceForm, SourceSettingsForm, initial_of
from apps.console.web import (
    Crumb,
    Dialog,
    actor_of,
    add_errors,
    crumbs,
    done,
    is_htmx,
    page,
    posted,
    refused,
    show_dialog,
)
from apps.core.actor import ALERTS_EDIT, ALERTS_READ, require
from apps.core.clock import now
from apps.core.errors import NotFound, PortalError
from apps.core.live import live_page

Way = tuple[tuple[str, str] | str, ...]


def post_url(request: HttpRequest) -> str:
    """Where sources post to, as this browser reaches it."""
    return request.build_absolute_uri("/webhooks/alertmanager")


def home() -> tuple[str, str]:
    return _("Sources"), reverse("sources")


def _at(name: str) -> Way:
    return home(), (name, reverse("source", args=[name]))


@page(ALERTS_READ)
@require_GET
def sources(request: HttpRequest) -> HttpResponse:
    found = board(now(), post_url(request))
    context = {
        "board": found,
        "counts": _counts(found.sources),
        "section": "sources",
        "crumbs": crumbs(_("Alert sources")),
    }
    return live_page(request, "console/source_board.html", context)


def _counts(views: list[SourceView]) -> dict[str, int]:
    others = [view for view in views if not view.ours]
    return {
        "sources": len(others),
        "posts": sum(view.day.posts for view in others),
        "alerts": sum(view.day.alerts for view in others),
        "unwell": sum(view.worst in ("bad", "warning") for view in others),
    }


@page(ALERTS_READ)
@require_GET
def source(request: HttpRequest, name: str) -> HttpResponse:
    url = post_url(request)
    view = source_view(name, now(), url)
    context = {
        "view": view,
        "source": view.source,
        "largest": megabytes(view.day.largest) if view.day.largest else "",
        "deliveries": newest_deliveries(name),
        "fixes": fixes_of(view, url),
        "section": "sources",
        "crumbs": crumbs(home(), name),
    }
    return live_page(request, "console/source.html", context)


# --- changes ----------------------------------------------------------------------------------------
@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_EDIT)
    form = SourceForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_source(actor=actor, **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            return _shown_once(request, made)
    dialog = Dialog(
        heading=_("Add a source of alerts"),
        lead=_("It gets a token of its own, shown once. Only its hash is kept."),
        button=_("Add the source"),
        action_url=reverse("source-new"),
        back_url=reverse("sources"),
        crumbs=(home(),),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _shown_once(request: HttpRequest, made: NewToken) -> HttpResponse:
    """An answer to a POST that nobody keeps: not the session, not the browser, not the logs."""
    context = {
        "source": made.source,
        "raw": made.token,
        "token_file": source_fixes.TOKEN_FILE,
        "snippet": source_fixes.receiver(made.source, post_url(request)),
        "test": source_fixes.test_post(made.source, post_url(request)),
        "grafana": made.source.kind == SourceKind.GRAFANA,
        "crumbs": [*crumbs(home()), Crumb(made.source.name)],
    }
    template = "console/source_token_body.html" if is_htmx(request) else "console/source_token.html"
    response = render(request, template, context)
    response["Cache-Control"] = "private, no-store"
    return response


def _changeable(name: str) -> AlertSource:
    """Raises NotFound, also for the portal's own: nothing of it can be changed."""
    found = AlertSource.objects.filter(pk=name).exclude(kind=SourceKind.PORTAL).first()
    if found is None:
        raise NotFound(_("There is no source of alerts named {name} that could be changed.").format(name=name))
    return found


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_EDIT)
    found = _changeable(name)
    form = SourceSettingsForm(posted(request), initial=initial_of(found))
    if not found.api_secret:
        form.fields["secret"].help_text = _("None is stored.")
    url = reverse("source", args=[name])
    if request.method == "POST" and form.is_valid():
        try:
            services.change_source(name=name, actor=actor, **form.values())
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _("The settings of {name} are changed.").format(name=name), url)
    dialog = Dialog(
        heading=_("Settings of {name}").format(name=name),
        lead=_("An address on another host takes the stored secret away."),
        button=_("Save settings"),
        action_url=reverse("source-settings", args=[name]),
        back_url=url,
        crumbs=_at(name),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def rotate(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_EDIT)
    found = _changeable(name)
    form = forms.Form(posted(request))
    if request.method == "POST":
        return _shown_once(request, services.rotate_token(name=name, actor=actor))
    effects = [_("The token in use now stays good until the next rotation, or until you end it.")]
    if found.previous_token_hash is not None:
        effects.append(_("The one before it is refused from now on."))
    dialog = Dialog(
        heading=_("A new token for {name}").format(name=name),
        lead=_("It is shown once. Nothing is refused meanwhile."),
        consequences=tuple(effects),
        button=_("Make a new token"),
        action_url=reverse("source-rotate", args=[name]),
        back_url=reverse("source", args=[name]),
        crumbs=_at(name),
    )
    return show_dialog(request, dialog, form)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def end_previous(request: HttpRequest, name: str) -> HttpResponse:
    def act(_form: forms.Form) -> str:
        services.end_previous_token(name=name, actor=actor_of(request))
        return _("Only the newest token of {name} is good now.").format(name=name)

    dialog = Dialog(
        heading=_("End the older token of {name}").format(name=name),
        lead=_("Whoever still posts with it is refused from now on, and counted among the refusals."),
        button=_("End the older token"),
        button_class="danger-solid",
        action_url=reverse("source-end-previous", args=[name]),
        back_url=reverse("source", args=[name]),
        crumbs=_at(name),
    )
    return _asked(request, name, forms.Form(posted(request)), dialog, act)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def disable(request: HttpRequest, name: str) -> HttpResponse:
    def act(form: forms.Form) -> str:
        services.disable_source(name=name, actor=actor_of(request), reason=form.cleaned_data["reason"])
        return _("Posts of {name} are refused from now on.").format(name=name)

    dialog = Dialog(
        heading=_("Disable {name}").format(name=name),
        lead=_("Its posts are refused: what fires there pages nobody. What it sent is kept."),
        consequences=(_("Alertmanager does not repeat what was refused and has ended meanwhile: that is lost."),),
        button=_("Disable {name}").format(name=name),
        button_class="danger-solid",
        action_url=reverse("source-disable", args=[name]),
        back_url=reverse("source", args=[name]),
        crumbs=_at(name),
    )
    return _asked(request, name, ReasonForm(posted(request)), dialog, act)


def _asked(
    request: HttpRequest, name: str, form: forms.Form, dialog: Dialog, act: Callable[[forms.Form], str]
) -> HttpResponse:
    """A dialog about a source, and what its button does."""
    require(actor_of(request), ALERTS_EDIT)
    _changeable(name)
    if request.method == "POST" and form.is_valid():
        try:
            return done(request, act(form), dialog.back_url)
        except PortalError as error:
            add_errors(form, error)
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(ALERTS_READ)
@require_POST
def enable(request: HttpRequest, name: str) -> HttpResponse:
    url = reverse("source", args=[name])
    form = OptionalReasonForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    try:
        services.enable_source(name=name, actor=actor_of(request), reason=reason)
    except PortalError as error:
        return refused(request, error, url)
    return done(request, _("Posts of {name} are taken again.").format(name=name), url)


@page(ALERTS_READ)
@require_POST
def clear_refusal(request: HttpRequest, refusal_id: int) -> HttpResponse:
    url = reverse("sources")
    try:
        services.forget_refusal(refusal_id=refusal_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, _("Cleared. Should it happen again, it is counted anew."), url)

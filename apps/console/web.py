"""What the views share: who asks, expected errors as pages, dialogs as forms that work without script too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import User
from apps.console.selectors.vitals import forget
from apps.console.shell import portal_of
from apps.core.actor import Actor, require
from apps.core.errors import PortalError
from apps.core.http import client_ip
from apps.core.live import is_live

HEADINGS: Final = {
    403: gettext_lazy("Your role does not include this"),
    404: gettext_lazy("This is not here"),
    409: gettext_lazy("This has changed meanwhile"),
    422: gettext_lazy("This cannot be done as it is"),
}


@dataclass(frozen=True, slots=True)
class Crumb:
    label: str
    url: str = ""


def crumbs(*path: tuple[str, str] | str) -> list[Crumb]:
    """The way to a page: ``("Services", url), "midtrans"``."""
    return [Crumb(step) if isinstance(step, str) else Crumb(*step) for step in path]


def actor_of(request: HttpRequest) -> Actor:
    """The person who asks, with the address they ask from."""
    user = request.user
    if not isinstance(user, User):
        raise TypeError("a page needs a person who is logged in")
    return user.as_actor(client_ip(request))


View = Callable[..., HttpResponse]


def page(permission: str) -> Callable[[View], View]:
    """A view that needs ``permission`` to look at, and whose expected errors are shown in words."""

    def wrap(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                require(actor_of(request), permission)
                return view(request, *args, **kwargs)
            except PortalError as error:
                return error_page(request, error)

        return guarded

    return wrap


def error_page(request: HttpRequest, error: PortalError) -> HttpResponse:
    """``error`` as a page, or in the dialog that was open."""
    context = {
        "heading": HEADINGS.get(error.status, _("This did not work")),
        "message": error.message,
        "back_url": back_url(request),
        "crumbs": crumbs((_("Overview"), reverse("overview")), _("Error")),
    }
    template = "components/dialog_error.html" if is_htmx(request) else "console/error.html"
    return render(request, template, context, status=error.status)


def is_htmx(request: HttpRequest) -> bool:
    """Asked by htmx for a piece of a page (a poll of live regions asks for the page itself)."""
    return request.headers.get("HX-Request") == "true" and not is_live(request)


def back_url(request: HttpRequest) -> str:
    """Where the person came from, if that is one of our pages."""
    origin = f"{request.scheme}://{request.get_host()}"
    came = request.headers.get("Referer", "")
    return came.removeprefix(origin) if came.startswith(f"{origin}/") else reverse("overview")


def done(request: HttpRequest, text: str, url: str, *, undo: str = "") -> HttpResponse:
    """Say what was done and go on to ``url``: a redirect, told to htmx in its own words. ``undo`` is the address
    that a button beside these words posts to.
    """
    forget()
    messages.success(request, text, extra_tags=undo)
    if is_htmx(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def refused(request: HttpRequest, error: PortalError, url: str) -> HttpResponse:
    """A button that needs no dialog was refused: say why on the page it stands on."""
    messages.error(request, error.message)
    if is_htmx(request):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return HttpResponseRedirect(url)


def posted(request: HttpRequest) -> QueryDict | None:
    """What was sent, also when it is nothing; None when the form is only asked for."""
    return request.POST if request.method == "POST" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialog:
    """What a dialog asks. ``consequences`` say what will happen, and to how many."""

    heading: str
    button: str
    action_url: str
    back_url: str
    lead: str = ""
    consequences: tuple[str, ...] = ()
    button_class: str = "primary"
    cancel_label: str = ""
    blocked: bool = False
    template: str = "components/dialog.html"
    crumbs: tuple[tuple[str, str] | str, ...] = ()
    extra: dict[str, Any] | None = None
    wide: bool = False


def show_dialog(request: HttpRequest, dialog: Dialog, form: forms.Form, *, status: int = 200) -> HttpResponse:
    """The dialog's content for htmx; a page of its own otherwise."""
    context = {
        "heading": dialog.heading,
        "lead": dialog.lead,
        "button": dialog.button,
        "button_class": dialog.button_class,
        "cancel_label": dialog.cancel_label,
        "action_url": dialog.action_url,
        "back_url": dialog.back_url,
        "consequences": dialog.consequences,
        "blocked": dialog.blocked,
        "wide": dialog.wide,
        "form": form,
        "dialog_template": dialog.template,
        "crumbs": crumbs(*dialog.crumbs, dialog.heading),
        **(dialog.extra or {}),
    }
    template = dialog.template if is_htmx(request) else "console/form_page.html"
    return render(request, template, context, status=status)


def add_errors(form: forms.Form, error: PortalError) -> None:
    """Put an error of the service layer onto the fields it names (``retry.base`` onto ``retry``), else on top."""
    problems = error.detail if isinstance(error.detail, list) else []
    named = [item for item in problems if isinstance(item, dict) and "field" in item]
    for problem in named:
        field, text = str(problem["field"]), str(problem.get("message", error.message))
        section = field.partition(".")[0]
        if field in form.fields:
            form.add_error(field, text)
        else:
            form.add_error(section if section in form.fields else None, f"{field}: {text}")
    if not named:
        form.add_error(None, error.message)


def may(request: HttpRequest, permission: str) -> bool:
    """For what a page shows; the service layer checks again."""
    return permission in portal_of(request).permissions

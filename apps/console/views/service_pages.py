"""More about one service: the history of its breaker, its settings and their versions, and what-if."""

from __future__ import annotations

import json
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.breakers.selectors import event
from apps.console.selectors.service import describe, events
from apps.console.selectors.whatif import REPLAYABLE, what_if
from apps.console.service_forms import SETTINGS_SECTIONS, RestoreForm, ServiceForm, WhatIfForm
from apps.console.views.services import home
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, page, posted, show_dialog
from apps.core.actor import SERVICES_EDIT, SERVICES_READ, require
from apps.core.errors import Invalid, PortalError
from apps.core.live import live_page
from apps.core.pagination import parse_cursor
from apps.services import services as registry
from apps.services.models import Service
from apps.services.policies import BreakerPolicy
from apps.services.selectors import get_service
from apps.services.shown import shown_definition
from apps.services.versions import compared, drift, version_of, versions

BREAKER: Final = "breaker."


def _at(name: str) -> tuple[str, str]:
    return name, reverse("service", args=[name])


# --- the history of the breaker ------------------------------------------------------------------
@page(SERVICES_READ)
@require_GET
def history(request: HttpRequest, name: str) -> HttpResponse:
    found = get_service(name)
    shown, cursor = events(name, parse_cursor(request.GET.get("cursor")))
    context = {
        "service": found,
        "events": shown,
        "next_cursor": cursor,
        "crumbs": crumbs(home(), _at(name), _("History")),
    }
    return live_page(request, "console/history.html", context)


@page(SERVICES_READ)
@require_GET
def history_event(request: HttpRequest, name: str, event_id: int) -> HttpResponse:
    """One event with all that was frozen in it."""
    entry = event(name, event_id)
    url = reverse("service-history", args=[name])
    item = describe(entry)
    context = {
        "name": name,
        "item": item,
        "entry": entry,
        "crumbs": crumbs(home(), _at(name), (_("History"), url), item.title),
    }
    return live_page(request, "console/history_event.html", context)


# --- settings ------------------------------------------------------------------------------------
@page(SERVICES_READ)
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, SERVICES_EDIT)
    found = get_service(name)
    url = reverse("service", args=[name])
    form = ServiceForm(posted(request), initial=_initial(found, request))
    if request.method == "POST" and form.is_valid():
        try:
            registry.update_service(
                name=name,
                changes=form.changes(),
                actor=actor,
                reason=form.cleaned_data["reason"],
                seen_version=form.cleaned_data["seen_version"],
            )
        except PortalError as error:
            add_errors(form, error)
        else:
            text = _("The settings of {name} are changed. Every process follows within a second or two.")
            return done(request, text.format(name=name), url)
    dialog = Dialog(
        heading=_("Settings of {name}").format(name=name),
        lead=_("What is left out takes its default. A secret never stands here: secret_ref names where it is."),
        button=_("Save settings"),
        action_url=reverse("service-settings", args=[name]),
        back_url=url,
        crumbs=(home(), _at(name)),
        wide=True,
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _initial(found: Service, request: HttpRequest) -> dict[str, Any]:
    stored = {name: getattr(found, name) for name, _label, _help in SETTINGS_SECTIONS}
    stored["breaker"] = _prefilled(found.breaker, request)
    sections = {name: json.dumps(value, indent=2, ensure_ascii=False) for name, value in stored.items()}
    return {
        **sections,
        "owner": found.owner,
        "runbook_url": found.runbook_url,
        "seen_version": found.config_version,
    }


def _prefilled(stored: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
    """The breaker's settings with what a what-if asked about put in; nothing is saved by looking."""
    found = dict(stored)
    for option in REPLAYABLE:
        text = request.GET.get(f"{BREAKER}{option}")
        if text == "":
            found.pop(option, None)
        elif text is not None:
            found[option] = _number(option, text)
    return found


def _number(option: str, text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        raise Invalid.field(f"{BREAKER}{option}", _("is not a number")) from None
    return int(value) if value.is_integer() else value


@page(SERVICES_READ)
@require_GET
def settings_history(request: HttpRequest, name: str) -> HttpResponse:
    found = get_service(name)
    shown, kept = versions(name, cursor=parse_cursor(request.GET.get("cursor")))
    context = {
        "service": found,
        "versions": shown,
        "next_cursor": kept.next_cursor,
        "drift": drift(found),
        "settings": json.dumps(shown_definition(found), indent=2, ensure_ascii=False, default=str),
        "crumbs": crumbs(home(), _at(name), _("Settings")),
    }
    return live_page(request, "console/settings_history.html", context)


@page(SERVICES_READ)
@require_http_methods(["GET", "POST"])
def restore(request: HttpRequest, name: str, version: int) -> HttpResponse:
    """Bring an earlier version back, as a new change: what would differ is shown first."""
    actor = actor_of(request)
    require(actor, SERVICES_EDIT)
    found = get_service(name)
    form = RestoreForm(posted(request), initial={"seen_version": found.config_version})
    if request.method == "POST" and form.is_valid():
        try:
            registry.restore_version(name=name, version=version, actor=actor, **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            text = _("The settings of {name} are those of version {version} again.")
            return done(request, text.format(name=name, version=version), reverse("service-versions", args=[name]))
    return show_dialog(request, _restore_dialog(found, version), form, status=422 if form.errors else 200)


def _restore_dialog(found: Service, version: int) -> Dialog:
    name, url = found.name, reverse("service-versions", args=[found.name])
    changes = compared(shown_definition(found), version_of(name, version).definition)
    count = len(changes)
    text = ngettext("{count} option changes:", "{count} options change:", count).format(count=count)
    unset = _("default")
    lines = [
        f"{row.path}: {unset if row.before is None else row.before} → {unset if row.after is None else row.after}"
        for row in changes
    ]
    nothing = _("Nothing would change: the settings are the same now.")
    return Dialog(
        heading=_("Bring version {version} of {name} back").format(version=version, name=name),
        lead=_("As a new change: the versions since then stay in the history."),
        consequences=(text, *lines) if changes else (nothing,),
        button=_("Bring version {version} back").format(version=version),
        blocked=not changes,
        action_url=reverse("service-restore", args=[name, version]),
        back_url=url,
        crumbs=(home(), _at(name), (_("Settings"), url)),
    )


# --- what-if -------------------------------------------------------------------------------------
@page(SERVICES_READ)
@require_GET
def whatif(request: HttpRequest, name: str) -> HttpResponse:
    """What other thresholds would have done, by the address: it can be kept and sent around."""
    found = get_service(name)
    present = found.breaker_policy
    given = request.GET if request.GET else None
    form = WhatIfForm(given, policy=present)
    policy, days = present, WhatIfForm.DAYS
    if given is not None and form.is_valid():
        days = form.days_asked()
        policy = _asked(form, found)
    context = {
        "service": found,
        "form": form,
        "answer": what_if(found, policy, days=days) if not form.errors else None,
        "crumbs": crumbs(home(), _at(name), _("What if")),
    }
    return render(request, "console/whatif.html", context, status=422 if form.errors else 200)


def _asked(form: WhatIfForm, found: Service) -> BreakerPolicy:
    """The present policy with what was typed; a problem is put onto its field."""
    try:
        return BreakerPolicy.parse({**found.breaker_policy.model_dump(), **form.edits()}, at="breaker")
    except Invalid as error:
        for problem in error.detail:
            option = str(problem["field"]).removeprefix(BREAKER)
            form.add_error(option if option in form.fields else None, str(problem["message"]))
        return found.breaker_policy

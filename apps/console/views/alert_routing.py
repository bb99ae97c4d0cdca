"""The routing of alerts: in words, edited as text with a dry run before it is saved, and its versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods

from apps.alerts.dry_run import Change
from apps.alerts.models import AlertSource, RoutingVersion
from apps.alerts.policies import in_force, restore_routing, save_routing, version_of
from apps.alerts.routing import DEFAULT
from apps.console.routing_forms import RestoreRoutingForm, RoutingForm, as_text
from apps.console.selectors.alert_routing import (
    StepView,
    VersionView,
    differences,
    routes_of,
    routing_view,
    step_view,
)
from apps.console.selectors.alert_routing import versions as listed
from apps.console.selectors.dry_running import DryRun, Ways, dry_run, shown_recipient
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, may, page, posted, show_dialog
from apps.core.actor import ALERTS_EDIT, ALERTS_READ, MESSAGES_REVEAL, require
from apps.core.clock import now
from apps.core.errors import PortalError
from apps.core.live import live_page
from apps.core.pagination import parse_cursor
from apps.services.versions import Difference


def home() -> tuple[str, str]:
    return _("Routing"), reverse("routing")


def _newest() -> RoutingVersion | None:
    return RoutingVersion.objects.order_by("-pk").first()


@page(ALERTS_READ)
@require_GET
def routing(request: HttpRequest) -> HttpResponse:
    view = routing_view(now(), clear=may(request, MESSAGES_REVEAL))
    context = {"view": view, "section": "routing", "crumbs": crumbs(_("Routing"))}
    return live_page(request, "console/routing.html", context)


# --- editing ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class ChangeView:
    change: Change
    before: list[StepView]
    after: list[StepView]


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest) -> HttpResponse:
    """Without script: one form whose two buttons try it and save it."""
    require(actor_of(request), ALERTS_EDIT)
    newest = _newest()
    form = _form(request, newest)
    saved, tried = None, None
    if request.method == "POST" and form.is_valid():
        saved = _saved(request, form) if request.POST.get("do") == "save" else None
        if saved is not None:
            text = _("The routing is saved as version {number}. It holds for what begins from now on.")
            return done(request, text.format(number=saved.pk), reverse("routing"))
        tried = _tried(form) if request.POST.get("do") != "save" else None
    context = {
        "form": form,
        "theirs": _theirs(form, newest),
        "tried": tried,
        "changes": _changes(tried) if tried else [],
        "told": [(one, shown_recipient(one.who, clear=True)) for one in tried.outcome.told] if tried else [],
        "unreached": _unreached(form),
        "newest": newest,
        "section": "routing",
        "crumbs": crumbs(home(), _("Edit")),
    }
    return render(request, "console/routing_edit.html", context, status=422 if form.errors else 200)


def _form(request: HttpRequest, newest: RoutingVersion | None) -> RoutingForm:
    sources = list(AlertSource.objects.order_by("name").values_list("pk", flat=True))
    document = newest.document if newest else DEFAULT
    initial: dict[str, Any] = {"document": as_text(document), "seen_version": newest.pk if newest else 0}
    return RoutingForm(posted(request), sources=sources, initial=initial)


def _saved(request: HttpRequest, form: RoutingForm) -> RoutingVersion | None:
    """None when it was refused; why stands on the form then."""
    given = form.cleaned_data
    if not given["reason"].strip():
        form.add_error("reason", _("Say why: it goes into the audit trail."))
        return None
    try:
        return save_routing(
            document=form.given,
            actor=actor_of(request),
            reason=given["reason"],
            seen_version=given["seen_version"],
        )
    except PortalError as error:
        add_errors(form, error)
    return None


def _theirs(form: RoutingForm, newest: RoutingVersion | None) -> list[Difference] | None:
    """What saving the draft would undo of a version somebody saved meanwhile; asked again, it is saved knowingly."""
    if newest is None or not form.is_bound or form.given is None or not form.errors:
        return None
    seen = form.cleaned_data.get("seen_version")
    if seen is None or seen == newest.pk:
        return None
    form.data = {**form.data.dict(), "seen_version": str(newest.pk)}  # type: ignore[attr-defined]  # a QueryDict
    return differences(newest.document, form.given, clear=True)


def _tried(form: RoutingForm) -> DryRun | None:
    if form.routing is None:
        return None
    at = now()
    return dry_run(form.choice(at), in_force()[1], form.routing, at)


def _changes(tried: DryRun) -> list[ChangeView]:
    return [
        ChangeView(
            change,
            [step_view(step, clear=True) for step in change.plan_before],
            [step_view(step, clear=True) for step in change.plan_after],
        )
        for change in tried.outcome.changes
    ]


def _unreached(form: RoutingForm) -> list[str]:
    """Routes of the draft that would tell nobody now."""
    if form.routing is None:
        return []
    return [route.name for route in routes_of(form.routing, Ways.load(), now(), clear=False) if route.nobody]


# --- versions --------------------------------------------------------------------------------------
@page(ALERTS_READ)
@require_GET
def versions(request: HttpRequest) -> HttpResponse:
    shown, found = listed(cursor=parse_cursor(request.GET.get("cursor")), clear=may(request, MESSAGES_REVEAL))
    context = {
        "versions": shown,
        "next_cursor": found.next_cursor,
        "newest": _newest(),
        "section": "routing",
        "crumbs": crumbs(home(), _("Versions")),
    }
    return live_page(request, "console/routing_versions.html", context)


@page(ALERTS_READ)
@require_GET
def version(request: HttpRequest, version: int) -> HttpResponse:
    """One version whole, and how it differs from what is in force."""
    found, clear = version_of(version), may(request, MESSAGES_REVEAL)
    before = RoutingVersion.objects.filter(pk__lt=found.pk).order_by("-pk").first()
    newest = _newest()
    changes = differences(before.document if before else DEFAULT, found.document, clear=clear)
    context = {
        "item": VersionView(found, changes, before is None),
        "newest": newest,
        "against": differences(newest.document, found.document, clear=clear) if newest else [],
        # Recipients stand in the text.
        "text": as_text(found.document) if clear else "",
        "section": "routing",
        "crumbs": crumbs(home(), (_("Versions"), reverse("routing-versions")), str(found.pk)),
    }
    return live_page(request, "console/routing_version.html", context)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def restore(request: HttpRequest, version: int) -> HttpResponse:
    """Bring an earlier version back, as a new one: what would differ is shown first."""
    actor = actor_of(request)
    require(actor, ALERTS_EDIT)
    found, newest = version_of(version), _newest()
    form = RestoreRoutingForm(posted(request), initial={"seen_version": newest.pk if newest else 0})
    if request.method == "POST" and form.is_valid():
        try:
            made = restore_routing(number=version, actor=actor, **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            text = _("The routing is that of version {old} again, as version {new}.")
            return done(request, text.format(old=version, new=made.pk), reverse("routing"))
    return show_dialog(request, _restore_dialog(found, newest), form, status=422 if form.errors else 200)


def _restore_dialog(found: RoutingVersion, newest: RoutingVersion | None) -> Dialog:
    url = reverse("routing-versions")
    changes = differences(newest.document if newest else DEFAULT, found.document, clear=False)
    count = ngettext("{count} line changes:", "{count} lines change:", len(changes)).format(count=len(changes))
    none = _("nothing")
    lines = [f"{row.path}: {row.before or none} → {row.after or none}" for row in changes[:30]]
    nothing = _("Nothing would change: the routing is the same now.")
    return Dialog(
        heading=_("Bring version {version} of the routing back").format(version=found.pk),
        lead=_("As a new version. Escalations that run keep what they began with."),
        consequences=(count, *lines) if changes else (nothing,),
        button=_("Bring version {version} back").format(version=found.pk),
        blocked=not changes,
        action_url=reverse("routing-restore", args=[found.pk]),
        back_url=url,
        crumbs=(home(), (_("Versions"), url)),
        wide=True,
    )

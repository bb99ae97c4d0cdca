"""Services: the board, one service, its breaker, pausing, settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.breakers import services as breakers
from apps.console.forms import (
    SETTINGS_SECTIONS,
    EndOverrideForm,
    OverrideForm,
    ReasonForm,
    ServiceForm,
)
from apps.console.selectors.board import BAND_WIDTH, Tile, tiles
from apps.console.selectors.service import happenings, held
from apps.console.selectors.vitals import vitals
from apps.console.shell import portal_of
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, may, page, posted, refused, show_dialog
from apps.core import charts, human
from apps.core.actor import AUDIT_READ, BREAKERS_OVERRIDE, SERVICES_EDIT, SERVICES_PAUSE, SERVICES_READ, require
from apps.core.clock import now
from apps.core.errors import Invalid, NotFound, PortalError
from apps.core.live import live_page
from apps.services import services as registry
from apps.services.selectors import get_service
from apps.services.shown import shown_definition

CHART_WIDTH: Final = 600
CHART_HEIGHT: Final = 144


def _home() -> tuple[str, str]:
    return "Services", reverse("services")


@page(SERVICES_READ)
@require_GET
def services(request: HttpRequest) -> HttpResponse:
    board = tiles(portal_of(request))
    context = {
        "tiles": board,
        "not_normal": sum(tile.tone != "good" for tile in board),
        "crumbs": crumbs("Services"),
    }
    return live_page(request, "console/services.html", context)


@page(SERVICES_READ)
@require_GET
def service(request: HttpRequest, name: str) -> HttpResponse:
    tile = tile_of(request, name)
    moment = now()
    context = {
        "tile": tile,
        "service": tile.service,
        "policy": tile.service.breaker_policy,
        "retry": tile.service.retry_policy,
        "limits": tile.service.limits_policy,
        "breaker": tile.snapshot,
        "held": held(tile),
        "happenings": happenings(name, with_audit=may(request, AUDIT_READ)),
        "chart": chart_of(tile),
        "chart_rows": list(zip(tile.history.series, tile.rates, strict=True)),
        "chart_times": [moment - (moment - tile.history.series[0].minute) * step / 4 for step in (4, 3, 2, 1, 0)],
        "settings": json.dumps(shown_definition(tile.service), indent=2, ensure_ascii=False, default=str),
        "crumbs": crumbs(_home(), name),
    }
    return live_page(request, "console/service.html", context)


def tile_of(request: HttpRequest, name: str) -> Tile:
    """The tile of one service; raises :class:`NotFound` with the names there are."""
    found = next((tile for tile in tiles(portal_of(request)) if tile.service.name == name), None)
    if found is None:
        get_service(name)
        raise NotFound(f"There is no service named {name!r}.")
    return found


@dataclass(frozen=True, slots=True)
class Chart:
    lines: list[str]
    spans: list[charts.Span]
    threshold_y: float
    width: int = CHART_WIDTH
    height: int = CHART_HEIGHT


def chart_of(tile: Tile) -> Chart:
    """The success rate of the last hour, large."""
    scale = CHART_WIDTH / BAND_WIDTH
    return Chart(
        charts.polylines(tile.rates, width=CHART_WIDTH, top=0, bottom=CHART_HEIGHT),
        [charts.Span(span.x * scale, span.width * scale, span.tone) for span in tile.spans],
        CHART_HEIGHT * (1 - tile.threshold),
    )


# --- overriding the breaker ----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Action:
    """One way to override: its words and the service-layer function behind it."""

    heading: str
    lead: str
    button: str
    done: str
    danger: bool
    timed: bool


ACTIONS: Final = {
    "force_open": Action(
        "Force {name} open",
        "No call leaves until it ends. It ends by itself, into a test, not into full traffic.",
        "Force open for …",
        "{name} is forced open.",
        danger=True,
        timed=True,
    ),
    "force_closed": Action(
        "Force {name} closed",
        "Every call is let through, whatever it answers. It ends by itself; then failures open the breaker again.",
        "Force closed for …",
        "{name} is forced closed.",
        danger=True,
        timed=True,
    ),
    "auto": Action(
        "End the override of {name}",
        "The breaker decides by itself again.",
        "End the override",
        "The override of {name} has ended.",
        danger=False,
        timed=False,
    ),
    "reset": Action(
        "Reset the breaker of {name}",
        "Closed at once, with an empty window. Traffic ramps up; failures open it again.",
        "Reset and close",
        "The breaker of {name} is reset.",
        danger=False,
        timed=False,
    ),
}


@page(SERVICES_READ)
@require_http_methods(["GET", "POST"])
def override(request: HttpRequest, name: str) -> HttpResponse:
    """What is about to happen, to how many; then it happens, if the page was not out of date."""
    actor = actor_of(request)
    require(actor, BREAKERS_OVERRIDE)
    given = request.POST if request.method == "POST" else request.GET
    verb = given.get("action", "force_open")
    if verb not in ACTIONS:
        raise Invalid.field("action", f"must be one of {', '.join(ACTIONS)}")
    portal_of(request).vitals = vitals(fresh=True)
    tile = tile_of(request, name)
    epoch = tile.snapshot.epoch if tile.snapshot else 0
    kind = OverrideForm if ACTIONS[verb].timed else EndOverrideForm
    form = kind(posted(request), initial={"seen_epoch": given.get("epoch") or epoch})
    if request.method == "POST" and form.is_valid():
        try:
            # 0: nothing ever happened to this breaker, so there is nothing to have missed.
            seen = form.cleaned_data.pop("seen_epoch") or None
            breakers.act(service=name, action=verb, actor=actor, seen_epoch=seen, **form.cleaned_data)
        except PortalError as error:
            if error.status == 409:
                # The dialog now shows what is true; pressing again is a decision about that.
                form = kind({**request.POST.dict(), "seen_epoch": str(epoch)})
            add_errors(form, error)
        else:
            return done(request, ACTIONS[verb].done.format(name=name), reverse("service", args=[name]))
    return show_dialog(request, _override_dialog(tile, verb), form, status=422 if form.errors else 200)


def _override_dialog(tile: Tile, verb: str) -> Dialog:
    name = tile.service.name
    action = ACTIONS[verb]
    url = reverse("service", args=[name])
    return Dialog(
        heading=action.heading.format(name=name),
        lead=action.lead,
        consequences=consequences(tile, verb),
        button=action.button.replace("…", "30 min"),
        button_class="danger-solid" if action.danger else "primary",
        action_url=reverse("service-override", args=[name]),
        back_url=url,
        template="console/override_dialog.html",
        crumbs=(_home(), (name, url)),
        extra={"verb": verb, "label": action.button},
    )


def consequences(tile: Tile, verb: str) -> tuple[str, ...]:
    """What an override does to the messages there are, in numbers."""
    waiting = human.plural(tile.waiting, "message")
    lately = tile.figures.sent + tile.figures.failed
    if verb == "force_open":
        soon = held(tile).expiring
        per_minute = lately / 5
        lines = [
            f"{waiting} go on waiting"
            + (f" and about {per_minute * 30:,.0f} more will join in 30 minutes." if per_minute >= 1 else ".")
        ]
        if soon:
            lines.append(f"{human.plural(soon, 'message')} will expire within 15 minutes.")
        return (*lines, "Nothing is lost: no attempt is used up and nothing becomes a dead letter.")
    if verb == "force_closed":
        return (
            f"{waiting} leave at once, within the limits of the service. What fails uses up an attempt and may become "
            "a dead letter.",
        )
    if verb == "reset":
        return (f"{waiting} leave as the traffic ramps up over {tile.service.breaker_policy.ramp_seconds:g} s.",)
    if tile.state == "FORCED_OPEN":
        return (f"The service is tested with one message first; {waiting} wait until that succeeds.",)
    return ("From now on failures open the breaker as its thresholds say.",)


@page(SERVICES_READ)
@require_POST
def test_now(request: HttpRequest, name: str) -> HttpResponse:
    """Do not wait for the reset time: let the next message be the probe."""
    url = reverse("service", args=[name])
    try:
        breakers.probe_now(service=name, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, f"The next message to {name} is the test. The answer shows here.", url)


# --- pausing -------------------------------------------------------------------------------------
@page(SERVICES_READ)
@require_http_methods(["GET", "POST"])
def pause(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, SERVICES_PAUSE)
    tile = tile_of(request, name)
    url = reverse("service", args=[name])
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            registry.pause(name=name, actor=actor, reason=form.cleaned_data["reason"])
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, f"{name} is paused. Messages are accepted and wait.", url)
    dialog = Dialog(
        heading=f"Pause {name}",
        lead="Delivering stops until somebody resumes it. A pause does not end by itself.",
        consequences=(
            f"{human.plural(tile.waiting, 'message')} go on waiting and new ones join them; accepting goes on. "
            "What is on its way now is finished.",
        ),
        button=f"Pause {name}",
        action_url=reverse("service-pause", args=[name]),
        back_url=url,
        crumbs=(_home(), (name, url)),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(SERVICES_READ)
@require_POST
def resume(request: HttpRequest, name: str) -> HttpResponse:
    url = reverse("service", args=[name])
    try:
        registry.resume(name=name, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, f"{name} is delivered to again.", url)


# --- settings ------------------------------------------------------------------------------------
@page(SERVICES_READ)
@require_http_methods(["GET", "POST"])
def settings(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, SERVICES_EDIT)
    found = get_service(name)
    url = reverse("service", args=[name])
    form = ServiceForm(posted(request), initial=_initial(found))
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
            return done(
                request, f"The settings of {name} are changed. Every process follows within a second or two.", url
            )
    dialog = Dialog(
        heading=f"Settings of {name}",
        lead="What is left out takes its default. A secret never stands here: secret_ref names where it is.",
        button="Save settings",
        action_url=reverse("service-settings", args=[name]),
        back_url=url,
        crumbs=(_home(), (name, url)),
        wide=True,
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _initial(found: Any) -> dict[str, Any]:
    sections = {
        name: json.dumps(getattr(found, name), indent=2, ensure_ascii=False) for name, _, _ in SETTINGS_SECTIONS
    }
    return {
        **sections,
        "owner": found.owner,
        "runbook_url": found.runbook_url,
        "seen_version": found.config_version,
    }

"""Services: the board, one service, its breaker, pausing. Its history, settings and what-if: service_pages.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.breakers import services as breakers
from apps.breakers.selectors import history
from apps.breakers.windows import window_buckets
from apps.console.forms import ReasonForm
from apps.console.selectors.board import BAND_WIDTH, Tile, tiles
from apps.console.selectors.service import EVENTS_PER_PAGE, happenings, held, test_asked, worker_shares
from apps.console.selectors.vitals import vitals
from apps.console.selectors.window import window_chart
from apps.console.service_forms import EndOverrideForm, OverrideForm
from apps.console.shell import portal_of
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, may, page, posted, refused, show_dialog
from apps.core import charts, human
from apps.core.actor import AUDIT_READ, BREAKERS_OVERRIDE, SERVICES_PAUSE, SERVICES_READ, require
from apps.core.clock import now
from apps.core.errors import Invalid, NotFound, PortalError
from apps.core.live import live_page
from apps.services import services as registry
from apps.services.selectors import get_service
from apps.services.versions import drift

CHART_WIDTH: Final = 600
CHART_HEIGHT: Final = 144


def home() -> tuple[str, str]:
    return _("Services"), reverse("services")


@page(SERVICES_READ)
@require_GET
def services(request: HttpRequest) -> HttpResponse:
    board = tiles(portal_of(request))
    context = {
        "tiles": board,
        "not_normal": sum(tile.tone != "good" for tile in board),
        "crumbs": crumbs(_("Services")),
    }
    return live_page(request, "console/services.html", context)


@page(SERVICES_READ)
@require_GET
def service(request: HttpRequest, name: str) -> HttpResponse:
    tile = tile_of(request, name)
    policy = tile.service.breaker_policy
    entries = history(name, EVENTS_PER_PAGE)
    context = {
        "tile": tile,
        "service": tile.service,
        "policy": policy,
        "retry": tile.service.retry_policy,
        "limits": tile.service.limits_policy,
        "breaker": tile.snapshot,
        "held": held(tile),
        "happenings": happenings(entries, name, with_audit=may(request, AUDIT_READ)),
        "test": test_asked(entries, name),
        "shares": worker_shares(tile.snapshot, portal_of(request).vitals),
        "window": window_chart(window_buckets(name, policy), tile.snapshot, policy),
        "drift": drift(tile.service),
        "letters": portal_of(request).letters_by_service.get(name, 0),
        "crumbs": crumbs(home(), name),
        **_chart(tile),
    }
    return live_page(request, "console/service.html", context)


def _chart(tile: Tile) -> dict[str, Any]:
    moment = now()
    start = tile.history.series[0].minute
    return {
        "chart": chart_of(tile),
        "chart_rows": list(zip(tile.history.series, tile.rates, strict=True)),
        "chart_times": [moment - (moment - start) * step / 4 for step in (4, 3, 2, 1, 0)],
    }


def tile_of(request: HttpRequest, name: str) -> Tile:
    """The tile of one service; raises :class:`NotFound` with the names there are."""
    portal = portal_of(request)
    found = next(iter(tiles(portal, only=name)), None)
    if found is not None and found.snapshot is None:  # younger than what is remembered of all breakers
        portal.vitals = vitals(fresh=True)
        found = next(iter(tiles(portal, only=name)), None)
    if found is None:
        get_service(name)
        raise NotFound(_("There is no service named {name!r}.").format(name=name))
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
    """One way to override: its words, asked for when they are shown."""

    heading: Callable[[], str]
    lead: Callable[[], str]
    button: Callable[[], str]
    done: Callable[[], str]
    danger: bool
    timed: bool


ACTIONS: Final = {
    "force_open": Action(
        lambda: _("Force {name} open"),
        lambda: _("No call leaves until it ends. It ends by itself, into a test, not into full traffic."),
        lambda: _("Force open for …"),
        lambda: _("{name} is forced open."),
        danger=True,
        timed=True,
    ),
    "force_closed": Action(
        lambda: _("Force {name} closed"),
        lambda: _(
            "Every call is let through, whatever it answers. It ends by itself; then failures open the breaker again."
        ),
        lambda: _("Force closed for …"),
        lambda: _("{name} is forced closed."),
        danger=True,
        timed=True,
    ),
    "auto": Action(
        lambda: _("End the override of {name}"),
        lambda: _("The breaker decides by itself again."),
        lambda: _("End the override"),
        lambda: _("The override of {name} has ended."),
        danger=False,
        timed=False,
    ),
    "reset": Action(
        lambda: _("Reset the breaker of {name}"),
        lambda: _("Closed at once, with an empty window. Traffic ramps up; failures open it again."),
        lambda: _("Reset and close"),
        lambda: _("The breaker of {name} is reset."),
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
        raise Invalid.field("action", _("must be one of {known}").format(known=", ".join(ACTIONS)))
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
            return done(request, ACTIONS[verb].done().format(name=name), reverse("service", args=[name]))
    return show_dialog(request, _override_dialog(tile, verb), form, status=422 if form.errors else 200)


def _override_dialog(tile: Tile, verb: str) -> Dialog:
    name = tile.service.name
    action = ACTIONS[verb]
    url = reverse("service", args=[name])
    return Dialog(
        heading=action.heading().format(name=name),
        lead=action.lead(),
        consequences=consequences(tile, verb),
        button=action.button().replace("…", human.span(1800)),
        button_class="danger-solid" if action.danger else "primary",
        action_url=reverse("service-override", args=[name]),
        back_url=url,
        template="console/override_dialog.html",
        crumbs=(home(), (name, url)),
        extra={"verb": verb, "label": action.button()},
    )


def consequences(tile: Tile, verb: str) -> tuple[str, ...]:
    """What an override does to the messages there are, in numbers."""
    count, shown = tile.waiting, human.number(tile.waiting)
    if verb == "force_open":
        return _when_forced_open(tile)
    if verb == "force_closed":
        text = ngettext(
            "{shown} message leaves at once, within the limits of the service. What fails uses up an attempt and may "
            "become a dead letter.",
            "{shown} messages leave at once, within the limits of the service. What fails uses up an attempt and may "
            "become a dead letter.",
            count,
        )
        return (text.format(shown=shown),)
    if verb == "reset":
        text = ngettext(
            "{shown} message leaves as the traffic ramps up over {span}.",
            "{shown} messages leave as the traffic ramps up over {span}.",
            count,
        )
        return (text.format(shown=shown, span=human.span(tile.service.breaker_policy.ramp_seconds)),)
    if tile.state == "FORCED_OPEN":
        text = ngettext(
            "The service is tested with one message first; {shown} message waits until that succeeds.",
            "The service is tested with one message first; {shown} messages wait until that succeeds.",
            count,
        )
        return (text.format(shown=shown),)
    return (_("From now on failures open the breaker as its thresholds say."),)


def _when_forced_open(tile: Tile) -> tuple[str, ...]:
    text = ngettext("{shown} message goes on waiting.", "{shown} messages go on waiting.", tile.waiting)
    lines = [text.format(shown=human.number(tile.waiting))]
    joining = round(tile.attempts / 5 * 30)
    if joining >= 30:
        text = ngettext(
            "About {shown} more will join in 30 minutes.", "About {shown} more will join in 30 minutes.", joining
        )
        lines.append(text.format(shown=human.number(joining)))
    soon = held(tile).expiring
    if soon:
        text = ngettext(
            "{shown} message will expire within 15 minutes.", "{shown} messages will expire within 15 minutes.", soon
        )
        lines.append(text.format(shown=human.number(soon)))
    return (*lines, _("Nothing is lost: no attempt is used up and nothing becomes a dead letter."))


@page(SERVICES_READ)
@require_POST
def test_now(request: HttpRequest, name: str) -> HttpResponse:
    """Do not wait for the reset time: let the next message be the probe."""
    url = reverse("service", args=[name])
    try:
        breakers.probe_now(service=name, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    text = _("The next message to {name} is the test. How it ends is said here.")
    return done(request, text.format(name=name), url)


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
            text = _("{name} is paused. Messages are accepted and wait.")
            return done(request, text.format(name=name), url)
    return show_dialog(request, _pause_dialog(tile), form, status=422 if form.errors else 200)


def _pause_dialog(tile: Tile) -> Dialog:
    name = tile.service.name
    url = reverse("service", args=[name])
    text = ngettext(
        "{shown} message goes on waiting and new ones join it; accepting goes on. What is on its way now is finished.",
        "{shown} messages go on waiting and new ones join them; accepting goes on. What is on its way now is finished.",
        tile.waiting,
    )
    return Dialog(
        heading=_("Pause {name}").format(name=name),
        lead=_("Delivering stops until somebody resumes it. A pause does not end by itself."),
        consequences=(text.format(shown=human.number(tile.waiting)),),
        button=_("Pause {name}").format(name=name),
        action_url=reverse("service-pause", args=[name]),
        back_url=url,
        crumbs=(home(), (name, url)),
    )


@page(SERVICES_READ)
@require_POST
def resume(request: HttpRequest, name: str) -> HttpResponse:
    url = reverse("service", args=[name])
    try:
        registry.resume(name=name, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, _("{name} is delivered to again.").format(name=name), url)

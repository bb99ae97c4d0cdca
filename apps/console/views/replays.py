"""Replays: plan one, start it, watch it, hold it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console import marks
from apps.console.forms import OptionalReasonForm, ReplayForm
from apps.console.selectors.letters import (
    causes_of,
    item_rows,
    plan_lines,
    replay_rows,
    selection_fields,
    selection_label,
    selection_of,
)
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, page, posted, refused, show_dialog
from apps.core import human
from apps.core.actor import MESSAGES_READ, REPLAYS_RUN, require
from apps.core.errors import PortalError
from apps.core.live import live_page
from apps.core.pagination import parse_cursor
from apps.outbox.deadletters.selection import Selection
from apps.outbox.models import Replay, ReplayItem
from apps.outbox.replays import services
from apps.outbox.replays.planning import plan_replay
from apps.outbox.selectors import get_replay, list_replays, progress, replay_items

ITEM_STATES: Final = (("", "All"), *((state.value, state.label) for state in ReplayItem.State))


def _way() -> tuple[tuple[str, str], tuple[str, str]]:
    return (("Dead letters", reverse("dead-letters")), ("Replays", reverse("replays")))


@page(MESSAGES_READ)
@require_GET
def replays(request: HttpRequest) -> HttpResponse:
    found = list_replays(cursor=parse_cursor(request.GET.get("cursor")), limit=50)
    context = {"rows": replay_rows(found.items), "page": found, "crumbs": crumbs(_way()[0], "Replays")}
    return live_page(request, "console/replays.html", context)


@page(MESSAGES_READ)
@require_GET
def replay(request: HttpRequest, replay_id: int) -> HttpResponse:
    found = get_replay(replay_id)
    state = request.GET.get("state", "")
    items = replay_items(replay_id, state=state, cursor=parse_cursor(request.GET.get("cursor")), limit=50)
    context = {
        "replay": found,
        "mark": marks.REPLAY[found.state],
        "label": selection_label(found.selection, causes_of([found])),
        "progress": progress(found),
        "rows": item_rows(items.items),
        "page": items,
        "state": state,
        "states": ITEM_STATES,
        "counts": _counts(found),
        "crumbs": crumbs(*_way(), str(found.pk)),
    }
    return live_page(request, "console/replay.html", context)


def _counts(found: Replay) -> dict[str, int]:
    waiting = max(0, found.total - found.released - found.sent - found.failed - found.skipped)
    return {
        "": found.total,
        "waiting": waiting,
        "released": found.released,
        "sent": found.sent,
        "failed": found.failed,
        "skipped": found.skipped,
    }


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The dialog that says what a replay will do before it does it."""
    actor = actor_of(request)
    require(actor, REPLAYS_RUN)
    given = request.POST if request.method == "POST" else request.GET
    selection = selection_of(given)
    if request.method == "GET" and given.get("preview"):
        return _preview(request, selection)
    form = ReplayForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_replay(selection=selection, actor=actor, **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            url = reverse("replay", args=[made.pk])
            return done(request, f"Replay {made.pk} has begun: {human.plural(made.total, 'message')}.", url)
    rate = (
        form.cleaned_data.get("per_second")
        if form.is_bound and form.is_valid()
        else ReplayForm().fields["per_second"].initial
    )
    return show_dialog(request, _new_dialog(selection, rate), form, status=422 if form.errors else 200)


def _preview(request: HttpRequest, selection: Selection) -> HttpResponse:
    """What changes when another rate is typed."""
    try:
        rate = float(request.GET.get("per_second", "")) or None
    except ValueError:
        rate = None
    plan = plan_replay(selection, per_second=rate if rate and rate > 0 else None)
    return render(request, "console/replay_plan.html", {"lines": plan_lines(plan)})


def _new_dialog(selection: Selection, per_second: float | None) -> Dialog:
    plan = plan_replay(selection, per_second=per_second)
    count = human.plural(plan.eligible, "message")
    return Dialog(
        heading=f"Replay {count}",
        lead="Each is sent again with a fresh count of attempts and the same identity on the wire.",
        button=f"Replay {count}",
        action_url=reverse("replay-new"),
        back_url=reverse("dead-letters"),
        template="console/replay_dialog.html",
        crumbs=_way(),
        blocked=plan.eligible == 0,
        extra={"selection_fields": selection_fields(selection), "lines": plan_lines(plan)},
    )


@page(MESSAGES_READ)
@require_POST
def pause(request: HttpRequest, replay_id: int) -> HttpResponse:
    url = reverse("replay", args=[replay_id])
    try:
        services.pause(replay_id=replay_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    return done(request, f"Replay {replay_id} is paused. What was put back already goes on.", url)


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def resume(request: HttpRequest, replay_id: int) -> HttpResponse:
    """Go on. One that stopped by itself asks for a higher limit, so it gets a dialog."""
    actor = actor_of(request)
    require(actor, REPLAYS_RUN)
    url = reverse("replay", args=[replay_id])
    found = get_replay(replay_id)
    form = ReplayForm(posted(request), initial={"stop_above_percent": found.stop_above_percent})
    for name in ("canary", "per_second"):
        del form.fields[name]
    if found.state != "stopped":
        for name in ("reason", "stop_above_percent"):
            form.fields[name].required = False
    if request.method == "POST" and form.is_valid():
        try:
            services.resume(
                replay_id=replay_id,
                actor=actor,
                reason=form.cleaned_data["reason"],
                stop_above_percent=form.cleaned_data["stop_above_percent"],
            )
        except PortalError as error:
            if found.state != "stopped":
                return refused(request, error, url)
            add_errors(form, error)
        else:
            return done(request, f"Replay {replay_id} goes on.", url)
    dialog = replace(
        _held(found, url),
        heading=f"Resume replay {found.pk}",
        button="Resume",
        action_url=reverse("replay-resume", args=[found.pk]),
        consequences=(f"{human.plural(_counts(found)['waiting'], 'letter')} go on being put back.",),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def cancel(request: HttpRequest, replay_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, REPLAYS_RUN)
    url = reverse("replay", args=[replay_id])
    form = OptionalReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            services.cancel(replay_id=replay_id, actor=actor, reason=form.cleaned_data["reason"])
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, f"Replay {replay_id} is cancelled. Its waiting letters are open again.", url)
    found = get_replay(replay_id)
    waiting = human.plural(_counts(found)["waiting"], "letter")
    dialog = replace(
        _held(found, url),
        heading=f"Cancel replay {found.pk}",
        lead="It cannot be resumed; a new replay can be made of what is left.",
        button=f"Cancel, give {waiting} back",
        button_class="danger-solid",
        cancel_label="Let it run",
        action_url=reverse("replay-cancel", args=[found.pk]),
        consequences=(f"{waiting} stay dead letters, open as they were. What was put back already goes on.",),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _held(found: Replay, url: str) -> Dialog:
    way = (*_way(), (str(found.pk), url))
    return Dialog(heading="", button="", action_url="", back_url=url, crumbs=way)

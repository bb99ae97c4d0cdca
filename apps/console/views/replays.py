"""Replays: plan one, start it, watch it, hold it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console import marks
from apps.console.forms import OptionalReasonForm
from apps.console.letter_forms import ChangePaceForm, ReplayForm
from apps.console.selectors.letters import (
    as_of_now,
    causes_of,
    failure_rows,
    in_words,
    item_rows,
    plan_lines,
    plan_services,
    replay_rows,
    sample_of,
    selection_fields,
    selection_label,
    selection_of,
)
from apps.console.shell import portal_of
from apps.console.views.deadletters import home
from apps.console.views.triage import linked
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, page, posted, refused, show_dialog
from apps.core import human
from apps.core.actor import MESSAGES_READ, REPLAYS_RUN, require
from apps.core.errors import Conflict, Invalid, PortalError
from apps.core.live import live_page
from apps.core.pagination import parse_cursor
from apps.outbox.deadletters.selection import Selection
from apps.outbox.gates import Gate, gates_of
from apps.outbox.models import Replay, ReplayItem, ReplayState
from apps.outbox.replays import services
from apps.outbox.replays.planning import TAKEN, Plan, plan_replay, sample_letters
from apps.outbox.replays.selectors import failures, skipped
from apps.outbox.selectors import get_replay, list_replays, progress, replay_items

STATES: Final = ("preparing", "canary", "running", "paused", "stopped", "done", "cancelled")


def _way() -> tuple[tuple[str, str], tuple[str, str]]:
    return (home(), (_("Replays"), reverse("replays")))


@page(MESSAGES_READ)
@require_GET
def replays(request: HttpRequest) -> HttpResponse:
    state = request.GET.get("state", "")
    known = state if state in (*STATES, "unfinished") else ""
    found = list_replays(state=known, cursor=parse_cursor(request.GET.get("cursor")), limit=50)
    choices = [("", _("All")), ("unfinished", _("Unfinished")), *((name, marks.REPLAY[name].label) for name in STATES)]
    context = {
        "rows": replay_rows(found.items),
        "page": found,
        "state": known,
        "states": choices,
        "crumbs": crumbs(_way()[0], _("Replays")),
    }
    return live_page(request, "console/replays.html", context)


@page(MESSAGES_READ)
@require_GET
def replay(request: HttpRequest, replay_id: int) -> HttpResponse:
    found = get_replay(replay_id)
    state = request.GET.get("state", "")
    items = replay_items(replay_id, state=state, cursor=parse_cursor(request.GET.get("cursor")), limit=50)
    counts = _counts(found)
    if found.state == ReplayState.PREPARING:
        counts |= {"": found.prepared, "waiting": found.prepared}
    context = {
        "replay": found,
        "mark": marks.REPLAY[found.state],
        "label": selection_label(found.selection, causes_of([found])),
        "progress": progress(found, partial(_doors, request)),
        "canary_took": _canary_took(found),
        "rows": item_rows(items.items),
        "page": items,
        "state": state,
        "states": [(name, label, counts.get(name, 0)) for name, label in _item_states()],
        "failures": failure_rows(failures(found.pk)) if found.failed else [],
        "left_out": [(in_words(why), count) for why, count in found.left_out.items()],
        "skipped": [(in_words(why), count) for why, count in skipped(found.pk).items()] if found.skipped else [],
        "crumbs": crumbs(*_way(), str(found.pk)),
    }
    return live_page(request, "console/replay.html", context)


def _doors(request: HttpRequest, names: Iterable[str]) -> dict[str, Gate]:
    """By what the frame of the page shows anyway."""
    portal, wanted = portal_of(request), set(names)
    return gates_of([service for service in portal.services if service.name in wanted], portal.breakers)


def _item_states() -> list[tuple[str, str]]:
    return [("", _("All")), *((state.value, marks.ITEM[state.value].label) for state in ReplayItem.State)]


def _canary_took(found: Replay) -> float | None:
    return (found.canary_passed_at - found.created_at).total_seconds() if found.canary_passed_at else None


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
    selection = as_of_now(selection_of(given))
    if request.method == "GET" and given.get("preview"):
        return _preview(request, selection)
    form = ReplayForm(posted(request))
    status = 200
    if request.method == "POST" and form.is_valid():
        try:
            made = services.create_replay(
                selection=selection,
                actor=actor,
                token=given.get("token", ""),
                known=_known(given.get("known")),
                **form.cleaned_data,
            )
        except PortalError as error:
            status = 409 if isinstance(error, Conflict) else 422
            _refuse(form, error)
        else:
            return done(request, _begun(made), reverse("replay", args=[made.pk]))
    elif form.errors:
        status = 422
    return show_dialog(request, _new_dialog(request, selection, _rate_of(form)), form, status=status)


def _begun(made: Replay) -> str:
    if made.state == ReplayState.PREPARING:
        text = ngettext("Replay {id} is taking in {n} letter.", "Replay {id} is taking in {n} letters.", made.total)
        return text.format(id=made.pk, n=human.number(made.total))
    text = ngettext("Replay {id} has begun: {n} message.", "Replay {id} has begun: {n} messages.", made.total)
    return text.format(id=made.pk, n=human.number(made.total))


def _refuse(form: forms.Form, error: PortalError) -> None:
    first = error.detail.get("replay") if isinstance(error.detail, dict) else None
    if first:
        text = linked(error.message, reverse("replay", args=[first]), _("Open replay {id}").format(id=first))
        form.add_error(None, text)
    else:
        add_errors(form, error)


def _known(text: str | None) -> tuple[int, ...] | None:
    """The replays that the dialog said have letters of this selection; None from a form without that field."""
    if text is None:
        return None
    return tuple(int(part) for part in text.split(",") if part.isascii() and part.isdigit())


def _rate_of(form: ReplayForm) -> float | None:
    if form.is_bound:
        rate: float | None = getattr(form, "cleaned_data", {}).get("per_second")
        return rate
    return float(form.fields["per_second"].initial or 0) or None


def _preview(request: HttpRequest, selection: Selection) -> HttpResponse:
    """What changes when another rate is typed."""
    try:
        rate = float(request.GET.get("per_second", "")) or None
    except ValueError:
        rate = None
    rate = rate if rate and rate > 0 else None
    plan = plan_replay(selection, per_second=rate, doors_of=partial(_doors, request))
    return render(request, "console/replay_plan.html", _plan_context(selection, plan))


def _plan_context(selection: Selection, plan: Plan) -> dict[str, Any]:
    return {
        "plan": plan,
        "lines": plan_lines(plan),
        "services": plan_services(plan),
        "tenants": list(plan.tenants.items()),
        "samples": [sample_of(letter) for letter in sample_letters(selection, plan.services)],
    }


def _new_dialog(request: HttpRequest, selection: Selection, per_second: float | None) -> Dialog:
    plan = plan_replay(selection, per_second=per_second, doors_of=partial(_doors, request))
    count = ngettext("{n} message", "{n} messages", plan.eligible).format(n=human.number(plan.eligible))
    known = ",".join(why.removeprefix(TAKEN) for why in plan.ineligible if why.startswith(TAKEN))
    hidden = [("token", uuid.uuid4().hex), ("known", known)]
    return Dialog(
        heading=_("Replay {messages}").format(messages=count),
        lead=_("Each is sent again with a fresh count of attempts and the same identity on the wire."),
        button=_("Replay {messages}").format(messages=count),
        action_url=reverse("replay-new"),
        back_url=reverse("dead-letters"),
        template="console/replay_dialog.html",
        crumbs=_way(),
        blocked=plan.eligible == 0,
        wide=True,
        extra={"selection_fields": [*selection_fields(selection), *hidden]} | _plan_context(selection, plan),
    )


@page(MESSAGES_READ)
@require_POST
def pause(request: HttpRequest, replay_id: int) -> HttpResponse:
    url = reverse("replay", args=[replay_id])
    try:
        services.pause(replay_id=replay_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    text = _("Replay {id} is paused. What was put back already goes on.")
    return done(request, text.format(id=replay_id), url)


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
            return done(request, _("Replay {id} goes on.").format(id=replay_id), url)
    waiting = _counts(found)["waiting"]
    text = ngettext("{n} letter goes on being put back.", "{n} letters go on being put back.", waiting)
    dialog = replace(
        _held(found, url),
        heading=_("Resume replay {id}").format(id=found.pk),
        button=_("Resume"),
        action_url=reverse("replay-resume", args=[found.pk]),
        consequences=(text.format(n=human.number(waiting)),),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def change_pace(request: HttpRequest, replay_id: int) -> HttpResponse:
    """Another rate while it runs."""
    actor = actor_of(request)
    require(actor, REPLAYS_RUN)
    url = reverse("replay", args=[replay_id])
    found = get_replay(replay_id)
    given = {"per_second": found.per_second, "stop_above_percent": found.stop_above_percent}
    form = ChangePaceForm(posted(request), initial=given)
    if request.method == "POST" and form.is_valid():
        try:
            services.change_pace(replay_id=replay_id, actor=actor, **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _("Replay {id} goes at the new pace.").format(id=replay_id), url)
    dialog = replace(
        _held(found, url),
        heading=_("Change the pace of replay {id}").format(id=found.pk),
        button=_("Change pace"),
        action_url=reverse("replay-pace", args=[found.pk]),
        consequences=(_("It holds from the next second on. What was put back already is not called back."),),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


@page(MESSAGES_READ)
@require_POST
def take_out(request: HttpRequest, replay_id: int) -> HttpResponse:
    """Chosen letters that still wait leave the replay and stay dead letters."""
    actor = actor_of(request)
    require(actor, REPLAYS_RUN)
    url = f"{reverse('replay', args=[replay_id])}?state=waiting"
    ids = request.POST.getlist("ids")
    try:
        if not ids or not all(text.isascii() and text.isdigit() for text in ids):
            raise Invalid.field("ids", _("must be numbers of dead letters"))
        count = services.take_out(replay_id=replay_id, actor=actor, ids=[int(text) for text in ids])
    except PortalError as error:
        return refused(request, error, url)
    text = ngettext(
        "{n} letter was taken out of replay {id} and is open as it was.",
        "{n} letters were taken out of replay {id} and are open as they were.",
        count,
    )
    return done(request, text.format(n=human.number(count), id=replay_id), url)


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
            text = _("Replay {id} is cancelled. Its waiting letters are open again.")
            return done(request, text.format(id=replay_id), url)
    return show_dialog(request, _cancel_dialog(get_replay(replay_id), url), form, status=422 if form.errors else 200)


def _cancel_dialog(found: Replay, url: str) -> Dialog:
    count = _counts(found)["waiting"]
    waiting = ngettext("{n} letter", "{n} letters", count).format(n=human.number(count))
    effect = ngettext(
        "{letters} stays a dead letter, open as it was. What was put back already goes on.",
        "{letters} stay dead letters, open as they were. What was put back already goes on.",
        count,
    )
    return replace(
        _held(found, url),
        heading=_("Cancel replay {id}").format(id=found.pk),
        lead=_("It cannot be resumed; a new replay can be made of what is left."),
        button=_("Cancel, give {letters} back").format(letters=waiting),
        button_class="danger-solid",
        cancel_label=_("Let it run"),
        action_url=reverse("replay-cancel", args=[found.pk]),
        consequences=(effect.format(letters=waiting),),
    )


def _held(found: Replay, url: str) -> Dialog:
    way = (*_way(), (str(found.pk), url))
    return Dialog(heading="", button="", action_url="", back_url=url, crumbs=way)

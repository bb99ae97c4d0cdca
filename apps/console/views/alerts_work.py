"""What a person does with alerts: acknowledge, take back, assign, snooze, note. One or many, by the same dialogs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from apps.alerts import bulk, work
from apps.alerts.models import AlertSource, Episode
from apps.alerts.selectors import chosen_ids, find_episode, find_episodes
from apps.alerts.shown import visible_line
from apps.alerts.silencing import can_be_silenced
from apps.console.alert_forms import AcknowledgeForm, AlertNoteForm, AlertSnoozeForm
from apps.console.letter_forms import AssignForm
from apps.console.selectors.letters import people
from apps.console.views.alerts import home, whole_filters
from apps.console.web import Dialog, actor_of, add_errors, back_url, done, page, posted, refused, show_dialog
from apps.core import human
from apps.core.actor import ALERTS_READ, ALERTS_WORK, Actor, require
from apps.core.clock import now
from apps.core.errors import Invalid, PortalError


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a press is about: ``ids``, and the alert itself when it is one."""

    ids: list[int]
    one: Episode | None

    @property
    def name(self) -> str:
        return visible_line(self.one.name, 120) if self.one is not None else ""


@dataclass(frozen=True, slots=True)
class Verb:
    """``words`` makes heading, effects and button; ``act`` does it; ``said`` tells of so many."""

    form: Callable[[HttpRequest, Chosen], forms.Form]
    words: Callable[[Chosen], tuple[str, list[str], str]]
    act: Callable[[forms.Form, Chosen, Actor], bulk.Outcome]
    said: Callable[[forms.Form, Chosen, int], str]


def press(verb: str) -> Callable[[HttpRequest], HttpResponse]:
    """The dialog of ``verb`` and what its button does."""

    @page(ALERTS_READ)
    @require_http_methods(["GET", "POST"])
    def view(request: HttpRequest) -> HttpResponse:
        actor = actor_of(request)
        require(actor, ALERTS_WORK)
        chosen = _chosen(request, request.POST if request.method == "POST" else request.GET)
        form = VERBS[verb].form(request, chosen)
        status = 200
        if request.method == "POST" and form.is_valid():
            try:
                outcome = VERBS[verb].act(form, chosen, actor)
            except PortalError as error:
                status = error.status
                add_errors(form, error)
            else:
                return _ended(request, verb, form, chosen, outcome)
        elif form.errors:
            status = 422
        return show_dialog(request, _dialog(request, verb, chosen), form, status=status)

    return view


def _chosen(request: HttpRequest, given: QueryDict) -> Chosen:
    """``ids``, or all that the page's filters meant."""
    if given.get("every_page"):
        sources = list(AlertSource.objects.values_list("pk", flat=True))
        ids = chosen_ids(whole_filters(request, given, sources), now=now())
    else:
        texts = [text for text in given.getlist("ids") if text.isascii() and text.isdigit() and len(text) < 19]
        ids = sorted({int(text) for text in texts})
    if not ids:
        raise Invalid.field("ids", _("no alert is meant: choose some in the list first"))
    found = find_episodes(ids[:1]) if len(ids) == 1 else []
    return Chosen(ids, found[0] if found else None)


def _dialog(request: HttpRequest, verb: str, chosen: Chosen) -> Dialog:
    heading, effects, button = VERBS[verb].words(chosen)
    back = _came_from(request) if request.method == "POST" else back_url(request)
    given = request.POST if request.method == "POST" else request.GET
    hidden = [
        (name, value) for name in given if name == "every_page" or name.startswith("f_") for value in [given[name]]
    ]
    if not given.get("every_page"):
        hidden = [("ids", str(number)) for number in chosen.ids]
    return Dialog(
        heading=heading,
        consequences=tuple(effects),
        button=button,
        action_url=reverse(f"alerts-{verb}"),
        back_url=back,
        template="console/selection_dialog.html",
        crumbs=(home(),),
        extra={"selection_fields": [*hidden, ("back", back)]},
    )


def _came_from(request: HttpRequest) -> str:
    """The page to go back to, as the dialog was told; only ever one of ours."""
    back = request.POST.get("back", "")
    return back if back.startswith("/") and not back.startswith(("//", "/\\")) else reverse("alerts")


def _ended(request: HttpRequest, verb: str, form: forms.Form, chosen: Chosen, outcome: bulk.Outcome) -> HttpResponse:
    text = VERBS[verb].said(form, chosen, len(outcome.done))
    if outcome.left:
        rest = ngettext("{n} was left as it is: {why}", "{n} were left as they are: {why}", len(outcome.left))
        text += " " + rest.format(n=human.number(len(outcome.left)), why=next(iter(outcome.left.values())))
    return done(request, text, _came_from(request), undo=reverse("alerts-undo", args=[outcome.entry]))


# --- acknowledge --------------------------------------------------------------------------------
def _acknowledge_form(request: HttpRequest, chosen: Chosen) -> forms.Form:
    one = Episode.objects.select_related("source").filter(pk=chosen.one.pk).first() if chosen.one else None
    silenceable = one is not None and not can_be_silenced(one)
    return AcknowledgeForm(posted(request), silenceable=silenceable)


def _acknowledge_words(chosen: Chosen) -> tuple[str, list[str], str]:
    n = len(chosen.ids)
    shown = human.number(n)
    heading = _("Acknowledge {name}") if chosen.one else ngettext("Acknowledge {n} alert", "Acknowledge {n} alerts", n)
    effects = [
        _("Pages that wait for an acknowledgement are not sent any more."),
        _("Those that wait for the end, such as the one to the owner, still are."),
    ]
    button = _("Acknowledge") if n == 1 else ngettext("Acknowledge {n} alert", "Acknowledge {n} alerts", n)
    return heading.format(name=chosen.name, n=shown), effects, button.format(n=shown)


def _acknowledge(form: forms.Form, chosen: Chosen, actor: Actor) -> bulk.Outcome:
    assert isinstance(form, AcknowledgeForm)
    return bulk.acknowledge(
        ids=chosen.ids,
        actor=actor,
        reason=form.cleaned_data["reason"],
        until=form.ends_at(),
        silence_until=form.silenced_until(),
    )


def _acknowledged(form: forms.Form, chosen: Chosen, n: int) -> str:
    if chosen.one is not None:
        return _("Acknowledged {name}.").format(name=chosen.name)
    return ngettext("Acknowledged {n} alert.", "Acknowledged {n} alerts.", n).format(n=human.number(n))


# --- assign -------------------------------------------------------------------------------------
def _assign_form(request: HttpRequest, chosen: Chosen) -> forms.Form:
    return AssignForm(posted(request), me=str(actor_of(request)), people=people())


def _assign_words(chosen: Chosen) -> tuple[str, list[str], str]:
    n = len(chosen.ids)
    heading = _("Assign {name}") if chosen.one else ngettext("Assign {n} alert", "Assign {n} alerts", n)
    effects = [_("It says who looks after it; who is paged stays as it is.")]
    return heading.format(name=chosen.name, n=human.number(n)), effects, _("Assign")


def _assign(form: forms.Form, chosen: Chosen, actor: Actor) -> bulk.Outcome:
    assert isinstance(form, AssignForm)
    return bulk.assign(ids=chosen.ids, actor=actor, **form.fields_of_verb())


def _assigned(form: forms.Form, chosen: Chosen, n: int) -> str:
    assert isinstance(form, AssignForm)
    to = form.fields_of_verb()["assignee"]
    text = ngettext("{n} alert is assigned to {who}.", "{n} alerts are assigned to {who}.", n)
    return text.format(n=human.number(n), who=to or _("nobody"))


# --- snooze -------------------------------------------------------------------------------------
def _snooze_form(request: HttpRequest, chosen: Chosen) -> forms.Form:
    return AlertSnoozeForm(posted(request))


def _snooze_words(chosen: Chosen) -> tuple[str, list[str], str]:
    n = len(chosen.ids)
    heading = _("Snooze {name}") if chosen.one else ngettext("Snooze {n} alert", "Snooze {n} alerts", n)
    effects = [
        _("Nobody is told until then. What is due meanwhile is told when it ends, if it still fires."),
    ]
    return heading.format(name=chosen.name, n=human.number(n)), effects, _("Snooze")


def _snooze(form: forms.Form, chosen: Chosen, actor: Actor) -> bulk.Outcome:
    assert isinstance(form, AlertSnoozeForm)
    until: datetime | None = form.fields_of_verb()["until"]
    return bulk.snooze(ids=chosen.ids, actor=actor, until=until, reason=form.cleaned_data["reason"])


def _snoozed(form: forms.Form, chosen: Chosen, n: int) -> str:
    assert isinstance(form, AlertSnoozeForm)
    until: datetime = form.fields_of_verb()["until"]
    text = ngettext("{n} alert is snoozed until {until}.", "{n} alerts are snoozed until {until}.", n)
    return text.format(n=human.number(n), until=human.clock_in_zone(until, now()))


VERBS: dict[str, Verb] = {
    "acknowledge": Verb(_acknowledge_form, _acknowledge_words, _acknowledge, _acknowledged),
    "assign": Verb(_assign_form, _assign_words, _assign, _assigned),
    "snooze": Verb(_snooze_form, _snooze_words, _snooze, _snoozed),
}
acknowledge, assign, snooze = (press(verb) for verb in VERBS)


# --- what needs no dialog -----------------------------------------------------------------------
@page(ALERTS_READ)
@require_POST
def undo(request: HttpRequest, entry_id: int) -> HttpResponse:
    back = back_url(request)
    try:
        outcome = bulk.undo(entry_id=entry_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, back)
    n = len(outcome.done)
    text = ngettext("Undone: {n} alert is as it was.", "Undone: {n} alerts are as they were.", n)
    return done(request, text.format(n=human.number(n)), back)


@page(ALERTS_READ)
@require_POST
def take_back(request: HttpRequest, episode_id: int) -> HttpResponse:
    url = reverse("alert", args=[episode_id])
    try:
        episode = work.take_back(episode_id=episode_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    text = _("The acknowledgement of {name} is taken back. Pages that are due are sent.")
    return done(request, text.format(name=visible_line(episode.name, 120)), url)


@page(ALERTS_READ)
@require_POST
def wake(request: HttpRequest, episode_id: int) -> HttpResponse:
    """End a snooze."""
    url = reverse("alert", args=[episode_id])
    try:
        outcome = bulk.snooze(ids=[episode_id], actor=actor_of(request), until=None)
    except PortalError as error:
        return refused(request, error, url)
    undo_url = reverse("alerts-undo", args=[outcome.entry])
    return done(request, _("It is awake again. What is due is told."), url, undo=undo_url)


@page(ALERTS_READ)
@require_http_methods(["GET", "POST"])
def note(request: HttpRequest, episode_id: int) -> HttpResponse:
    actor = actor_of(request)
    require(actor, ALERTS_WORK)
    episode, url = find_episode(episode_id), reverse("alert", args=[episode_id])
    form = AlertNoteForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            work.note(episode_id=episode_id, actor=actor, text=form.cleaned_data["text"])
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, _("Your note is part of the story."), url)
    dialog = Dialog(
        heading=_("Note on {name}").format(name=visible_line(episode.name, 120)),
        button=_("Add the note"),
        action_url=reverse("alert-note", args=[episode_id]),
        back_url=url,
        crumbs=(home(), (visible_line(episode.name, 60), url)),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)

"""What a person does with dead letters: assign, note, snooze, discard, undo, and watch it being done to many."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console.letter_forms import AssignForm, DiscardForm, NoteForm, SnoozeForm
from apps.console.selectors.letters import as_of_now, people, selection_fields, selection_of
from apps.console.views.deadletters import home
from apps.console.web import Dialog, actor_of, add_errors, back_url, crumbs, done, page, posted, refused, show_dialog
from apps.core import human
from apps.core.actor import DEADLETTERS_TRIAGE, MESSAGES_READ, require
from apps.core.errors import Conflict, PortalError
from apps.core.live import live_page
from apps.outbox.deadletters import services
from apps.outbox.deadletters.selection import Selection
from apps.outbox.deadletters.selectors import count_selected, get_triage
from apps.outbox.models import Triage, TriageState

# A request works this long at most; the control queue does the rest, and a page shows how far it is.
INLINE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Verb:
    """How a verb asks: ``words`` makes heading, what follows and the button for so many letters."""

    form: Callable[[HttpRequest], forms.Form]
    words: Callable[[int], tuple[str, str, str]]
    said: Callable[[Triage], str]
    danger: bool = False


def press(verb: str) -> Callable[[HttpRequest], HttpResponse]:
    """The dialog of ``verb`` and what its button does."""

    @page(MESSAGES_READ)
    @require_http_methods(["GET", "POST"])
    def view(request: HttpRequest) -> HttpResponse:
        actor = actor_of(request)
        require(actor, DEADLETTERS_TRIAGE)
        given = request.POST if request.method == "POST" else request.GET
        selection = as_of_now(selection_of(given))
        form = VERBS[verb].form(request)
        status = 200
        if request.method == "POST" and form.is_valid():
            try:
                made = services.begin(
                    verb=verb,
                    actor=actor,
                    selection=selection,
                    token=given.get("token", ""),
                    seconds=INLINE_S,
                    **form.fields_of_verb(),  # type: ignore[attr-defined]  # each form here has it
                )
            except PortalError as error:
                status = 409 if isinstance(error, Conflict) else 422
                _refuse(form, error)
            else:
                return _ended(request, made, _came_from(request))
        elif form.errors:
            status = 422
        return show_dialog(request, _dialog(request, verb, selection), form, status=status)

    return view


def _refuse(form: forms.Form, error: PortalError) -> None:
    earlier = error.detail.get("triage") if isinstance(error.detail, dict) else None
    if earlier:
        form.add_error(None, linked(error.message, reverse("triage", args=[earlier]), _("See it")))
    else:
        add_errors(form, error)


def linked(text: str, url: str, label: str) -> SafeString:
    """A sentence and where it leads."""
    return format_html('{} <a href="{}">{}</a>', text, url, label)


def _came_from(request: HttpRequest) -> str:
    """The page to go back to, as the dialog was told; only ever one of ours."""
    back = request.POST.get("back", "")
    return back if back.startswith("/") and not back.startswith(("//", "/\\")) else reverse("dead-letters")


def _dialog(request: HttpRequest, verb: str, selection: Selection) -> Dialog:
    count = count_selected(selection)
    heading, effect, button = VERBS[verb].words(count)
    back = _came_from(request) if request.method == "POST" else back_url(request)
    hidden = [("token", uuid.uuid4().hex), ("back", back)]
    return Dialog(
        heading=heading,
        consequences=(effect,) if count else (_("No open dead letter is meant by this any more."),),
        button=button,
        button_class="danger-solid" if VERBS[verb].danger else "primary",
        cancel_label=_("Keep them") if VERBS[verb].danger else _("Cancel"),
        action_url=reverse(f"letters-{verb}"),
        back_url=back,
        template="console/selection_dialog.html",
        crumbs=(home(),),
        blocked=count == 0,
        extra={"selection_fields": [*selection_fields(selection), *hidden]},
    )


def _ended(request: HttpRequest, made: Triage, back: str) -> HttpResponse:
    progress = reverse("triage", args=[made.pk])
    if made.state == TriageState.RUNNING:
        text = _("{done} of {total} are done. The rest goes on by itself.")
        return done(request, text.format(done=human.number(made.done), total=human.number(made.total)), progress)
    undo_url = reverse("triage-undo", args=[made.pk]) if made.verb in services.UNDOABLE else ""
    return done(request, VERBS[made.verb].said(made), back, undo=undo_url)


@page(MESSAGES_READ)
@require_POST
def undo(request: HttpRequest, triage_id: int) -> HttpResponse:
    back = back_url(request)
    try:
        made = services.undo(triage_id=triage_id, actor=actor_of(request), seconds=INLINE_S)
    except PortalError as error:
        return refused(request, error, back)
    if made.state == TriageState.RUNNING:
        return _ended(request, made, back)
    text = ngettext("Undone: {n} letter is as it was.", "Undone: {n} letters are as they were.", made.done)
    return done(request, text.format(n=human.number(made.done)), back)


@page(MESSAGES_READ)
@require_POST
def stop(request: HttpRequest, triage_id: int) -> HttpResponse:
    url = reverse("triage", args=[triage_id])
    try:
        stopped = services.stop(triage_id=triage_id, actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, url)
    text = ngettext("Stopped after {n} letter.", "Stopped after {n} letters.", stopped.done)
    return done(request, text.format(n=human.number(stopped.done)), url)


@page(MESSAGES_READ)
@require_GET
def progress(request: HttpRequest, triage_id: int) -> HttpResponse:
    """How far a triage of many letters is."""
    found = get_triage(triage_id)
    context = {
        "triage": found,
        "left": max(0, found.total - found.done),
        "undoable": found.verb in services.UNDOABLE and found.state != TriageState.RUNNING,
        "heading": _heading(found),
        "crumbs": crumbs(home(), _("triage {id}").format(id=found.pk)),
    }
    return live_page(request, "console/triage.html", context)


def _heading(found: Triage) -> str:
    titles = {
        "assign": _("Assign to {who}") if found.assignee else _("Assign to nobody"),
        "note": _("Note on letters"),
        "snooze": _("Snooze letters") if found.until else _("Wake letters"),
        "discard": _("Discard letters"),
        "undo": _("Undo"),
    }
    return titles[found.verb].format(who=found.assignee)


def _letters(count: int) -> str:
    return ngettext("{n} dead letter", "{n} dead letters", count).format(n=human.number(count))


def _assign_words(count: int) -> tuple[str, str, str]:
    effect = _("They stay where they are. Letters that die meanwhile are not touched.")
    return _("Assign {letters}").format(letters=_letters(count)), effect, _("Assign")


def _note_words(count: int) -> tuple[str, str, str]:
    effect = _("The note stands in the history of each of them, with your name and the time.")
    return _("Note on {letters}").format(letters=_letters(count)), effect, _("Write note")


def _snooze_words(count: int) -> tuple[str, str, str]:
    effect = _("They are out of sight and wake by themselves. New deaths of the same cause are shown at once.")
    return _("Snooze {letters}").format(letters=_letters(count)), effect, _("Snooze")


def _discard_words(count: int) -> tuple[str, str, str]:
    text = ngettext(
        "{letters} is closed without being sent, and cannot be opened again. Its message stays to be looked at. "
        "Letters that die meanwhile are not touched.",
        "{letters} are closed without being sent, and cannot be opened again. Their messages stay to be looked at. "
        "Letters that die meanwhile are not touched.",
        count,
    )
    words = _("Discard {letters}").format(letters=_letters(count))
    return words, text.format(letters=_letters(count)), words


def _assigned(made: Triage) -> str:
    if not made.assignee:
        text = ngettext("{n} dead letter is assigned to nobody.", "{n} dead letters are assigned to nobody.", made.done)
    else:
        text = ngettext("{n} dead letter is assigned to {who}.", "{n} dead letters are assigned to {who}.", made.done)
    return text.format(n=human.number(made.done), who=made.assignee)


def _noted(made: Triage) -> str:
    text = ngettext("A note is on {n} dead letter.", "A note is on {n} dead letters.", made.done)
    return text.format(n=human.number(made.done))


def _snoozed(made: Triage) -> str:
    if made.until is None:
        text = ngettext("{n} dead letter is awake.", "{n} dead letters are awake.", made.done)
    else:
        text = ngettext("{n} dead letter is snoozed.", "{n} dead letters are snoozed.", made.done)
    return text.format(n=human.number(made.done))


def _discarded(made: Triage) -> str:
    text = ngettext("{n} dead letter discarded.", "{n} dead letters discarded.", made.done)
    return text.format(n=human.number(made.done))


def _assign_form(request: HttpRequest) -> AssignForm:
    given: Any = request.POST if request.method == "POST" else None
    return AssignForm(given, me=str(actor_of(request)), people=people())


VERBS: Final = {
    "assign": Verb(_assign_form, _assign_words, _assigned),
    "note": Verb(lambda request: NoteForm(posted(request)), _note_words, _noted),
    "snooze": Verb(lambda request: SnoozeForm(posted(request)), _snooze_words, _snoozed),
    "discard": Verb(lambda request: DiscardForm(posted(request)), _discard_words, _discarded, danger=True),
}
assign, note, snooze, discard = (press(verb) for verb in VERBS)

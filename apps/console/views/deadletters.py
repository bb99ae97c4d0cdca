"""Dead letters by cause, one by one, and what a person does with them."""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.console import marks
from apps.console.forms import EditLetterForm, ReasonForm
from apps.console.selectors.letters import cause_label, selection_fields, selection_of
from apps.console.shell import portal_of
from apps.console.web import Dialog, actor_of, add_errors, crumbs, done, page, posted, show_dialog
from apps.core import human
from apps.core.actor import DEADLETTERS_TRIAGE, MESSAGES_READ, MESSAGES_REVEAL, REPLAYS_RUN, require
from apps.core.errors import Invalid, NotFound, PortalError
from apps.core.live import live_page
from apps.core.masking import mask_recipient
from apps.core.pagination import parse_cursor
from apps.outbox.deadletters import services as triage
from apps.outbox.deadletters.editing import edit_and_replay
from apps.outbox.deadletters.selection import Selection
from apps.outbox.deadletters.selectors import count_selected
from apps.outbox.models import Cause, DeadLetter, Message
from apps.outbox.selectors import (
    LetterFilters,
    causes,
    dead_letter_detail,
    deaths_since,
    list_dead_letters,
    list_replays,
)

HOME: Final = "Dead letters"
STATES: Final = (("open", "Open"), ("replayed", "Replayed"), ("discarded", "Discarded"), ("all", "All"))


def _home() -> tuple[str, str]:
    return HOME, reverse("dead-letters")


@page(MESSAGES_READ)
@require_GET
def by_cause(request: HttpRequest) -> HttpResponse:
    portal = portal_of(request)
    service = request.GET.get("service", "")
    found = causes(service=service)
    context = {
        "causes": [(cause, cause_label(cause.service, cause.error_class, cause.status_code)) for cause in found],
        "service": service,
        "by_service": portal.letters_by_service,
        "open_total": portal.letters,
        "died_lately": sum(deaths_since(60).values()),
        "running": list_replays(state="unfinished", limit=5).items,
        "crumbs": crumbs(HOME),
    }
    return live_page(request, "console/dead_letters.html", context)


@page(MESSAGES_READ)
@require_GET
def cause(request: HttpRequest, fingerprint: str) -> HttpResponse:
    known = Cause.objects.filter(pk=fingerprint).first()
    state = request.GET.get("state", "open")
    tenant = request.GET.get("tenant", "")
    filters = LetterFilters(state="" if state == "all" else state, cause=fingerprint, tenant_id=tenant)
    letters = list_dead_letters(filters, cursor=parse_cursor(request.GET.get("cursor")), limit=50)
    summary = next(iter(causes(fingerprint=fingerprint, limit=1)), None)
    if known is None and not letters.items:
        raise NotFound(f"No dead letter has the cause {fingerprint} any more. All of them may have been pruned.")
    service, error_class, code = _named(known, letters.items)
    label = cause_label(service, error_class, code)
    context = {
        "label": label,
        "fingerprint": fingerprint,
        "service": service,
        "summary": summary,
        "known": known,
        "letters": [(letter, marks.LETTER[letter.state]) for letter in letters.items],
        "page": letters,
        "states": STATES,
        "state": state,
        "tenant": tenant,
        "crumbs": crumbs(_home(), label),
    }
    return live_page(request, "console/cause.html", context)


def _named(known: Cause | None, letters: list[DeadLetter]) -> tuple[str, str, int | None]:
    found = known if known is not None else letters[0]
    return found.service, found.error_class, found.status_code


@page(MESSAGES_READ)
@require_GET
def letter(request: HttpRequest, letter_id: int) -> HttpResponse:
    detail = dead_letter_detail(letter_id)
    found = detail.letter
    context = {
        "detail": detail,
        "letter": found,
        "label": cause_label(found.service, found.error_class, found.status_code),
        "mark": marks.LETTER[found.state],
        "others": [(other, marks.LETTER[other.state]) for other in detail.other_deaths],
        "replays": [(item, marks.ITEM[item.state]) for item in detail.replays],
        "recipient": mask_recipient(found.message.recipient),
        "crumbs": crumbs(_home(), f"letter {found.pk}"),
    }
    return live_page(request, "console/letter.html", context)


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def discard(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    require(actor, DEADLETTERS_TRIAGE)
    selection = selection_of(request.POST if request.method == "POST" else request.GET)
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            count = triage.discard(actor=actor, reason=form.cleaned_data["reason"], filters=selection.as_dict())
        except PortalError as error:
            add_errors(form, error)
        else:
            return done(request, f"{human.plural(count, 'dead letter')} discarded.", reverse("dead-letters"))
    return show_dialog(request, _discard_dialog(selection), form, status=422 if form.errors else 200)


def _discard_dialog(selection: Selection) -> Dialog:
    count = count_selected(selection)
    letters = human.plural(count, "dead letter")
    return Dialog(
        heading=f"Discard {letters}",
        lead="They are closed without being sent.",
        consequences=(
            f"{letters} will not be sent again, and cannot be opened again. Their messages stay to be looked at. "
            "Letters that die meanwhile are not touched.",
        ),
        button=f"Discard {letters}",
        button_class="danger-solid",
        cancel_label="Keep them",
        action_url=reverse("letters-discard"),
        back_url=reverse("dead-letters"),
        template="console/selection_dialog.html",
        crumbs=(_home(),),
        blocked=count == 0,
        extra={"selection_fields": selection_fields(selection)},
    )


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, letter_id: int) -> HttpResponse:
    """A corrected copy: first the difference is shown, then it is sent. Shows content in clear, so it needs to."""
    actor = actor_of(request)
    require(actor, REPLAYS_RUN)
    require(actor, MESSAGES_REVEAL)
    found = dead_letter_detail(letter_id).letter
    original = editable(found.message)
    form = EditLetterForm(posted(request), original=original)
    ready = request.method == "POST" and form.is_valid()
    changes = form.changes() if ready else {}
    if ready and not changes:
        form.add_error(None, "Nothing was changed. To send it as it is, replay it instead.")
    elif ready and request.POST.get("confirm") == "1":
        try:
            copy = edit_and_replay(
                dead_letter_id=letter_id,
                changes=parsed(changes),
                actor=actor,
                reason=form.cleaned_data["reason"],
                keep_key=form.cleaned_data["keep_key"],
            )
        except (PortalError, ValueError) as error:
            add_errors(form, error if isinstance(error, PortalError) else Invalid(f"This is not JSON: {error}"))
        else:
            url = reverse("message", args=[copy.pk])
            return done(request, f"A corrected copy was sent as message {copy.pk}. The original is kept.", url)
    dialog = _edit_dialog(found, difference(original, changes) if not form.errors else [])
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def editable(message: Message) -> dict[str, str]:
    """The fields of a message a person may correct, as text."""
    plain_http = message.service.channel == "http"
    addressed = {"recipient": message.recipient, "subject": message.subject}
    found = {name: text for name, text in addressed.items() if text or not plain_http}
    if message.payload is not None:
        found["payload"] = message.payload
    if message.json is not None:
        found["json"] = message.json
    if message.body_template:
        found["body_template"] = message.body_template
    if message.body_template or message.template:
        found["body_data"] = json.dumps(message.body_data, ensure_ascii=False, indent=2)
    return found


def parsed(changes: dict[str, str]) -> dict[str, Any]:
    """JSON goes on as the exact text that was typed; template data has to be a mapping. Raises ValueError."""
    found: dict[str, Any] = dict(changes)
    if "json" in found:
        text = found.pop("json")
        json.loads(text)
        found |= {"payload": text, "content_type": "application/json"}
    if "body_data" in found:
        found["body_data"] = json.loads(found["body_data"] or "{}")
    return found


def difference(original: dict[str, str], changes: dict[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Field by field, the lines that go, come and stay."""
    found = []
    for name, after in changes.items():
        lines = difflib.ndiff(original[name].splitlines(), after.splitlines())
        kinds = {"- ": "del", "+ ": "ins", "  ": "same"}
        found.append((name, [(kinds[line[:2]], line[2:]) for line in lines if line[:2] in kinds]))
    return found


def _edit_dialog(found: DeadLetter, changed: list[tuple[str, list[tuple[str, str]]]]) -> Dialog:
    base = Dialog(
        heading=f"Edit and replay letter {found.pk}",
        lead=f"{found.service}: {found.error[:300]}",
        button="Show what changes",
        action_url=reverse("letter-edit", args=[found.pk]),
        back_url=reverse("letter", args=[found.pk]),
        template="console/edit_letter.html",
        crumbs=(_home(), (f"letter {found.pk}", reverse("letter", args=[found.pk]))),
        extra={"letter": found, "difference": changed},
        wide=True,
    )
    if not changed:
        return base
    return replace(
        base,
        button="Send the corrected copy",
        consequences=(
            f"One new message goes to {found.service}. The original keeps its attempts and its death, "
            "and its letter is closed as replayed.",
        ),
    )

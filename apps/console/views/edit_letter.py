"""A corrected copy of a dead letter: first the difference on the wire is shown, then it is sent."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import replace
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.console.letter_forms import EditLetterForm
from apps.console.views.deadletters import home
from apps.console.web import Dialog, actor_of, add_errors, done, page, posted, show_dialog
from apps.core.actor import MESSAGES_READ, MESSAGES_REVEAL, REPLAYS_RUN, require
from apps.core.errors import Conflict, Invalid, PortalError
from apps.core.masking import mask_addresses
from apps.outbox.deadletters.editing import edit_and_replay
from apps.outbox.deadletters.selectors import dead_letter_detail
from apps.outbox.models import DeadLetter, Message
from apps.outbox.replays.wire import corrected, wire_of

KINDS: Final = {"- ": "del", "+ ": "ins", "  ": "same"}
# A body is JSON in one box and a payload on the wire; errors about one belong to the other.
ALSO_CALLED: Final = {"payload": "json", "content_type": "json", "body_template": "body_data", "template": "body_data"}
Lines = list[tuple[str, str]]


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, letter_id: int) -> HttpResponse:
    """Shows content in clear, so it needs to be allowed to. Pressing sends what was shown, or shows it anew."""
    actor = actor_of(request)
    require(actor, REPLAYS_RUN)
    require(actor, MESSAGES_REVEAL)
    found = dead_letter_detail(letter_id).letter
    original = editable(found.message)
    form = EditLetterForm(posted(request), original=original)
    changes = _changes(form) if request.method == "POST" and form.is_valid() else {}
    shown = _difference(found.message, changes, keep_key=form.cleaned_data["keep_key"]) if changes else []
    status = 200
    seen = _mark(changes, form.cleaned_data["keep_key"]) if changes else ""
    if changes and request.POST.get("confirm") == seen:
        try:
            copy = _send(request, form, letter_id, changes)
        except PortalError as error:
            status = 409 if isinstance(error, Conflict) else 422
            _put_errors(form, error)
        else:
            text = _("A corrected copy was sent as message {copy}. The original, message {original}, is kept.")
            url = reverse("message", args=[copy.pk])
            return done(request, text.format(copy=copy.pk, original=found.message_id), url)
    status = 422 if form.errors and status == 200 else status
    return show_dialog(request, _dialog(found, shown if not form.errors else [], seen), form, status=status)


def _send(request: HttpRequest, form: EditLetterForm, letter_id: int, changes: dict[str, Any]) -> Message:
    return edit_and_replay(
        dead_letter_id=letter_id,
        changes=changes,
        actor=actor_of(request),
        reason=form.cleaned_data["reason"],
        keep_key=form.cleaned_data["keep_key"],
    )


def _changes(form: EditLetterForm) -> dict[str, Any]:
    """What differs, as the service layer takes it; what cannot be read is put onto its field."""
    given = form.changes()
    if not given:
        form.add_error(None, _("Nothing was changed. To send it as it is, replay it instead."))
        return {}
    try:
        return parsed(given)
    except PortalError as error:
        add_errors(form, error)
        return {}


def _put_errors(form: EditLetterForm, error: PortalError) -> None:
    problems = error.detail if isinstance(error.detail, list) else []
    renamed = [
        {**problem, "field": ALSO_CALLED.get(problem["field"], problem["field"])}
        if problem["field"] not in form.fields and ALSO_CALLED.get(problem["field"]) in form.fields
        else problem
        for problem in problems
    ]
    add_errors(form, Invalid(error.message, detail=renamed) if renamed else error)


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
    """JSON goes on as the exact text that was typed; template data has to be a mapping. Raises :class:`Invalid`."""
    found: dict[str, Any] = dict(changes)
    if "json" in found:
        text = found.pop("json")
        _read_json("json", text)
        found |= {"payload": text, "content_type": "application/json"}
    if "body_data" in found:
        found["body_data"] = _read_json("body_data", found["body_data"] or "{}")
    return found


def _read_json(field: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid.field(field, _("This is not JSON: {error}").format(error=error)) from error


def _mark(changes: dict[str, Any], keep_key: bool) -> str:
    """Names the difference that was shown, so that nothing else is sent than what was looked at."""
    said = json.dumps([changes, keep_key], sort_keys=True)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _difference(message: Message, changes: dict[str, Any], *, keep_key: bool) -> Lines:
    """Line by line, what goes over the wire now and would then."""
    before = wire_of(message)
    after = wire_of(corrected(message, changes), identity=before.identity if keep_key else _("a new one"))
    if after.problem:
        return [("del", line) for line in before.lines()] + [("ins", after.problem)]
    lines = difflib.ndiff(before.lines(), after.lines())
    return [(KINDS[line[:2]], line[2:]) for line in lines if line[:2] in KINDS]


def _dialog(found: DeadLetter, shown: Lines, seen: str) -> Dialog:
    own = _("letter {id}").format(id=found.pk)
    base = Dialog(
        heading=_("Edit and replay letter {id}").format(id=found.pk),
        lead=f"{found.service}: {mask_addresses(found.error)[:300]}",
        button=_("Show what changes"),
        action_url=reverse("letter-edit", args=[found.pk]),
        back_url=reverse("letter", args=[found.pk]),
        template="console/edit_letter.html",
        crumbs=(home(), (own, reverse("letter", args=[found.pk]))),
        extra={"letter": found, "difference": shown, "confirm": seen},
        wide=True,
    )
    if not shown:
        return base
    return replace(
        base,
        button=_("Send the corrected copy"),
        consequences=(
            _(
                "One new message goes to {service}. The original keeps its attempts and its death, and its letter is "
                "closed as replayed."
            ).format(service=found.service),
        ),
    )

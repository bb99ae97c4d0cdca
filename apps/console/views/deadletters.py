"""Dead letters by cause, as a list, one by one."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from apps.console import marks
from apps.console.letter_forms import CauseFilterForm, LetterFilterForm
from apps.console.selectors.letters import (
    WHOLE_PREFIX,
    as_of_now,
    cause_label,
    history_rows,
    people,
    selection_fields,
    snoozed_and_died_lately,
)
from apps.console.shell import portal_of
from apps.console.web import actor_of, crumbs, page
from apps.core.actor import MESSAGES_READ
from apps.core.clock import now
from apps.core.errors import NotFound
from apps.core.live import live_page
from apps.core.masking import mask_recipient
from apps.core.pagination import Page, parse_cursor
from apps.outbox.deadletters.selectors import (
    CauseFilters,
    CauseSummary,
    cause_page,
    count_selected,
    running_triages,
    snoozed_letters,
)
from apps.outbox.models import Cause, DeadLetter
from apps.outbox.selectors import (
    LetterFilters,
    causes,
    dead_letter_detail,
    list_dead_letters,
    list_replays,
)

ROWS: Final = 50


def home() -> tuple[str, str]:
    return _("Dead letters"), reverse("dead-letters")


def _form(request: HttpRequest, kind: type[LetterFilterForm]) -> LetterFilterForm:
    names = [service.name for service in portal_of(request).services]
    return kind(request.GET, services=names, me=str(actor_of(request)), people=people())


@page(MESSAGES_READ)
@require_GET
def by_cause(request: HttpRequest) -> HttpResponse:
    portal = portal_of(request)
    form = _form(request, CauseFilterForm)
    given = form.given()
    filters = CauseFilters(
        service=given["service"],
        tenant_id=given["tenant"],
        assignee=given["assignee"],
        unassigned=given["unassigned"],
        text=given["q"],
        show="snoozed" if given["state"] == "snoozed" else "awake",
        sort=given["sort"] or "letters",
    )
    found = cause_page(filters, cursor=request.GET.get("cursor", ""), limit=ROWS)
    snoozed, died_lately = snoozed_and_died_lately()
    context = {
        "causes": [_cause_row(cause, filters) for cause in found.items],
        "page": found,
        "form": form,
        "kept": {},
        "filtered": any(request.GET.get(name) for name in form.fields),
        "clear_url": reverse("dead-letters"),
        "state": given["state"],
        "snoozed_total": snoozed,
        "open_total": portal.letters,
        "died_lately": died_lately,
        "running": list_replays(state="unfinished", limit=5).items,
        "triages": running_triages(),
        "crumbs": crumbs(home()[0]),
    }
    return live_page(request, "console/dead_letters.html", context)


def _cause_row(cause: CauseSummary, filters: CauseFilters) -> dict[str, Any]:
    """``query`` selects the letters that the row counts, and no others."""
    chosen = LetterFilters(
        cause=cause.fingerprint,
        tenant_id=filters.tenant_id,
        assignee=filters.assignee,
        unassigned=filters.unassigned,
        snoozed=True if filters.show == "snoozed" else False if cause.snoozed else None,
    ).selection()
    fields = selection_fields(chosen) if chosen else []
    label = cause_label(cause.service, cause.error_class, cause.status_code)
    return {"cause": cause, "label": label, "query": urlencode(fields)}


@page(MESSAGES_READ)
@require_GET
def letters(request: HttpRequest) -> HttpResponse:
    """All dead letters as a list, of every cause and in every state."""
    form = _form(request, LetterFilterForm)
    filters = _filters(form.given())
    context = _list_context(request, filters) | {
        "form": form,
        "filtered": any(request.GET.get(name) for name in form.fields),
        "clear_url": reverse("letters"),
        "kept": {},
        "snoozed_total": snoozed_letters(),
        "crumbs": crumbs(home(), _("All letters")),
    }
    return live_page(request, "console/letters.html", context)


def _filters(given: dict[str, Any], cause: str = "") -> LetterFilters:
    """``open`` means awake ones: what is snoozed is out of sight until it is asked for."""
    state = given["state"]
    awake = {"": False, "open": False, "snoozed": True}.get(state)
    return LetterFilters(
        state="open" if state in ("", "open", "snoozed") else "" if state == "all" else state,
        snoozed=awake,
        cause=cause,
        service=given["service"],
        tenant_id=given["tenant"],
        assignee=given["assignee"],
        unassigned=given["unassigned"],
        text=given["q"],
    )


def _list_context(request: HttpRequest, filters: LetterFilters) -> dict[str, Any]:
    cursor = parse_cursor(request.GET.get("cursor"))
    found = list_dead_letters(filters, cursor=cursor, limit=ROWS)
    selectable = filters.state == "open"
    return {
        "letters": [_letter_row(letter) for letter in found.items],
        "page": found,
        "selectable": selectable,
        **(_whole(filters, found, paged=cursor is not None) if selectable else {}),
    }


def _letter_row(letter: DeadLetter) -> dict[str, Any]:
    asleep = letter.state == "open" and letter.snoozed_until is not None and letter.snoozed_until > now()
    label = cause_label(letter.service, letter.error_class, letter.status_code)
    return {"letter": letter, "mark": marks.LETTER[letter.state], "asleep": asleep, "label": label}


def _whole(filters: LetterFilters, found: Page[DeadLetter], *, paged: bool) -> dict[str, Any]:
    """All that match on every page: how many, and the fields that say so."""
    chosen = filters.selection()
    if chosen is None or not (paged or found.next_cursor):
        return {"total": len(found.items), "whole_fields": []}
    chosen = as_of_now(chosen)
    return {"total": count_selected(chosen), "whole_fields": selection_fields(chosen, WHOLE_PREFIX)}


@page(MESSAGES_READ)
@require_GET
def cause(request: HttpRequest, fingerprint: str) -> HttpResponse:
    known = Cause.objects.filter(pk=fingerprint).first()
    form = _form(request, LetterFilterForm)
    given = form.given()
    state = request.GET.get("state", "")
    filters = _filters(given | {"state": state, "service": "", "q": ""}, cause=fingerprint)
    context = _list_context(request, filters)
    found = context["page"].items
    summary = next(iter(causes(fingerprint=fingerprint, limit=1)), None)
    if known is None and not found:
        text = _("No dead letter has the cause {cause} any more. All of them may have been pruned.")
        raise NotFound(text.format(cause=fingerprint))
    service, error_class, code = _named(known, found)
    label = cause_label(service, error_class, code)
    context |= {
        "label": label,
        "fingerprint": fingerprint,
        "service": service,
        "summary": summary,
        "known": known,
        "states": LetterFilterForm.STATES,
        "state": "" if state == "open" else state,
        "tenant": given["tenant"],
        "assignee": given["assignee"],
        "crumbs": crumbs(home(), label),
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
        "row": _letter_row(found),
        "label": cause_label(found.service, found.error_class, found.status_code),
        "mark": marks.LETTER[found.state],
        "history": history_rows(detail.history),
        "others": [(other, marks.LETTER[other.state]) for other in detail.other_deaths],
        "replays": [(item, marks.ITEM[item.state]) for item in detail.replays],
        "recipient": mask_recipient(found.message.recipient),
        "me": str(actor_of(request)),
        "crumbs": crumbs(home(), _("letter {id}").format(id=found.pk)),
    }
    return live_page(request, "console/letter.html", context)

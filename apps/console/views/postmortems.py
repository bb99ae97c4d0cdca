"""Post-mortems: the list, one to read, its versions, and writing in it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console.postmortem_forms import EditForm, PostMortemFilterForm
from apps.console.selectors import postmortems as shown
from apps.console.selectors.postmortem_page import page_of
from apps.console.shell import portal_of
from apps.console.web import actor_of, add_errors, crumbs, done, page, posted
from apps.core.actor import INCIDENTS_READ, INCIDENTS_WORK, require
from apps.core.errors import Invalid, PortalError
from apps.core.live import live_page
from apps.core.pagination import parse_cursor
from apps.postmortems import services
from apps.postmortems.models import PostMortem, PostMortemVersion, State
from apps.postmortems.sections import KEYS
from apps.postmortems.selectors import (
    NEWER,
    OVERDUE,
    Filters,
    counts,
    get_postmortem,
    list_postmortems,
    versions_of,
)
from apps.postmortems.versions import needs_state

KNOWN = (*State.values, NEWER, OVERDUE)


def home() -> tuple[str, str]:
    return _("Post-mortems"), reverse("postmortems")


def name_of(postmortem: PostMortem) -> str:
    return f"PM-{postmortem.pk}"


def way_to(postmortem: PostMortem) -> tuple[tuple[str, str], tuple[str, str]]:
    return home(), (name_of(postmortem), reverse("postmortem", args=[postmortem.pk]))


# --- looking ------------------------------------------------------------------------------------
@page(INCIDENTS_READ)
@require_GET
def postmortems(request: HttpRequest) -> HttpResponse:
    form = PostMortemFilterForm(request.GET)
    form.is_valid()
    given, state = form.cleaned_data, request.GET.get("state", "")
    filters = Filters(
        state=state if state in KNOWN else "",
        severity=given.get("severity", ""),
        text=given.get("q", ""),
        today=timezone.localdate(),
    )
    found = list_postmortems(filters, cursor=parse_cursor(request.GET.get("cursor")))
    known = counts()
    context = {
        "form": form,
        "state": filters.state,
        "states": [(name, label, known.get(name)) for name, label in _choices()],
        "kept": {"state": filters.state},
        "page": found,
        "rows": [shown.row_of(row) for row in found.items],
        "filtered": bool(filters.text or filters.severity),
        "any": any(known.values()),
        "crumbs": crumbs(_("Post-mortems")),
    }
    return live_page(request, "console/postmortems.html", context)


def _choices() -> list[tuple[str, str]]:
    states = [(str(state), str(shown.STATES[state].label)) for state in State.values]
    return [("", _("All")), *states, (NEWER, _("Later facts wait")), (OVERDUE, _("Overdue items"))]


@page(INCIDENTS_READ)
@require_GET
def postmortem(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    found = get_postmortem(postmortem_id)
    context = {**page_of(found, portal_of(request).permissions), "crumbs": crumbs(home(), name_of(found))}
    return live_page(request, "console/postmortem.html", context)


@page(INCIDENTS_READ)
@require_GET
def versions(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    """Any two versions beside each other; the newest and the one before unless others are asked for."""
    found = get_postmortem(postmortem_id)
    rows = versions_of(found)
    number = number_asked(request, "version") or found.version
    after = services.version_of(found, number)
    before = _compared(request, found, rows, number)
    context = {
        "postmortem": found,
        "mark": shown.state_mark(found),
        "rows": [shown.shown_version(row) for row in rows],
        "after": shown.shown_version(after),
        "before": before,
        "numbers": [row.number for row in rows],
        "text_differences": shown.version_differences(before, after) if before else [],
        "fact_differences": shown.shown_differences(before.facts, after.facts) if before else [],
        "sections": shown.shown_sections(after.sections),
        "restorable": found.state != State.PUBLISHED and number != found.version,
        "crumbs": crumbs(*way_to(found), _("Versions")),
    }
    return live_page(request, "console/postmortem_versions.html", context)


def number_asked(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Invalid.field(name, _("must be the number of a version"))
    return int(text)


def _compared(
    request: HttpRequest, found: PostMortem, rows: list[PostMortemVersion], number: int
) -> PostMortemVersion | None:
    against = number_asked(request, "against")
    if against is None:
        against = next((row.number for row in rows if row.number < number), None)
    return services.version_of(found, against) if against is not None and against != number else None


# --- writing ------------------------------------------------------------------------------------
@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    """The editor. What was typed stays in it, whatever goes wrong."""
    actor = actor_of(request)
    require(actor, INCIDENTS_WORK)
    found = get_postmortem(postmortem_id)
    if request.method == "GET":
        needs_state(found, State.DRAFT, State.IN_REVIEW)
    form = EditForm(posted(request), initial={**found.sections, "title": found.title, "seen": found.version})
    if form.is_valid() and request.POST.get("verb") != "preview":
        try:
            saved = _save(request, found, form)
        except services.EditConflict as conflict:
            return _conflict(request, found, form, conflict)
        except PortalError as error:
            add_errors(form, error)
        else:
            text = _("{name} is saved as version {version}.").format(name=name_of(saved), version=saved.version)
            return done(request, text, reverse("postmortem", args=[saved.pk]))
    return _editor(request, found, form, status=422 if form.errors else 200)


def _save(request: HttpRequest, found: PostMortem, form: EditForm) -> PostMortem:
    given = form.cleaned_data
    return services.save(
        postmortem_id=found.pk,
        actor=actor_of(request),
        title=given["title"],
        sections=form.sections(),
        seen=given["seen"],
        note=given["note"],
    )


def _conflict(request: HttpRequest, found: PostMortem, form: EditForm, conflict: services.EditConflict) -> HttpResponse:
    """Both texts: mine in the fields, what the other wrote beside it. Saving again then saves what stands there."""
    theirs, given = conflict.theirs, form.cleaned_data
    begun = found.versions.filter(number=given["seen"]).first()
    base = {**begun.sections, "title": begun.title} if begun else {}
    mine = {key: _unified(given[key]) for key in ("title", *KEYS)}
    merge = shown.merged(base, mine, {**theirs.sections, "title": theirs.title}, ("title", *KEYS))
    again = EditForm(initial={**merge.texts, "note": given["note"], "seen": theirs.number})
    return _editor(request, found, again, status=409, conflict=conflict, merge=merge)


def _unified(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _editor(request: HttpRequest, found: PostMortem, form: EditForm, *, status: int = 200, **more: Any) -> HttpResponse:
    merge = more.get("merge")
    context = {
        "postmortem": found,
        "mark": shown.state_mark(found),
        "form": form,
        "rows": [(field, merge.clashes.get(field.name) if merge else None) for field in form.section_fields],
        "title_clash": merge.clashes.get("title") if merge else None,
        "figures": shown.shown_figures(found.facts),
        "sections": shown.shown_sections(form.typed()),
        "crumbs": crumbs(*way_to(found), _("Edit")),
        **more,
    }
    return render(request, "console/postmortem_edit.html", context, status=status)


@page(INCIDENTS_READ)
@require_POST
def preview(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    """What is being typed, as it will be read; a piece of the editor."""
    require(actor_of(request), INCIDENTS_WORK)
    get_postmortem(postmortem_id)
    context = {"sections": shown.shown_sections(EditForm(request.POST).typed())}
    return render(request, "console/postmortem_preview.html", context)

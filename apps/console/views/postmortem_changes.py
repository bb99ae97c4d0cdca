"""What changes a post-mortem beside its text: review, publishing, later facts, going back to an older version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from apps.console.forms import ReasonForm
from apps.console.postmortem_forms import NewForm, NoteForm, ReviewForm
from apps.console.selectors import postmortems as shown
from apps.console.views.postmortems import home, name_of, number_asked, way_to
from apps.console.web import Dialog, actor_of, add_errors, done, page, posted, show_dialog
from apps.core import human
from apps.core.actor import INCIDENTS_READ, INCIDENTS_WORK, POSTMORTEMS_PUBLISH, require
from apps.core.errors import Invalid, PortalError
from apps.incidents.models import OPEN_STATES
from apps.postmortems import publishing, renewing, services
from apps.postmortems.models import PostMortem, State
from apps.postmortems.sections import labelled
from apps.postmortems.selectors import get_postmortem, without_one
from apps.postmortems.versions import needs_state

MOST_INCIDENTS = 100


def _address(name: str, postmortem: PostMortem, *args: Any, **query: Any) -> str:
    """``seen`` is the version the person looks at: what has changed since is not acted upon unseen."""
    given = {"seen": postmortem.version, **query}
    return f"{reverse(name, args=[postmortem.pk, *args])}?{urlencode(given)}"


def _answered(
    request: HttpRequest, form: forms.Form, dialog: Dialog, act: Callable[[], PostMortem], said: str
) -> HttpResponse:
    """Do it when the form was sent and makes sense; show the dialog otherwise."""
    if request.method == "POST" and form.is_valid():
        try:
            changed = act()
        except PortalError as error:
            add_errors(form, error)
        else:
            words = said.format(name=name_of(changed), version=changed.version)
            return done(request, words, reverse("postmortem", args=[changed.pk]))
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _dialog(postmortem: PostMortem, **given: Any) -> Dialog:
    back = reverse("postmortem", args=[postmortem.pk])
    return Dialog(back_url=back, crumbs=way_to(postmortem), **given)


# --- its way to being published -------------------------------------------------------------------
@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def review(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    actor, found = actor_of(request), get_postmortem(postmortem_id)
    require(actor, INCIDENTS_WORK)
    form = ReviewForm(posted(request), people=shown.people(), initial={"reviewer": found.reviewer})
    dialog = _dialog(
        found,
        heading=_("Ask for a review of {name}").format(name=name_of(found)),
        lead=found.title,
        button=_("Ask for the review"),
        consequences=(
            _("It is marked as in review, with the name of who reads it. It can be written in meanwhile."),
            _("Once it says all it must, a lead publishes it."),
        ),
        action_url=_address("postmortem-review", found),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: publishing.submit(
            postmortem_id=found.pk,
            reviewer=form.cleaned_data["reviewer"],
            note=form.cleaned_data["note"],
            actor=actor,
            seen=number_asked(request, "seen"),
        ),
        _("{name} is in review."),
    )


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def withdraw(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    actor, found = actor_of(request), get_postmortem(postmortem_id)
    require(actor, INCIDENTS_WORK)
    form = ReasonForm(posted(request))
    dialog = _dialog(
        found,
        heading=_("Make {name} a draft again").format(name=name_of(found)),
        lead=found.title,
        button=_("Make it a draft again"),
        consequences=(_("The review ends here. Nothing that was written changes."),),
        action_url=_address("postmortem-withdraw", found),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: publishing.withdraw(
            postmortem_id=found.pk,
            reason=form.cleaned_data["reason"],
            actor=actor,
            seen=number_asked(request, "seen"),
        ),
        _("{name} is a draft again."),
    )


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def publish(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    actor, found = actor_of(request), get_postmortem(postmortem_id)
    require(actor, POSTMORTEMS_PUBLISH)
    form = NoteForm(posted(request))
    problems = _in_the_way(found)
    dialog = _dialog(
        found,
        heading=_("Publish {name}").format(name=name_of(found)),
        lead=_("Not yet: something is missing.") if problems else found.title,
        button=_("Publish"),
        blocked=bool(problems),
        consequences=tuple(problems)
        or (
            _("It becomes what everybody may rely on: from then on its text changes only when a lead opens it again."),
            _("Facts that come in within seven days are still offered."),
        ),
        action_url=_address("postmortem-publish", found),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: publishing.publish(
            postmortem_id=found.pk, note=form.cleaned_data["note"], actor=actor, seen=number_asked(request, "seen")
        ),
        _("{name} is published."),
    )


def _in_the_way(found: PostMortem) -> list[str]:
    """For the dialog; the service looks again."""
    needs_state(found, State.IN_REVIEW)
    said = [problem["message"] for problem in publishing.problems_of(found)]
    if found.incident.state in OPEN_STATES:
        said.append(_("INC-{number} is not over yet.").format(number=found.incident_id))
    return said


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def reopen(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    actor, found = actor_of(request), get_postmortem(postmortem_id)
    require(actor, POSTMORTEMS_PUBLISH)
    form = ReasonForm(posted(request))
    dialog = _dialog(
        found,
        heading=_("Open {name} again").format(name=name_of(found)),
        lead=found.title,
        button=_("Open it again"),
        consequences=(
            _("It is a draft until it is reviewed and published again. Version {version} stays as it is.").format(
                version=found.version
            ),
        ),
        action_url=_address("postmortem-reopen", found),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: publishing.reopen(
            postmortem_id=found.pk,
            reason=form.cleaned_data["reason"],
            actor=actor,
            seen=number_asked(request, "seen"),
        ),
        _("{name} is a draft again."),
    )


# --- later facts ----------------------------------------------------------------------------------
def _facts_seen(request: HttpRequest) -> datetime | None:
    """The facts the person has looked at; later ones still are not accepted unseen."""
    text = request.GET.get("facts", "")
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid.field("facts", _("must be the time of the later facts")) from None


def _of_facts(found: PostMortem) -> dict[str, str]:
    return {"facts": found.newer_at.isoformat()} if found.newer_at else {}


def _needs_right(request: HttpRequest, found: PostMortem) -> None:
    require(actor_of(request), POSTMORTEMS_PUBLISH if found.state == State.PUBLISHED else INCIDENTS_WORK)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def accept(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    found = get_postmortem(postmortem_id)
    _needs_right(request, found)
    form = NoteForm(posted(request))
    dialog = _dialog(
        found,
        heading=_("Accept the later facts of {name}").format(name=name_of(found)),
        lead=found.title,
        button=_("Accept"),
        consequences=_accepting(found),
        action_url=_address("postmortem-accept", found, **_of_facts(found)),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: renewing.accept(
            postmortem_id=found.pk,
            note=form.cleaned_data["note"],
            actor=actor_of(request),
            seen=number_asked(request, "seen"),
            seen_at=_facts_seen(request),
        ),
        _("{name} has the later facts, as version {version}."),
    )


def _accepting(found: PostMortem) -> tuple[str, ...]:
    count = sum(len(items) for _heading, items in shown.shown_differences(found.facts, found.newer))
    lines = ngettext("{n} line of the facts changes.", "{n} lines of the facts change.", count)
    again = labelled(key for key in ("summary", "impact", "trigger") if key not in found.touched)
    said = [lines.format(n=human.number(count)), _("What people wrote stays word for word.")]
    if again:
        text = _("Nobody has written in {sections} yet: the portal drafts that anew.")
        said.append(text.format(sections=human.listed(again)))
    return tuple(said)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def dismiss(request: HttpRequest, postmortem_id: int) -> HttpResponse:
    found = get_postmortem(postmortem_id)
    _needs_right(request, found)
    form = ReasonForm(posted(request))
    dialog = _dialog(
        found,
        heading=_("Dismiss the later facts of {name}").format(name=name_of(found)),
        lead=found.title,
        button=_("Dismiss"),
        consequences=(_("The facts stay as they are. They are offered again only when they change once more."),),
        action_url=_address("postmortem-dismiss", found, **_of_facts(found)),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: renewing.dismiss(
            postmortem_id=found.pk,
            reason=form.cleaned_data["reason"],
            actor=actor_of(request),
            seen=number_asked(request, "seen"),
            seen_at=_facts_seen(request),
        ),
        _("{name} keeps the facts it has."),
    )


# --- older versions, and a beginning ----------------------------------------------------------------
@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def restore(request: HttpRequest, postmortem_id: int, version: int) -> HttpResponse:
    actor, found = actor_of(request), get_postmortem(postmortem_id)
    require(actor, INCIDENTS_WORK)
    older = services.version_of(found, version)
    form = ReasonForm(posted(request))
    differing = [label for label, _lines in shown.section_differences(found.sections, older.sections)]
    dialog = _dialog(
        found,
        heading=_("Restore version {version} of {name}").format(version=version, name=name_of(found)),
        lead=_("Written by {who}.").format(who=older.actor),
        button=_("Restore version {version}").format(version=version),
        consequences=(
            _("These sections become as they were: {sections}.").format(sections=human.listed(differing))
            if differing
            else _("No section differs from the newest version."),
            _("What stands there now stays among the versions. Facts stay those of today."),
        ),
        action_url=_address("postmortem-restore", found, version),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: services.restore(
            postmortem_id=found.pk,
            number=version,
            reason=form.cleaned_data["reason"],
            actor=actor,
            seen=number_asked(request, "seen"),
        ),
        _("{name} is restored, as version {version}."),
    )


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Begin one by hand, before the portal does so when the incident is over."""
    actor = actor_of(request)
    require(actor, INCIDENTS_WORK)
    rows = without_one()[:MOST_INCIDENTS]
    incidents = [(str(row.pk), f"INC-{row.pk} {row.title}") for row in rows]
    form = NewForm(posted(request), incidents=incidents, initial={"incident": request.GET.get("incident", "")})
    none = _("Every incident has one already.")
    dialog = Dialog(
        heading=_("Begin a post-mortem"),
        lead="" if incidents else none,
        blocked=not incidents,
        button=_("Begin"),
        consequences=(_("It is drafted from what is known by now. What comes in later is offered to be accepted."),),
        action_url=reverse("postmortem-new"),
        back_url=reverse("postmortems"),
        crumbs=(home(),),
    )
    return _answered(
        request,
        form,
        dialog,
        lambda: services.draft(incident_id=int(form.cleaned_data["incident"]), actor=actor),
        _("{name} is drafted."),
    )

"""Message templates: the list, a template with its versions, the editor with its preview."""

from __future__ import annotations

import difflib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console.marks import Mark
from apps.console.template_forms import (
    TemplateFilterForm,
    VersionForm,
    channel_label,
    initial_of,
    kind_label,
    language_label,
)
from apps.console.web import actor_of, add_errors, crumbs, done, page, posted
from apps.core.actor import MESSAGES_READ, TEMPLATES_EDIT, require
from apps.core.errors import Invalid, PortalError
from apps.core.live import live_page
from apps.outbox.models import MessageTemplate
from apps.outbox.templating import services
from apps.outbox.templating.inspecting import HAS_SUBJECT, Preview, preview
from apps.outbox.templating.selectors import (
    Line,
    NamedTemplate,
    Usage,
    get_line,
    get_template,
    get_version,
    list_templates,
    usage_of,
)

IN_USE = Mark("good", gettext_lazy("In use"))
DRAFT = Mark("info", gettext_lazy("Draft"))
EARLIER = Mark("", gettext_lazy("Earlier"))
NEWER = Mark("warning", gettext_lazy("Not in use"))
ARCHIVED = Mark("unknown", gettext_lazy("Archived"))
VERSIONS_SHOWN = 50


def home() -> tuple[str, str]:
    return _("Templates"), reverse("templates")


def line_url(line: services.LineId, **more: Any) -> str:
    query = urlencode({"channel": line.channel, "language": line.language, **more})
    return f"{reverse('template', args=[line.name])}?{query}"


def line_words(line: services.LineId) -> str:
    return f"{channel_label(line.channel)} · {language_label(line.language)}"


# --- looking ------------------------------------------------------------------------------------
@page(MESSAGES_READ)
@require_GET
def templates(request: HttpRequest) -> HttpResponse:
    form = TemplateFilterForm(request.GET)
    form.is_valid()
    given = form.cleaned_data
    archived = request.GET.get("archived") == "1"
    found = list_templates(
        query=given.get("q", ""),
        channel=given.get("channel", ""),
        language=given.get("language", ""),
        archived=archived,
        cursor=request.GET.get("cursor", "")[:100].replace("\x00", ""),
    )
    context = {
        "form": form,
        "archived": archived,
        "rows": [_row(template) for template in found.items],
        "next_cursor": found.next_cursor,
        "filtered": any(request.GET.get(name) for name in ("q", "channel", "language")),
        "crumbs": crumbs(_("Templates")),
    }
    return live_page(request, "console/templates.html", context)


def _row(template: NamedTemplate) -> dict[str, Any]:
    channels: dict[str, list[dict[str, Any]]] = {}
    for line in template.lines:
        using = line.using
        channels.setdefault(line.id.channel, []).append(
            {"line": line, "url": line_url(line.id), "using": using, "words": line_words(line.id)}
        )
    return {
        "template": template,
        "channels": [(channel_label(channel), lines) for channel, lines in channels.items()],
        "versions": sum(len(line.versions) for line in template.lines),
    }


@page(MESSAGES_READ)
@require_GET
def template(request: HttpRequest, name: str) -> HttpResponse:
    lines = get_template(name)
    line = line_asked(request, lines)
    shown = get_version(line.id, version_asked(request, "version") or (line.using or line.newest).version)
    other = _compared(request, line, shown)
    versions = line.versions[:VERSIONS_SHOWN]
    usage = usage_of([row.pk for row in versions])
    context = {
        "name": name,
        "line": line,
        "words": line_words(line.id),
        "lines": [(row, line_words(row.id), line_url(row.id), row.id == line.id) for row in lines],
        "shown": shown,
        "kind": kind_label(shown.content_type),
        "mark": _mark(line, shown),
        "line_mark": _mark(line, line.using or line.newest),
        "using": line.using,
        "preview": _preview_of(shown),
        "compared": other,
        "comparable": [row.version for row in versions if row.version != shown.version],
        "difference": _difference(other, shown) if other else [],
        "versions": [_version_row(line, row, usage.get(row.pk)) for row in versions],
        "more_versions": len(line.versions) - len(versions),
        "has_subject": line.id.channel in HAS_SUBJECT,
        "crumbs": crumbs(home(), name),
    }
    return live_page(request, "console/template.html", context)


def line_asked(request: HttpRequest, lines: list[Line]) -> Line:
    return get_line(lines, request.GET.get("channel"), request.GET.get("language"))


def version_asked(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name) or request.POST.get(name) or ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise Invalid.field(name, _("must be the number of a version"))
    return int(text)


def _compared(request: HttpRequest, line: Line, shown: MessageTemplate) -> MessageTemplate | None:
    """The version asked for, else the one before."""
    number = version_asked(request, "against")
    if number is None:
        number = next((row.version for row in line.versions if row.version < shown.version), None)
    return get_version(line.id, number) if number is not None and number != shown.version else None


def _mark(line: Line, version: MessageTemplate) -> Mark:
    if version.archived_at is not None:
        return ARCHIVED
    using = line.using
    if version == using:
        return IN_USE
    if version.draft:
        return DRAFT
    return NEWER if using is not None and version.version > using.version else EARLIER


def _version_row(line: Line, version: MessageTemplate, usage: Usage | None) -> dict[str, Any]:
    return {
        "version": version,
        "mark": _mark(line, version),
        "usage": usage,
        "url": line_url(line.id, version=version.version),
        "can_use": version.archived_at is None and version != line.using,
    }


def _preview_of(version: MessageTemplate) -> Preview:
    return preview(
        channel=version.channel,
        subject=version.subject,
        body=version.body,
        content_type=version.content_type,
        data=version.sample_data,
    )


def _difference(before: MessageTemplate, after: MessageTemplate) -> list[tuple[str, list[tuple[str, str]]]]:
    """Field by field, the lines that go, come and stay; only fields that differ."""
    names = (("subject", _("Subject")), ("content_type", _("Kind of body")), ("body", _("Body")))
    kinds = {"- ": "del", "+ ": "ins", "  ": "same"}
    found = []
    for name, label in names:
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            lines = difflib.ndiff(one.splitlines(), other.splitlines())
            found.append((label, [(kinds[line[:2]], line[2:]) for line in lines if line[:2] in kinds]))
    return found


# --- writing ------------------------------------------------------------------------------------
@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The editor: a new template, or the next version of one, begun with its newest text."""
    actor = actor_of(request)
    require(actor, TEMPLATES_EDIT)
    line = _line_to_write(request)
    fixed = line is not None and request.GET.get("copy") != "1"
    begun = _initial(line, fixed) if line else {}
    form = VersionForm(posted(request), initial=begun, fixed=fixed, channel=line.id.channel if line else "")
    verb = request.POST.get("verb", "")
    shown = None
    if request.method == "POST" and form.is_valid():
        if verb == "preview":
            shown = _preview_typed(form)
        else:
            try:
                saved = _save(request, form, draft=verb == "draft")
            except PortalError as error:
                add_errors(form, error)
            else:
                return done(request, _saved_words(saved), line_url(_id_of(saved), version=saved.version))
    elif request.method == "GET" and line is not None:
        shown = _preview_of(get_version(line.id, line.newest.version))
    context = {
        "form": form,
        "line": line if fixed else None,
        "words": line_words(line.id) if line and fixed else "",
        "preview": shown,
        "html": "html" in str(form["content_type"].value() or ""),
        "crumbs": crumbs(home(), *([(line.id.name, line_url(line.id))] if line else []), _("New version")),
    }
    return render(request, "console/template_editor.html", context, status=422 if form.errors else 200)


def _line_to_write(request: HttpRequest) -> Line | None:
    """The line in the address; None for a template there is not yet."""
    name = request.GET.get("name", "")
    return line_asked(request, get_template(name)) if name else None


def _initial(line: Line, fixed: bool) -> dict[str, Any]:
    newest = get_version(line.id, line.newest.version)
    begun = initial_of(newest, seen=newest.version if fixed else 0)
    return begun if fixed else {**begun, "language": ""}


def _save(request: HttpRequest, form: VersionForm, *, draft: bool) -> MessageTemplate:
    given = form.cleaned_data
    return services.save_version(
        line=_typed_line(given),
        version=form.version(),
        actor=actor_of(request),
        reason=given["reason"],
        draft=draft,
        seen_version=given["seen_version"] or 0,
    )


def _typed_line(given: dict[str, Any]) -> services.LineId:
    """A template written before templates had rules for names keeps the name it has."""
    known = services.LineId(given["name"], given["channel"], given["language"])
    return known if known.versions().exists() else services.line_id(*_parts(known))


def _parts(line: services.LineId) -> tuple[str, str, str]:
    return line.name, line.channel, line.language


def _id_of(version: MessageTemplate) -> services.LineId:
    return services.LineId(version.name, version.channel, version.language)


def _saved_words(saved: MessageTemplate) -> str:
    text = (
        _("Version {version} of {name} is kept as a draft.")
        if saved.draft
        else _("Version {version} of {name} is in use: messages accepted from now on take it.")
    )
    return text.format(version=saved.version, name=saved.name)


@page(MESSAGES_READ)
@require_POST
def preview_typed(request: HttpRequest) -> HttpResponse:
    """What is being typed, as it would be sent; a piece of the editor."""
    require(actor_of(request), TEMPLATES_EDIT)
    form = VersionForm(request.POST, fixed=False, initial={"content_type": request.POST.get("content_type", "")})
    form.full_clean()
    context: dict[str, Any] = {
        "preview": None if "sample_data" in form.errors else _preview_typed(form),
        "sample_problems": form.errors.get("sample_data", []),
        "html": "html" in request.POST.get("content_type", ""),
    }
    return render(request, "console/template_preview.html", context)


def _preview_typed(form: VersionForm) -> Preview:
    """Fields that are not right yet count as empty."""
    given = form.cleaned_data
    return preview(
        channel=given.get("channel", ""),
        subject=given.get("subject", ""),
        body=given.get("body", "").replace("\r\n", "\n"),
        content_type=given.get("content_type", ""),
        data=given.get("sample_data", {}),
    )

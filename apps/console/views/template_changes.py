"""What changes a template line: which version is used, whether it is offered, a test to oneself."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from apps.console.forms import ReasonForm
from apps.console.shell import portal_of
from apps.console.template_forms import (
    TestForm,
    channel_label,
)
from apps.console.views.templates import home, line_asked, line_url, line_words, version_asked
from apps.console.web import Dialog, actor_of, add_errors, done, page, posted, show_dialog
from apps.core import human
from apps.core.actor import MESSAGES_READ, MESSAGES_WRITE, TEMPLATES_EDIT, require
from apps.core.errors import NotFound, PortalError
from apps.outbox.models import MessageTemplate
from apps.outbox.templating import services
from apps.outbox.templating.selectors import (
    Line,
    get_template,
    get_version,
    waiting_of,
)


# --- dialogs ------------------------------------------------------------------------------------
@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def activate(request: HttpRequest, name: str) -> HttpResponse:
    actor = actor_of(request)
    require(actor, TEMPLATES_EDIT)
    line = line_asked(request, get_template(name))
    number = version_asked(request, "version") or 0
    version = get_version(line.id, number)
    using = line.using
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            services.activate(
                line=line.id,
                version=number,
                actor=actor,
                reason=form.cleaned_data["reason"],
                seen_active=version_asked(request, "seen"),
            )
        except PortalError as error:
            add_errors(form, error)
        else:
            text = _("Version {version} of {name} is in use from now on.").format(version=number, name=name)
            return done(request, text, line_url(line.id))
    back = using is not None and number < using.version
    heading = _("Go back to version {version} of {name}") if back else _("Use version {version} of {name}")
    button = _("Go back to version {version}") if back else _("Use version {version}")
    seen = using.version if using else 0
    dialog = Dialog(
        heading=heading.format(version=number, name=name),
        lead=line_words(line.id),
        consequences=_activate_consequences(using, version),
        button=button.format(version=number),
        action_url=_action_url("template-activate", line, version=number, seen=seen),
        back_url=line_url(line.id),
        crumbs=(home(), (name, line_url(line.id))),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _activate_consequences(using: MessageTemplate | None, version: MessageTemplate) -> tuple[str, ...]:
    text = (
        _("Messages accepted from now on take version {version} instead of {using}.")
        if using
        else _("Messages accepted from now on take version {version}.")
    )
    return (
        text.format(version=version.version, using=using.version if using else 0),
        _("Messages that were accepted before keep the version they took, also when they are replayed."),
    )


def _action_url(route: str, line: Line, **more: Any) -> str:
    query = urlencode({"channel": line.id.channel, "language": line.id.language, **more})
    return f"{reverse(route, args=[line.id.name])}?{query}"


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def archive(request: HttpRequest, name: str) -> HttpResponse:
    """Archive a line, or restore one that is archived."""
    actor = actor_of(request)
    require(actor, TEMPLATES_EDIT)
    line = line_asked(request, get_template(name))
    back = line.archived_at is not None
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        move = services.restore if request.GET.get("restore") == "1" else services.archive
        try:
            move(line=line.id, actor=actor, reason=form.cleaned_data["reason"])
        except PortalError as error:
            add_errors(form, error)
        else:
            words = _("{name} is restored.") if move is services.restore else _("{name} is archived.")
            return done(request, words.format(name=name), line_url(line.id))
    dialog = Dialog(
        heading=(_("Restore {name}") if back else _("Archive {name}")).format(name=name),
        lead=line_words(line.id),
        consequences=(_("Messages may ask for it again."),) if back else _archive_consequences(line),
        button=_("Restore") if back else _("Archive"),
        button_class="primary" if back else "danger-solid",
        action_url=_action_url("template-archive", line, **({"restore": 1} if back else {})),
        back_url=line_url(line.id),
        crumbs=(home(), (name, line_url(line.id))),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _archive_consequences(line: Line) -> tuple[str, ...]:
    waiting = waiting_of(line.id)
    held = ngettext(
        "{count} waiting message has it and is still sent.",
        "{count} waiting messages have it and are still sent.",
        waiting,
    ).format(count=human.number(waiting))
    return (
        _("New messages that ask for it are refused with an error that says so. It can be restored."),
        held if waiting else _("No waiting message has it."),
    )


@page(MESSAGES_READ)
@require_http_methods(["GET", "POST"])
def test(request: HttpRequest, name: str) -> HttpResponse:
    """A real message with the sample data, to oneself."""
    actor = actor_of(request)
    require(actor, TEMPLATES_EDIT)
    require(actor, MESSAGES_WRITE)
    line = line_asked(request, get_template(name))
    number = version_asked(request, "version") or (line.using or line.newest).version
    version = get_version(line.id, number)
    fitting = [row for row in portal_of(request).services if line.id.channel in ("", row.channel)]
    if not fitting:
        raise NotFound(
            _("There is no service for {channel} to send a test through.").format(
                channel=channel_label(line.id.channel)
            )
        )
    own = str(getattr(request.user, "email", "")) if line.id.channel == "email" else ""
    form = TestForm(posted(request), services=[row.name for row in fitting], own=own)
    if request.method == "POST" and form.is_valid():
        try:
            message = services.send_test(template_id=version.pk, actor=actor, **form.cleaned_data)
        except PortalError as error:
            add_errors(form, error)
        else:
            text = _("The test is on its way as message {number}.").format(number=message)
            return done(request, text, reverse("message", args=[message]))
    dialog = Dialog(
        heading=_("Send a test of {name}").format(name=name),
        lead=_("Version {version}, {line}, with its sample data.").format(version=number, line=line_words(line.id)),
        consequences=(
            _("One real message goes out through the outbox, for the tenant “test”. It expires after an hour."),
        ),
        button=_("Send the test"),
        action_url=_action_url("template-test", line, version=number),
        back_url=line_url(line.id),
        crumbs=(home(), (name, line_url(line.id))),
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)

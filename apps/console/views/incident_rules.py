"""The rules that open incidents by themselves."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.console.forms import OptionalReasonForm
from apps.console.incident_forms import RuleForm
from apps.console.selectors.incident_rules import get_rule, rule_rows
from apps.console.selectors.incidents import incident_rows
from apps.console.views.incident_changes import ask
from apps.console.views.incidents import home
from apps.console.web import Dialog, actor_of, crumbs, done, page, posted, refused
from apps.core.actor import INCIDENTS_EDIT, INCIDENTS_READ, require
from apps.core.errors import PortalError
from apps.core.live import live_page
from apps.incidents import rules as services
from apps.incidents.models import OPEN_STATES, Rule

SHOWN = 20


def _home() -> tuple[str, str]:
    return (_("Rules"), reverse("incident-rules"))


@page(INCIDENTS_READ)
@require_GET
def rules(request: HttpRequest) -> HttpResponse:
    context = {"rows": rule_rows(), "crumbs": crumbs(home(), _("Rules"))}
    return live_page(request, "console/incident_rules.html", context)


@page(INCIDENTS_READ)
@require_GET
def rule(request: HttpRequest, name: str) -> HttpResponse:
    row = get_rule(name)
    context = {
        "rows": [row],
        "rule": row.rule,
        "incidents": incident_rows(row.rule.incidents.order_by("-pk")[:SHOWN]),
        "crumbs": crumbs(home(), _home(), name),
    }
    return live_page(request, "console/incident_rules.html", context)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    require(actor_of(request), INCIDENTS_EDIT)
    form = RuleForm(posted(request))

    def act(data: dict[str, Any]) -> str:
        made = services.save_rule(name=data["name"], actor=actor_of(request), **form.rule())
        return _("The rule {name} looks at alerts from now on.").format(name=made.name)

    dialog = Dialog(
        heading=_("A rule that opens incidents"),
        button=_("Make the rule"),
        action_url=reverse("incident-rule-new"),
        back_url=reverse("incident-rules"),
        crumbs=(home(), _home()),
        template="console/incident_dialog.html",
        consequences=(
            _("It looks at what fires now too. While one of its incidents is open, further alerts join that one."),
        ),
    )
    return ask(request, dialog, form, act)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    require(actor_of(request), INCIDENTS_EDIT)
    found = get_rule(name).rule
    form = RuleForm(posted(request), initial=_initial(found))
    del form.fields["name"]
    form.fields["match"].widget.attrs["autofocus"] = True

    def act(data: dict[str, Any]) -> str:
        services.save_rule(name=name, actor=actor_of(request), enabled=found.enabled, **form.rule())
        return _("The rule {name} is saved.").format(name=name)

    dialog = Dialog(
        heading=_("Rule {name}").format(name=name),
        button=_("Save"),
        action_url=reverse("incident-rule-edit", args=[name]),
        back_url=reverse("incident-rules"),
        crumbs=(home(), _home()),
        template="console/incident_dialog.html",
        consequences=(_("It holds from the next look on. Incidents that are open stay open."),),
    )
    return ask(request, dialog, form, act)


def _initial(rule: Rule) -> dict[str, Any]:
    ends = rule.resolve_after_s
    return {
        "match": services.as_text(rule.match),
        "after_min": rule.after_s // 60,
        "at_least": rule.at_least,
        "severity": rule.severity,
        "resolve_after_min": None if ends is None else ends // 60,
        "seen_version": rule.version,
    }


@page(INCIDENTS_READ)
@require_POST
def switch(request: HttpRequest, name: str) -> HttpResponse:
    url, on = reverse("incident-rules"), request.POST.get("on") == "1"
    try:
        services.switch_rule(name=name, actor=actor_of(request), enabled=on)
    except PortalError as error:
        return refused(request, error, url)
    text = _("The rule {name} is on.") if on else _("The rule {name} is off. What it opened stays open.")
    return done(request, text.format(name=name), url)


@page(INCIDENTS_READ)
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, name: str) -> HttpResponse:
    require(actor_of(request), INCIDENTS_EDIT)
    found = get_rule(name).rule
    form = OptionalReasonForm(posted(request))

    def act(data: dict[str, Any]) -> str:
        services.delete_rule(name=name, actor=actor_of(request), reason=data["reason"])
        return _("The rule {name} is deleted.").format(name=name)

    running = found.incidents.filter(state__in=OPEN_STATES).count()
    lines = [_("No alert opens an incident by it any more. Switching it off would keep it.")]
    if running:
        text = ngettext(
            "{n} incident of it is open and will be resolved by a person.",
            "{n} incidents of it are open and will be resolved by a person.",
            running,
        )
        lines.append(text.format(n=running))
    dialog = Dialog(
        heading=_("Delete the rule {name}").format(name=name),
        button=_("Delete the rule"),
        button_class="danger-solid",
        cancel_label=_("Keep it"),
        action_url=reverse("incident-rule-delete", args=[name]),
        back_url=reverse("incident-rules"),
        crumbs=(home(), _home()),
        template="console/incident_dialog.html",
        consequences=tuple(lines),
    )
    return ask(request, dialog, form, act)

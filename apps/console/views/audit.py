"""The audit trail: search, one entry with its hashes, export, and whether the chain fits."""

from __future__ import annotations

from datetime import UTC
from typing import Any, cast

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.audit import checks
from apps.audit.export import CONTENT_TYPES, export
from apps.audit.selectors import AuditFilters, entry_detail
from apps.audit.wording import ACTOR_KINDS
from apps.console.forms import text_input
from apps.console.selectors.audit import action_choices, audit_page, chain, row_of
from apps.console.selectors.audit_links import links_for
from apps.console.web import actor_of, crumbs, done, page, refused
from apps.core import clock
from apps.core.actor import AUDIT_READ
from apps.core.errors import Invalid, PortalError
from apps.core.live import anchor, live_page
from apps.core.pagination import parse_cursor

PEOPLE_OFFERED = 200


def moment_input() -> forms.DateTimeInput:
    return forms.DateTimeInput(attrs={"class": "input", "type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class AuditFilterForm(forms.Form):
    """The filters of the trail, as they stand in the address bar. Times are in the reader's zone."""

    actor = forms.CharField(
        label=gettext_lazy("Who"), required=False, max_length=200, widget=text_input(list="audit-people")
    )
    kind = forms.ChoiceField(label=gettext_lazy("As"), required=False)
    action = forms.ChoiceField(label=gettext_lazy("What"), required=False)
    target = forms.CharField(
        label=gettext_lazy("To what"), required=False, max_length=200, widget=text_input(placeholder="service:midtrans")
    )
    since = forms.DateTimeField(label=gettext_lazy("From"), required=False, widget=moment_input())
    until = forms.DateTimeField(label=gettext_lazy("Until"), required=False, widget=moment_input())
    ip = forms.CharField(label=gettext_lazy("Address"), required=False, max_length=64, widget=text_input())
    request_id = forms.CharField(label=gettext_lazy("Request"), required=False, max_length=128, widget=text_input())
    q = forms.CharField(label=gettext_lazy("Text in the reason"), required=False, max_length=200, widget=text_input())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(code, str(words)) for code, words in ACTOR_KINDS.items()]
        for name, none, choices in (("kind", _("anyone"), kinds), ("action", _("anything"), action_choices())):
            field = self.fields[name]
            # An action of an older release may stand in a saved address: it is looked for as it is.
            given = self.data.get(name, "")
            extra = [(given, given)] if given and given not in dict(choices) else []
            field.choices = [("", none), *choices, *extra]  # type: ignore[attr-defined]

    def filters(self) -> AuditFilters:
        """Raises :class:`Invalid` naming what cannot be read."""
        if not self.is_valid():
            problems = [{"field": name, "message": str(found[0])} for name, found in self.errors.items()]
            raise Invalid.fields(problems)
        given = self.cleaned_data
        return AuditFilters(
            actor=given["actor"],
            actor_kind=given["kind"],
            action=given["action"],
            target=given["target"],
            ip=given["ip"],
            request_id=given["request_id"],
            text=given["q"],
            since=given["since"],
            until=given["until"],
        )


@page(AUDIT_READ)
@require_GET
def audit(request: HttpRequest) -> HttpResponse:
    form = AuditFilterForm(request.GET)
    filters = form.filters()
    found = audit_page(
        filters,
        cursor=parse_cursor(request.GET.get("cursor")),
        anchor=anchor(request),
        permissions=actor_of(request).permissions,
    )
    context = {
        "form": form,
        "page": found,
        "chain": chain(),
        "filtered": bool(filters.as_dict()),
        "more_filters": any(request.GET.get(name) for name in ("ip", "request_id", "until")),
        "people": User.objects.order_by("email").values_list("email", flat=True)[:PEOPLE_OFFERED],
        "query": request.GET.urlencode(),
        "crumbs": crumbs(_("Audit trail")),
    }
    return live_page(request, "console/audit.html", context)


@page(AUDIT_READ)
@require_GET
def entry(request: HttpRequest, entry_id: int) -> HttpResponse:
    detail = entry_detail(entry_id)
    context = {
        "detail": detail,
        "row": row_of(detail.entry, links_for([detail.entry.target], actor_of(request).permissions)),
        "chain": chain(),
        "crumbs": crumbs((_("Audit trail"), reverse("audit")), _("entry {number}").format(number=entry_id)),
    }
    return live_page(request, "console/audit_entry.html", context)


@page(AUDIT_READ)
@require_POST
def take_export(request: HttpRequest) -> HttpResponse:
    """The rows of the current filter as a file. A POST, because that it was taken is written down."""
    kind = request.POST.get("format", "csv")
    lines = export(filters=AuditFilterForm(request.GET).filters(), kind=kind, actor=actor_of(request))
    name = f"audit-{clock.now().astimezone(UTC):%Y%m%d-%H%M%S}.{kind}"
    answer = StreamingHttpResponse(
        (line.encode() for line in lines),
        content_type=CONTENT_TYPES[kind],
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"},
    )
    # Views are typed by the answer that all but this one give.
    return cast(HttpResponse, answer)


@page(AUDIT_READ)
@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    try:
        checks.ask(actor=actor_of(request))
    except PortalError as error:
        return refused(request, error, reverse("audit"))
    text = _("A control worker will check the whole trail. The result appears here.")
    return done(request, text, reverse("audit"))

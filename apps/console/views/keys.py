"""API keys: made, looked through and revoked. A key itself is shown once and kept nowhere."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts.models import ApiKey
from apps.accounts.scopes import MEANINGS, SCOPES
from apps.accounts.services import NewKey, create_key, revoke_key
from apps.console.forms import ReasonForm, text_input
from apps.console.selectors import identities
from apps.console.views.settings_hub import show, trail
from apps.console.web import Dialog, actor_of, add_errors, done, is_htmx, page, posted, show_dialog
from apps.core.actor import APIKEYS_MANAGE, Actor
from apps.core.errors import PortalError

EXPIRIES: Final = (
    ("30", gettext_lazy("30 days")),
    ("90", gettext_lazy("90 days")),
    ("365", gettext_lazy("1 year")),
    ("", gettext_lazy("never")),
)
STATE_WORDS: Final = (
    ("", gettext_lazy("all states")),
    ("active", gettext_lazy("active")),
    ("expired", gettext_lazy("expired")),
    ("revoked", gettext_lazy("revoked")),
)


class KeyFilterForm(forms.Form):
    q = forms.CharField(
        label=gettext_lazy("Name, key, tenant or scope"),
        required=False,
        max_length=100,
        widget=text_input(type="search"),
    )
    state = forms.ChoiceField(label=gettext_lazy("State"), required=False, choices=STATE_WORDS)


@page(APIKEYS_MANAGE)
@require_GET
def key_list(request: HttpRequest) -> HttpResponse:
    form = KeyFilterForm(request.GET)
    given = form.cleaned_data if form.is_valid() else {}
    context = {
        "rows": identities.keys(state=given.get("state", ""), text=given.get("q", "")),
        "form": form,
        "filtered": any(given.values()),
        "crumbs": trail(_("API keys")),
        "section": "keys",
    }
    return show(request, "console/keys.html", context)


class KeyForm(forms.Form):
    """``actor`` limits the scopes: nobody hands out what they may not do."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=90,
        widget=text_input(autofocus=True),
        help_text=gettext_lazy("The program that will use it."),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("What it may do"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Choose at least one: a key without a scope could do nothing.")},
    )
    expires = forms.ChoiceField(
        label=gettext_lazy("Expires after"),
        choices=EXPIRIES,
        required=False,
        initial="90",
        widget=forms.Select(attrs={"class": "input"}),
    )
    tenant_id = forms.CharField(
        label=gettext_lazy("Only for the tenant"),
        max_length=64,
        required=False,
        widget=text_input(),
        help_text=gettext_lazy("Empty: for all tenants."),
    )
    rate_per_minute = forms.IntegerField(
        label=gettext_lazy("Requests per minute"),
        min_value=1,
        max_value=100_000_000,
        required=False,
        widget=forms.NumberInput(attrs={"class": "input"}),
        help_text=gettext_lazy("Empty: the limit of the installation."),
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        scopes = self.fields["scopes"]
        assert isinstance(scopes, forms.MultipleChoiceField)
        self.offered = [scope for scope in SCOPES if actor.may(scope.replace(":", "."))]
        scopes.choices = [(scope, scope) for scope in self.offered]

    def meanings(self) -> list[tuple[str, Any, bool]]:
        """Scope, what it allows, and whether it is ticked."""
        ticked = self.data.getlist("scopes") if self.is_bound else []  # type: ignore[attr-defined]  # a QueryDict
        return [(scope, MEANINGS[scope.replace(":", ".")], scope in ticked) for scope in self.offered]

    def values(self) -> dict[str, Any]:
        """What create_key takes."""
        given = dict(self.cleaned_data)
        days = given.pop("expires")
        return {**given, "expires_in": timedelta(days=int(days)) if days else None}


@page(APIKEYS_MANAGE)
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    form = KeyForm(posted(request), actor=actor)
    if request.method == "POST" and form.is_valid():
        try:
            made = create_key(actor=actor, **form.values())
        except PortalError as error:
            add_errors(form, error)
        else:
            return _shown_once(request, made)
    dialog = Dialog(
        heading=_("Make an API key"),
        lead=_("The key is shown once. Only its hash is kept."),
        button=_("Make key"),
        action_url=reverse("key-new"),
        back_url=reverse("keys"),
        template="console/keys_new.html",
        crumbs=_way(),
        wide=True,
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)


def _way() -> tuple[tuple[str, str] | str, ...]:
    return ((_("Settings"), reverse("settings")), (_("API keys"), reverse("keys")))


def _shown_once(request: HttpRequest, made: NewKey) -> HttpResponse:
    """An answer to a POST that nobody keeps: not the session, not the browser, not the logs."""
    context = {"key": made.key, "raw": made.raw, "crumbs": trail((_("API keys"), reverse("keys")), made.key.name)}
    template = "console/keys_made_body.html" if is_htmx(request) else "console/keys_made.html"
    response = render(request, template, context)
    response["Cache-Control"] = "private, no-store"
    return response


@page(APIKEYS_MANAGE)
@require_http_methods(["GET", "POST"])
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=key_id)
    form = ReasonForm(posted(request))
    if request.method == "POST" and form.is_valid():
        try:
            revoke_key(name=key.name, actor=actor_of(request), reason=form.cleaned_data["reason"])
        except PortalError as error:
            add_errors(form, error)
        else:
            text = _("The API key {name} is revoked. Every process refuses it within 5 seconds.")
            return done(request, text.format(name=key.name), reverse("keys"))
    dialog = Dialog(
        heading=_("Revoke {name}").format(name=key.name),
        lead=_("The program that uses it is refused from then on. This cannot be undone."),
        button=_("Revoke {name}").format(name=key.name),
        button_class="danger-solid",
        action_url=reverse("key-revoke", args=[key.pk]),
        back_url=reverse("keys"),
        template="console/keys_revoke.html",
        crumbs=_way(),
        extra={"key": key},
    )
    return show_dialog(request, dialog, form, status=422 if form.errors else 200)

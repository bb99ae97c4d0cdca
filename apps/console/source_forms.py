"""Forms of the pages about where alerts come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.alerts.models import AlertSource, SourceKind
from apps.alerts.services import LONGEST_TIMEOUT, SHORTEST_TIMEOUT, WATCHDOG_TIMEOUT
from apps.console.forms import MAX_REASON, text_input
from apps.console.selectors.alert_deliveries import FILTERS

KINDS: Final = tuple((kind.value, kind.label) for kind in SourceKind if kind is not SourceKind.PORTAL)
KEEP: Final = "keep"
CHANGE: Final = "change"
SECRET_CHOICES: Final = (
    (KEEP, _("leave it as it is")),
    (CHANGE, _("the one below")),
    ("remove", _("none")),
)


def _watchdog() -> forms.CharField:
    return forms.CharField(
        label=_("Alert that always fires"),
        max_length=100,
        required=False,
        widget=text_input(),
        help_text=_("Its alertname is the heartbeat of the source. Empty: nobody can tell whether it is alive."),
    )


def _timeout() -> forms.IntegerField:
    return forms.IntegerField(
        label=_("Blind after (seconds)"),
        min_value=SHORTEST_TIMEOUT,
        max_value=LONGEST_TIMEOUT,
        widget=forms.NumberInput(attrs={"class": "input"}),
        help_text=_("Without a heartbeat for so long, recoveries freeze and an alarm goes out."),
    )


def _api_url() -> forms.CharField:
    return forms.CharField(
        label=_("Address of its API (optional)"),
        max_length=500,
        required=False,
        widget=text_input(placeholder="http://alertmanager:9093", inputmode="url"),
        help_text=_("Asked every minute for what a webhook never tells: silences, and alerts that were missed."),
    )


class SourceForm(forms.Form):
    """A new source."""

    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        widget=text_input(autofocus=True, placeholder="eu1"),
        help_text=_("Letters, digits, - and _. It cannot be changed."),
    )
    kind = forms.ChoiceField(label=_("Kind"), choices=KINDS)
    api_url = _api_url()
    watchdog = _watchdog()
    watchdog_timeout = _timeout()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"initial": {"watchdog": "Watchdog", "watchdog_timeout": WATCHDOG_TIMEOUT}, **kwargs})


class SourceSettingsForm(forms.Form):
    """What of a source may be changed. A secret that is stored is never shown."""

    api_url = _api_url()
    secret = forms.ChoiceField(
        label=_("Bearer secret of the API"),
        choices=SECRET_CHOICES,
        initial=KEEP,
        widget=forms.Select(attrs={"class": "input"}),
    )
    api_secret = forms.CharField(
        label=_("New secret"),
        max_length=4000,
        required=False,
        widget=forms.PasswordInput(attrs={"class": "input", "autocomplete": "new-password"}),
    )
    watchdog = _watchdog()
    watchdog_timeout = _timeout()
    reason = forms.CharField(label=_("Why (optional)"), max_length=MAX_REASON, required=False, widget=text_input())

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if given.get("secret") == CHANGE and not given.get("api_secret"):
            self.add_error("api_secret", _("Type the secret, or leave it as it is."))
        if given.get("secret") == KEEP and given.get("api_secret"):
            # Somebody who types one wants it to be used.
            given["secret"] = CHANGE
        return given

    def values(self) -> dict[str, Any]:
        """What change_source takes."""
        given = dict(self.cleaned_data)
        chosen, typed = given.pop("secret"), given.pop("api_secret")
        return {**given, "api_secret": {KEEP: None, CHANGE: typed, "remove": ""}[chosen]}


def initial_of(source: AlertSource) -> dict[str, Any]:
    return {name: getattr(source, name) for name in ("api_url", "watchdog", "watchdog_timeout")}


class DeliveryFilterForm(forms.Form):
    """The filters of the list, as they stand in the address bar."""

    def __init__(self, *args: Any, sources: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(name, name) for name in sources]
        self.fields["source"] = forms.ChoiceField(
            label=_("Source"), required=False, choices=[("", _("all sources")), *named]
        )
        self.fields["state"] = forms.ChoiceField(
            label=_("State"), required=False, choices=[("", _("all states")), *FILTERS.items()]
        )

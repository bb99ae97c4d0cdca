"""Forms of the pages: what a person types, before the service layer checks what it means."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.template import loader

from apps.core.clock import now

MAX_REASON: Final = 2000
DURATIONS: Final = (("900", "15 min"), ("1800", "30 min"), ("3600", "1 h"), ("14400", "4 h"), ("86400", "1 d"))


def text_input(**attributes: Any) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "input", "autocomplete": "off", **attributes})


class ReasonForm(forms.Form):
    """Why: the first thing a dialog asks, and what the audit trail keeps."""

    reason = forms.CharField(
        label="Why",
        max_length=MAX_REASON,
        widget=text_input(autofocus=True, placeholder="For whoever reads this later"),
        error_messages={"required": "Say why: it goes into the audit trail."},
    )


class OptionalReasonForm(forms.Form):
    reason = forms.CharField(
        label="Why (optional)", max_length=MAX_REASON, required=False, widget=text_input(autofocus=True)
    )


class DurationSelect(forms.RadioSelect):
    """Choices as buttons; the submit button repeats the one that is chosen."""

    template_name = "components/choices.html"

    def _render(self, template_name: str, context: dict[str, Any], renderer: Any = None) -> Any:
        """From the project's templates; a form's own renderer looks into django.forms only."""
        return loader.render_to_string(template_name, context)

    def create_option(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(*args, **kwargs)
        option["attrs"]["data-words"] = option["label"]
        return option


class OverrideForm(ReasonForm):
    """An override has a reason, an end, and the epoch of the page it was decided on."""

    expires_in = forms.TypedChoiceField(
        label="For how long", choices=DURATIONS, coerce=int, initial="1800", widget=DurationSelect
    )
    seen_epoch = forms.IntegerField(widget=forms.HiddenInput)

    field_order = ("reason", "expires_in")


class EndOverrideForm(ReasonForm):
    seen_epoch = forms.IntegerField(widget=forms.HiddenInput)


class ReplayForm(forms.Form):
    """How a replay goes about it. Empty ``per_second``: as fast as the service's own limits allow."""

    reason = forms.CharField(
        label="Why",
        max_length=MAX_REASON,
        widget=text_input(autofocus=True, placeholder="provider confirmed recovery, ticket …"),
        error_messages={"required": "Say why: it goes into the audit trail."},
    )
    canary = forms.IntegerField(
        label="Try this many first",
        min_value=0,
        max_value=10_000,
        initial=10,
        widget=forms.NumberInput(attrs={"class": "input"}),
        help_text="The rest follows only if all of them are sent. 0: all at once.",
    )
    per_second = forms.FloatField(
        label="At most per second",
        min_value=0.01,
        max_value=100_000,
        required=False,
        initial=20,
        widget=forms.NumberInput(attrs={"class": "input", "step": "any"}),
        help_text="Empty: as fast as the service allows.",
    )
    stop_above_percent = forms.FloatField(
        label="Stop above % failures",
        min_value=0,
        max_value=100,
        initial=20,
        widget=forms.NumberInput(attrs={"class": "input", "step": "any"}),
    )


class JSONTextField(forms.CharField):
    """JSON a person edits; says where it stops making sense."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.Textarea(attrs={"class": "code", "rows": 4, "spellcheck": "false"}))
        super().__init__(strip=True, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"This is not JSON: {error}") from error


SETTINGS_SECTIONS: Final = (
    ("retry", "Retry", "base, factor, cap (seconds), max_attempts, jitter"),
    ("breaker", "Breaker", "timeout, error_threshold_percentage, volume_threshold, reset_timeout, …"),
    ("limits", "Limits", "max_in_flight, max_per_second"),
    ("ordering", "Ordering", "waiting_head: block, skip or dead_letter"),
    ("settings", "Channel settings", "what the channel needs, such as url and headers; never a secret"),
)


class ServiceForm(ReasonForm):
    """The policies of a service as JSON sections. ``seen_version`` refuses to overwrite somebody's edit."""

    owner = forms.CharField(label="Owner", max_length=100, required=False, widget=text_input())
    runbook_url = forms.CharField(label="Runbook", max_length=500, required=False, widget=text_input())
    seen_version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label, help_text in SETTINGS_SECTIONS:
            self.fields[name] = JSONTextField(label=label, help_text=help_text, required=False)
        self.order_fields(["owner", "runbook_url", *(name for name, _, _ in SETTINGS_SECTIONS), "reason"])
        self.fields["reason"].widget.attrs.pop("autofocus", None)

    def changes(self) -> dict[str, Any]:
        """What update_service takes."""
        sections = {name: self.cleaned_data[name] or {} for name, _, _ in SETTINGS_SECTIONS}
        return {**sections, "owner": self.cleaned_data["owner"], "runbook_url": self.cleaned_data["runbook_url"]}


class OutboxFilterForm(forms.Form):
    """The filters of the outbox, as they stand in the address bar."""

    SINCE = (("", "any time"), ("15m", "last 15 min"), ("1h", "last hour"), ("24h", "last 24 h"), ("7d", "last 7 d"))
    SPANS = {
        "15m": timedelta(minutes=15),
        "1h": timedelta(hours=1),
        "24h": timedelta(hours=24),
        "7d": timedelta(days=7),
    }

    q = forms.CharField(
        label="Number, key or text",
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "input", "type": "search", "id": "q", "autocomplete": "off"}),
    )
    service = forms.CharField(label="Service", required=False, max_length=64)
    tenant = forms.CharField(label="Tenant", required=False, max_length=64, widget=text_input())
    since = forms.ChoiceField(label="Accepted", required=False, choices=SINCE)

    def __init__(self, *args: Any, services: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "all services"), *((name, name) for name in services)]
        self.fields["service"].widget = forms.Select(choices=choices)

    def created_after(self) -> Any:
        span = self.SPANS.get(self.cleaned_data.get("since", ""))
        return now() - span if span else None


class EditLetterForm(ReasonForm):
    """A corrected copy of a dead letter. Only what differs from the original is sent as a change."""

    keep_key = forms.BooleanField(
        label="Keep the identity on the wire",
        required=False,
        help_text="A receiver that may have seen the original then takes the copy as the same message.",
    )

    def __init__(self, *args: Any, original: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.original = original
        for name, value in original.items():
            big = name in ("payload", "json", "body_template", "body_data")
            widget = (
                forms.Textarea(attrs={"class": "code", "rows": min(16, 3 + value.count("\n")), "spellcheck": "false"})
                if big
                else text_input()
            )
            self.fields[name] = forms.CharField(
                label=EDIT_LABELS[name], required=False, initial=value, widget=widget, strip=False
            )
        self.order_fields([*original, "reason", "keep_key"])
        self.fields["reason"].widget.attrs.pop("autofocus", None)

    def changes(self) -> dict[str, str]:
        """Fields whose text differs; browsers send line ends as CR LF."""
        given = {name: self.cleaned_data[name].replace("\r\n", "\n") for name in self.original}
        return {name: value for name, value in given.items() if value != self.original[name].replace("\r\n", "\n")}


EDIT_LABELS: Final = {
    "recipient": "Recipient",
    "subject": "Subject",
    "body_template": "Template",
    "body_data": "Template data (JSON)",
    "json": "Body (JSON)",
    "payload": "Body",
}

"""Forms of the pages: what a person types, before the service layer checks what it means."""

from __future__ import annotations

import json
from typing import Any, Final

from django import forms
from django.template import loader

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

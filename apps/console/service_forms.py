"""Forms about one service: overriding its breaker, its settings, what-if."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.console.forms import DurationSelect, JSONTextField, ReasonForm, text_input
from apps.services.policies import BreakerPolicy

DURATIONS: Final = (
    ("900", _("15 min")),
    ("1800", _("30 min")),
    ("3600", _("1 h")),
    ("14400", _("4 h")),
    ("86400", _("1 d")),
)


class OverrideForm(ReasonForm):
    """An override has a reason, an end, and the epoch of the page it was decided on."""

    expires_in = forms.TypedChoiceField(
        label=_("For how long"), choices=DURATIONS, coerce=int, initial="1800", widget=DurationSelect
    )
    seen_epoch = forms.IntegerField(widget=forms.HiddenInput)

    field_order = ("reason", "expires_in")


class EndOverrideForm(ReasonForm):
    seen_epoch = forms.IntegerField(widget=forms.HiddenInput)


class RestoreForm(ReasonForm):
    seen_version = forms.IntegerField(widget=forms.HiddenInput)


SETTINGS_SECTIONS: Final = (
    ("retry", _("Retry"), _("base, factor, cap (seconds), max_attempts, jitter")),
    ("breaker", _("Breaker"), _("timeout, error_threshold_percentage, volume_threshold, reset_timeout, …")),
    ("limits", _("Limits"), _("max_in_flight, max_per_second")),
    ("ordering", _("Ordering"), _("waiting_head: block, skip or dead_letter")),
    ("settings", _("Channel settings"), _("what the channel needs, such as url and headers; never a secret")),
)


class ServiceForm(ReasonForm):
    """The policies of a service as JSON sections. ``seen_version`` refuses to overwrite somebody's edit."""

    owner = forms.CharField(label=_("Owner"), max_length=100, required=False, widget=text_input())
    runbook_url = forms.CharField(label=_("Runbook"), max_length=500, required=False, widget=text_input())
    seen_version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label, help_text in SETTINGS_SECTIONS:
            self.fields[name] = JSONTextField(label=label, help_text=help_text, required=False)
        self.order_fields(["owner", "runbook_url", *(section[0] for section in SETTINGS_SECTIONS), "reason"])
        self.fields["reason"].widget.attrs.pop("autofocus", None)

    def changes(self) -> dict[str, Any]:
        """What update_service takes."""
        sections = {section[0]: self.cleaned_data[section[0]] or {} for section in SETTINGS_SECTIONS}
        return {**sections, "owner": self.cleaned_data["owner"], "runbook_url": self.cleaned_data["runbook_url"]}


# Option, label, whether it may be left out, whether it is a whole number.
WHAT_IF_FIELDS: Final = (
    ("error_threshold_percentage", _("Opens at % failures"), False, False),
    ("volume_threshold", _("of at least so many calls"), False, True),
    ("rolling_count_timeout", _("Window (s)"), False, False),
    ("rolling_count_buckets", _("Buckets of the window"), False, True),
    ("reset_timeout", _("Tested after (s)"), False, False),
    ("reset_multiplier", _("Wait grows by"), False, False),
    ("max_reset_timeout", _("Longest wait (s)"), True, False),
    ("half_open_permits", _("Tests at a time"), False, True),
    ("slow_call_rate_percentage", _("Opens at % slow calls"), False, False),
)


def _days_to_choose() -> list[tuple[str, str]]:
    return [(str(days), ngettext("last %d day", "last %d days", days) % days) for days in (1, 7, 14)]


class WhatIfForm(forms.Form):
    """Thresholds to try. What is left empty stays as it is; problems of the values are found by the policy."""

    DAYS: Final = 7

    days = forms.ChoiceField(label=_("Over the"), choices=_days_to_choose, required=False)

    def __init__(self, data: Any = None, *, policy: BreakerPolicy) -> None:
        initial = policy.model_dump() | {"days": str(self.DAYS)}
        super().__init__({**_texts(initial), **data.dict()} if data is not None else None, initial=initial)
        for name, label, optional, whole in WHAT_IF_FIELDS:
            if name == "slow_call_rate_percentage" and policy.slow_call_duration is None:
                continue
            kind = forms.IntegerField if whole else forms.FloatField
            widget = forms.NumberInput(attrs={"class": "input", "step": "1" if whole else "any", "title": name})
            self.fields[name] = kind(label=label, required=not optional, widget=widget)
        self.order_fields([*(field[0] for field in WHAT_IF_FIELDS), "days"])

    def days_asked(self) -> int:
        return int(self.cleaned_data["days"] or self.DAYS)

    def edits(self) -> dict[str, Any]:
        """The options as the policy knows them."""
        return {field[0]: self.cleaned_data[field[0]] for field in WHAT_IF_FIELDS if field[0] in self.fields}


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in values.items()}

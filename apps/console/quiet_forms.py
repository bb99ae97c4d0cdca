"""Forms of silences and maintenance windows. Times are in the reader's zone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.models import Episode
from apps.alerts.shown import visible_line
from apps.console.forms import DurationSelect, OptionalReasonForm, ReasonForm
from apps.core.clock import now
from apps.core.language import LocalDateTimeField

SPANS: Final[dict[str, timedelta]] = {
    "30m": timedelta(minutes=30),
    **{f"{hours}h": timedelta(hours=hours) for hours in (1, 2, 4, 8, 24)},
    "7d": timedelta(days=7),
}
MATCH_FORM: Final = "service = midtrans\ninstance = ~db-.*"


class EndForm(forms.Form):
    """Until when: a span from now (or from the beginning), or a time."""

    lasts = forms.ChoiceField(
        label=gettext_lazy("For how long"),
        choices=(
            ("30m", gettext_lazy("30 min")),
            ("1h", gettext_lazy("1 h")),
            ("2h", gettext_lazy("2 h")),
            ("4h", gettext_lazy("4 h")),
            ("8h", gettext_lazy("8 h")),
            ("24h", gettext_lazy("24 h")),
            ("7d", gettext_lazy("7 days")),
            ("custom", gettext_lazy("until…")),
        ),
        initial="2h",
        widget=DurationSelect,
    )
    until = LocalDateTimeField(
        label=gettext_lazy("Until"), required=False, help_text=gettext_lazy("Only for “until…”, in your time zone.")
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("lasts") == "custom" and not given.get("until") and "until" not in self.errors:
            self.add_error("until", _("Say until when."))
        return given

    def ends_at(self, begins: datetime | None = None) -> datetime:
        chosen = self.cleaned_data["lasts"]
        typed: datetime | None = self.cleaned_data.get("until")
        return typed if chosen == "custom" and typed is not None else (begins or now()) + SPANS[chosen]


class SilenceForm(EndForm, ReasonForm):
    """``alerts`` are those that can be silenced."""

    field_order = ("alert", "reason", "lasts", "until")
    alert = forms.TypedChoiceField(label=gettext_lazy("Alert"), coerce=int)

    def __init__(self, *args: Any, alerts: Iterable[Episode], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(episode.pk, _label(episode)) for episode in alerts]
        self.fields["alert"].choices = choices  # type: ignore[attr-defined]  # it is a field of choices


def _label(episode: Episode) -> str:
    instance = visible_line(episode.labels.get("instance", ""), 60)
    name = f"{visible_line(episode.name, 80)} · {instance}" if instance else visible_line(episode.name, 120)
    return f"{name} ({episode.source_id}, {episode.pk})"


class ExtendForm(EndForm, OptionalReasonForm):
    field_order = ("lasts", "until", "reason")


class MatchField(forms.CharField):
    """``label = value`` on each line; the same label twice means either value."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"class": "code", "rows": 3, "spellcheck": "false", "placeholder": MATCH_FORM})
        super().__init__(widget=widget, strip=True, max_length=5000, **kwargs)

    def clean(self, value: Any) -> Any:
        found: dict[str, list[str]] = {}
        for number, line in enumerate(super().clean(value).splitlines(), start=1):
            if line.strip():
                name, value_of = self._parts(number, line)
                found.setdefault(name, []).append(value_of)
        return {name: values[0] if len(values) == 1 else values for name, values in found.items()}

    def _parts(self, number: int, line: str) -> tuple[str, str]:
        name, equals, given = (part.strip() for part in line.partition("="))
        if not (name and equals and given):
            raise forms.ValidationError(_("Line {number} is not “label = value”.").format(number=number))
        return name, given


def as_lines(match: Mapping[str, str | list[str]]) -> str:
    pairs = [(name, given) for name, value in match.items() for given in ([value] if isinstance(value, str) else value)]
    return "\n".join(f"{name} = {given}" for name, given in pairs)


class MaintenanceForm(EndForm, ReasonForm):
    """``when`` it begins is left away for one that has begun."""

    field_order = ("match", "reason", "begins", "lasts", "until")
    match = MatchField(
        label=gettext_lazy("Which alerts"),
        help_text=gettext_lazy(
            "One label on each line, as in a route: all lines must hold. A value that begins with ~ is a pattern. "
            "Besides the labels: severity in our words, source and service."
        ),
    )
    begins = LocalDateTimeField(
        label=gettext_lazy("Begins"), required=False, help_text=gettext_lazy("Empty: now. In your time zone.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The first field has the focus.
        self.fields["reason"].widget.attrs.pop("autofocus", None)
        self.fields["match"].widget.attrs["autofocus"] = True

    def window(self) -> tuple[datetime | None, datetime]:
        begins: datetime | None = self.cleaned_data.get("begins")
        return begins, self.ends_at(max(begins, now()) if begins else None)


class ChangeMaintenanceForm(EndForm, ReasonForm):
    field_order = ("match", "lasts", "until", "reason")
    match = MatchField(label=gettext_lazy("Which alerts"))

"""Forms of alerts: the filters of the list, and what a person types when working on some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.alerts.selectors import GROUPS, STATES, EpisodeFilters
from apps.alerts.severity import Severity
from apps.alerts.shown import visible_line
from apps.console.forms import MAX_REASON, DurationSelect, text_input
from apps.console.letter_forms import NOBODY, SnoozeForm
from apps.console.outbox_filters import SPANS, Chip
from apps.core import human
from apps.core.clock import now
from apps.core.language import LocalDateTimeField
from apps.services.models import Service

STATE_LABELS: Final[dict[str, Any]] = {
    "": gettext_lazy("Open"),
    "firing": gettext_lazy("Firing"),
    "recovering": gettext_lazy("Recovering"),
    "resolved": gettext_lazy("Resolved"),
    "all": gettext_lazy("All"),
}
GROUP_LABELS: Final[dict[str, Any]] = {
    "": gettext_lazy("Not grouped"),
    "name": gettext_lazy("By alert"),
    "service": gettext_lazy("By service"),
    "source": gettext_lazy("By source"),
    "severity": gettext_lazy("By severity"),
}
FILTERS: Final = ("q", "ack", "quiet", "severity", "source", "service", "assignee", "name", "since", "after", "before")
ACKNOWLEDGED: Final = {"yes": True, "no": False}


class AlertFilterForm(forms.Form):
    """The filters as they stand in the address bar. An empty field is not a filter."""

    q = forms.CharField(
        label=gettext_lazy("Find"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "input", "type": "search", "autocomplete": "off"}),
    )
    ack = forms.ChoiceField(
        label=gettext_lazy("Acknowledged"),
        required=False,
        choices=(("", gettext_lazy("either")), ("no", gettext_lazy("not yet")), ("yes", gettext_lazy("yes"))),
    )
    severity = forms.ChoiceField(
        label=gettext_lazy("Severity"), required=False, choices=[("", gettext_lazy("all")), *Severity.choices]
    )
    service = forms.ChoiceField(label=gettext_lazy("Service"), required=False)
    source = forms.ChoiceField(label=gettext_lazy("Source"), required=False)
    assignee = forms.ChoiceField(label=gettext_lazy("Assignee"), required=False)
    quiet = forms.ChoiceField(
        label=gettext_lazy("Paging"),
        required=False,
        choices=(
            ("", gettext_lazy("any")),
            ("no", gettext_lazy("may page")),
            ("yes", gettext_lazy("kept quiet")),
            ("flapping", gettext_lazy("flapping")),
        ),
    )
    name = forms.CharField(label=gettext_lazy("Alert"), required=False, max_length=500, widget=text_input())
    since = forms.CharField(required=False, max_length=8)
    after = LocalDateTimeField(label=gettext_lazy("From"), required=False)
    before = LocalDateTimeField(label=gettext_lazy("To"), required=False)

    def __init__(
        self, data: QueryDict, *, services: Iterable[Service], sources: Iterable[str], people: Iterable[str], me: str
    ) -> None:
        super().__init__(data)
        self.address = data
        self.me = me
        everything = ("", _("all"))
        self._choose("service", [everything, *((service.name, service.name) for service in services)])
        self._choose("source", [everything, *((name, name) for name in sources)])
        others = [(person, person) for person in people if person != me]
        self._choose("assignee", [("", _("anyone")), ("mine", _("me")), (NOBODY, _("nobody")), *others])
        self.is_valid()

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]  # it is a field of choices

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("after") and given.get("before") and given["after"] >= given["before"]:
            raise ValidationError(_("The time range ends before it begins: nothing can be in it."))
        return given

    @property
    def state(self) -> str:
        asked = str(self.address.get("state", "")).lower()
        return asked if asked in STATES else ""

    @property
    def group(self) -> str:
        asked = str(self.address.get("group", "")).lower()
        return asked if asked in GROUPS and self.filters().is_open else ""

    @property
    def since_key(self) -> str:
        typed = self.cleaned_data.get("after") or self.cleaned_data.get("before")
        key = str(self.cleaned_data.get("since", ""))
        return key if key in SPANS and not typed else ""

    def filters(self) -> EpisodeFilters:
        """What is asked; a field that makes no sense (the form says which) is left out."""
        given = self.cleaned_data
        assignee = self.me if given.get("assignee") == "mine" else given.get("assignee", "")
        nobody, quiet = assignee == NOBODY, given.get("quiet", "")
        return EpisodeFilters(
            state=self.state,
            acknowledged=ACKNOWLEDGED.get(given.get("ack", "")),
            quiet=ACKNOWLEDGED.get(quiet),
            flapping=quiet == "flapping",
            severity=given.get("severity", ""),
            source=given.get("source", ""),
            service=given.get("service", ""),
            name=given.get("name", ""),
            assignee="" if nobody else assignee,
            unassigned=nobody,
            text=given.get("q", ""),
            after=self._after(),
            before=given.get("before"),
        )

    def _after(self) -> datetime | None:
        if self.since_key:
            # To the minute, so that asking again soon asks the same.
            return (now() - SPANS[self.since_key][1]).replace(second=0, microsecond=0)
        found: datetime | None = self.cleaned_data.get("after")
        return found

    @property
    def presets(self) -> list[tuple[str, str, bool]]:
        return [(key, str(label), key == self.since_key) for key, (label, _span) in SPANS.items()]

    @property
    def timed(self) -> bool:
        return bool(self.since_key or self.cleaned_data.get("after") or self.cleaned_data.get("before"))

    @property
    def range_label(self) -> str:
        """What the button of the time menu says."""
        if self.since_key:
            return str(SPANS[self.since_key][0])
        after, before = self.cleaned_data.get("after"), self.cleaned_data.get("before")
        moment = now()
        if after and before:
            return f"{human.clock(after, moment)} – {human.clock_in_zone(before, moment)}"
        if after:
            return _("Since {time}").format(time=human.clock_in_zone(after, moment))
        return _("Until {time}").format(time=human.clock_in_zone(before, moment)) if before else _("Any time")

    @property
    def more(self) -> bool:
        """True when a filter is set that the page would fold away."""
        return any(self.cleaned_data.get(name) for name in ("source", "assignee", "quiet", "name"))

    @property
    def more_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("source", "assignee", "quiet", "name")]

    def kept(self) -> list[tuple[str, str]]:
        """What means the same alerts again: the fields of a form that acts upon all that is filtered."""
        names = ("state", *FILTERS)
        return [(name, value) for name in names if (value := self.address.get(name, ""))]

    def chips(self) -> list[Chip]:
        return list(self._chips())

    def _chips(self) -> Iterator[Chip]:
        for name in ("q", "ack", "severity", "service", "source", "assignee", "quiet", "name"):
            value = self.cleaned_data.get(name)
            if value:
                choices = dict(getattr(self.fields[name], "choices", ()))
                shown = visible_line(str(choices.get(value, value)), 80)
                yield Chip(str(self.fields[name].label), shown, self._without(name))
        if self.timed:
            yield Chip(_("Began"), self.range_label, self._without("since", "after", "before"))

    def _without(self, *names: str) -> str:
        rest = QueryDict(mutable=True)
        for name, values in self.address.lists():
            if name not in (*names, "cursor"):
                rest.setlist(name, values)
        return f"?{rest.urlencode()}"


class AcknowledgeForm(forms.Form):
    """That somebody is at it. ``silenceable``: its Alertmanager can be told to be quiet too."""

    ENDS = (
        ("", gettext_lazy("until it is over")),
        ("30m", gettext_lazy("30 min")),
        ("2h", gettext_lazy("2 h")),
        ("8h", gettext_lazy("8 h")),
        ("custom", gettext_lazy("until…")),
    )
    SILENCES = (
        ("", gettext_lazy("no")),
        ("1h", gettext_lazy("1 h")),
        ("4h", gettext_lazy("4 h")),
        ("24h", gettext_lazy("24 h")),
    )
    SPAN: Final = {
        "30m": timedelta(minutes=30),
        **{f"{hours}h": timedelta(hours=hours) for hours in (1, 2, 4, 8, 24)},
    }

    reason = forms.CharField(
        label=gettext_lazy("What you know or do (optional)"),
        max_length=MAX_REASON,
        required=False,
        widget=text_input(autofocus=True, placeholder=gettext_lazy("For whoever looks next")),
    )
    ends = forms.ChoiceField(
        label=gettext_lazy("Holds"), choices=ENDS, required=False, initial="", widget=DurationSelect
    )
    until = LocalDateTimeField(
        label=gettext_lazy("Until"), required=False, help_text=gettext_lazy("Only for “until…”, in your time zone.")
    )
    silence = forms.ChoiceField(
        label=gettext_lazy("Also silence it in its Alertmanager"),
        choices=SILENCES,
        required=False,
        initial="",
        widget=DurationSelect,
        help_text=gettext_lazy("The silence is ended when the alert is over."),
    )

    def __init__(self, *args: Any, silenceable: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not silenceable:
            del self.fields["silence"]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("ends") == "custom" and not given.get("until") and "until" not in self.errors:
            self.add_error("until", _("Say until when."))
        return given

    def ends_at(self) -> datetime | None:
        chosen = self.cleaned_data.get("ends", "")
        until: datetime | None = self.cleaned_data.get("until")
        if chosen == "custom":
            return until
        return now() + self.SPAN[chosen] if chosen else None

    def silenced_until(self) -> datetime | None:
        chosen = self.cleaned_data.get("silence", "")
        return now() + self.SPAN[chosen] if chosen else None


class AlertSnoozeForm(SnoozeForm):
    """Until when nobody is told."""

    snooze = forms.ChoiceField(
        label=gettext_lazy("For how long"),
        choices=[choice for choice in SnoozeForm.CHOICES if choice[0] != "wake"],
        initial="1",
        widget=DurationSelect,
    )
    reason = forms.CharField(
        label=gettext_lazy("Why (optional)"), max_length=MAX_REASON, required=False, widget=text_input()
    )


class AlertNoteForm(forms.Form):
    text = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 4, "autofocus": True}),
        help_text=gettext_lazy("It becomes part of the alert’s story."),
        error_messages={"required": gettext_lazy("Write something for whoever looks at this later.")},
    )

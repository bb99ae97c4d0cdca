"""Forms of incidents and of the rules that open them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.console.forms import MAX_REASON, DurationSelect, JSONTextField, OptionalReasonForm, text_input
from apps.core.language import LocalDateTimeField
from apps.incidents.holding import LONGEST_TEXT, LONGEST_TITLE
from apps.incidents.models import OPEN_STATES, Severity, State
from apps.incidents.selectors import IncidentFilters

NOBODY: Final = "-"
LISTED: Final = {"class": "incident-options"}
SEVERITIES: Final = [(value, value.upper()) for value in Severity.values]


def words_area(**attributes: Any) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": 4, **attributes})


class TellForm(forms.Form):
    """``tell`` puts a message into the Slack channel of such alerts."""

    tell = forms.BooleanField(
        label=gettext_lazy("Tell the Slack channel of such alerts"),
        required=False,
        initial=True,
    )


class SeverityField(forms.ChoiceField):
    """Chosen by its number; what each means stands under it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(
            label=gettext_lazy("Severity"),
            choices=Severity.choices,
            widget=forms.RadioSelect(attrs=LISTED),
            **given,
        )


class NewIncidentForm(TellForm):
    title = forms.CharField(
        label=gettext_lazy("What is broken"),
        max_length=LONGEST_TITLE,
        widget=text_input(autofocus=True, placeholder=gettext_lazy("Customers cannot pay by card")),
        error_messages={"required": gettext_lazy("Say in a few words what is broken.")},
    )
    severity = SeverityField(initial=Severity.SEV2)
    summary = forms.CharField(
        label=gettext_lazy("What is known so far (optional)"),
        max_length=LONGEST_TEXT,
        required=False,
        widget=words_area(rows=2),
    )
    services = forms.MultipleChoiceField(
        label=gettext_lazy("Services (optional)"),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "incident-options columns"}),
    )
    started_at = LocalDateTimeField(
        label=gettext_lazy("Since when (optional)"),
        required=False,
        help_text=gettext_lazy("In your time zone. Empty: since its earliest alert, or since now."),
    )

    field_order = ("title", "severity", "summary", "services", "started_at", "tell")

    def __init__(self, *args: Any, services: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = list(services)
        self.fields["services"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
        if not names:
            del self.fields["services"]


class UpdateForm(TellForm):
    """``seen`` is the state the person looks at."""

    text = forms.CharField(
        label=gettext_lazy("What is known now"),
        max_length=LONGEST_TEXT,
        required=False,
        widget=words_area(autofocus=True),
    )
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        choices=[(state.value, state.label) for state in State if state in OPEN_STATES],
        widget=DurationSelect,
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    field_order = ("text", "state", "tell", "seen")


class ResolveForm(TellForm):
    text = forms.CharField(
        label=gettext_lazy("What mended it (optional)"),
        max_length=LONGEST_TEXT,
        required=False,
        widget=words_area(autofocus=True, rows=3),
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    field_order = ("text", "tell", "seen")


class ReopenForm(TellForm):
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        max_length=MAX_REASON,
        widget=text_input(autofocus=True, placeholder=gettext_lazy("What is still broken, or broken again")),
        error_messages={"required": gettext_lazy("Say why it is not over.")},
    )
    field_order = ("reason", "tell")


class SeverityForm(OptionalReasonForm):
    severity = SeverityField()
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    field_order = ("severity", "reason", "seen")


class CorrectForm(forms.Form):
    title = forms.CharField(
        label=gettext_lazy("What is broken"), max_length=LONGEST_TITLE, widget=text_input(autofocus=True)
    )
    summary = forms.CharField(
        label=gettext_lazy("What is known (optional)"), max_length=LONGEST_TEXT, required=False, widget=words_area()
    )
    started_at = LocalDateTimeField(
        label=gettext_lazy("Since when"),
        help_text=gettext_lazy("In your time zone. The timeline is filled anew from there."),
    )


class RoleForm(forms.Form):
    """``people`` are the e-mail addresses of those who can be chosen."""

    person = forms.ChoiceField(label=gettext_lazy("Who"), widget=forms.Select(attrs={"autofocus": True}))
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, me: str, people: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = [(person, person) for person in people if person != me]
        mine = (me, _("me ({me})").format(me=me))
        self.fields["person"].choices = [mine, *others, (NOBODY, _("nobody"))]  # type: ignore[attr-defined]


class AlertsForm(forms.Form):
    alerts = forms.TypedMultipleChoiceField(
        label=gettext_lazy("Alerts that are no incident’s yet"),
        coerce=int,
        widget=forms.CheckboxSelectMultiple(attrs=LISTED),
    )

    def __init__(self, *args: Any, alerts: Iterable[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["alerts"].choices = list(alerts)  # type: ignore[attr-defined]


class ServiceThingForm(forms.Form):
    ref = forms.ChoiceField(label=gettext_lazy("Service"), widget=forms.Select(attrs={"autofocus": True}))

    def __init__(self, *args: Any, services: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["ref"].choices = [(name, name) for name in services]  # type: ignore[attr-defined]


class DeploymentThingForm(forms.Form):
    ref = forms.CharField(
        label=gettext_lazy("Deployment"),
        max_length=200,
        widget=text_input(autofocus=True, placeholder=gettext_lazy("shop v41")),
        help_text=gettext_lazy("By the name your pipeline gives it, such as a version or a commit."),
    )


class MergeForm(OptionalReasonForm):
    into = forms.TypedChoiceField(
        label=gettext_lazy("Into which incident"), coerce=int, widget=forms.RadioSelect(attrs=LISTED)
    )
    field_order = ("into", "reason")

    def __init__(self, *args: Any, others: Iterable[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["into"].choices = list(others)  # type: ignore[attr-defined]


class RuleForm(OptionalReasonForm):
    """Times in minutes: nobody sets a rule to the second."""

    name = forms.SlugField(
        label=gettext_lazy("Name"), max_length=64, widget=text_input(autofocus=True, placeholder="payments-down")
    )
    match = JSONTextField(
        label=gettext_lazy("Which alerts"),
        required=False,
        help_text=gettext_lazy(
            "As in a route: labels and what they must be, with severity, service and source, such as "
            '{"severity": "critical", "service": ["midtrans", "~bank-.*"]}. {} is every alert.'
        ),
    )
    after_min = forms.IntegerField(
        label=gettext_lazy("After minutes of firing"),
        min_value=0,
        max_value=10_080,
        initial=5,
        widget=forms.NumberInput(attrs={"class": "input"}),
    )
    at_least = forms.IntegerField(
        label=gettext_lazy("Alerts that fire together, at least"),
        min_value=1,
        max_value=1000,
        initial=1,
        widget=forms.NumberInput(attrs={"class": "input"}),
    )
    severity = SeverityField(initial=Severity.SEV2)
    resolve_after_min = forms.IntegerField(
        label=gettext_lazy("Resolves by itself after minutes without an alert"),
        min_value=0,
        max_value=10_080,
        initial=5,
        required=False,
        help_text=gettext_lazy("Counted from when its last alert was resolved. Empty: a person resolves it."),
        widget=forms.NumberInput(attrs={"class": "input"}),
    )
    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)
    field_order = ("name", "match", "after_min", "at_least", "severity", "resolve_after_min", "reason", "seen_version")

    def clean_match(self) -> dict[str, Any]:
        given = self.cleaned_data.get("match")
        if given is None:
            return {}
        if not isinstance(given, dict):
            raise forms.ValidationError(
                _("This is not an object of labels, such as {example}.").format(example='{"severity": "critical"}')
            )
        return given

    def rule(self) -> dict[str, Any]:
        """What the service takes."""
        given = self.cleaned_data
        ends = given["resolve_after_min"]
        return {
            "match": given["match"],
            "severity": given["severity"],
            "after_s": given["after_min"] * 60,
            "at_least": given["at_least"],
            "resolve_after_s": None if ends is None else ends * 60,
            "seen_version": given.get("seen_version"),
            "reason": given["reason"],
        }


class IncidentFilterForm(forms.Form):
    """An empty field is not a filter. The state has chips of its own."""

    q = forms.CharField(
        label=gettext_lazy("Find"),
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"class": "input", "type": "search", "id": "q", "autocomplete": "off", "placeholder": "INC-12"}
        ),
    )
    severity = forms.ChoiceField(label=gettext_lazy("Severity"), required=False)
    service = forms.CharField(label=gettext_lazy("Service"), required=False, max_length=64)
    after = LocalDateTimeField(label=gettext_lazy("Began after"), required=False)
    before = LocalDateTimeField(label=gettext_lazy("Began before"), required=False)

    def __init__(self, data: QueryDict, *, services: Iterable[str]) -> None:
        super().__init__(data)
        self.fields["severity"].choices = [("", _("all")), *SEVERITIES]  # type: ignore[attr-defined]
        names = [("", _("all services")), *((name, name) for name in services)]
        self.fields["service"].widget = forms.Select(choices=names)
        self.address = data

    @property
    def state(self) -> str:
        return str(self.address.get("state", "")).lower()

    def filters(self) -> IncidentFilters:
        """What is asked; a field that makes no sense (the form says which) is left out."""
        given = self.cleaned_data
        return IncidentFilters(
            state=self.state,
            severity=given.get("severity", ""),
            service=given.get("service", ""),
            text=given.get("q", "").replace("\x00", "").strip(),
            after=given.get("after"),
            before=given.get("before"),
        )

    @property
    def filtered(self) -> bool:
        return bool(self.state or any(self.cleaned_data.values()))

"""Forms of who is on call: a rotation, somebody instead, a hand-over. Times are in the reader's zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.alerts.models import Rotation
from apps.alerts.on_call import MAX_DAYS, PEOPLE_FORM, Person, Plan
from apps.console.forms import MAX_REASON, text_input
from apps.console.zones import ZoneField

OTHER: Final = ""
UTC: Final = "UTC"


def _moment(label: Any, **more: Any) -> forms.DateTimeField:
    """A date and a time as a browser's own picker gives them."""
    return forms.DateTimeField(
        label=label,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(attrs={"class": "input", "type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        **more,
    )


def _reason() -> forms.CharField:
    return forms.CharField(
        label=_("Why"),
        max_length=MAX_REASON,
        widget=text_input(placeholder=_("For whoever reads this later")),
        error_messages={"required": _("Say why: it goes into the audit trail.")},
    )


class PeopleField(forms.CharField):
    """One on each line: an e-mail address, and behind a comma how they are reached."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"class": "code", "rows": 5, "spellcheck": "false", "placeholder": PEOPLE_FORM})
        super().__init__(widget=widget, strip=True, **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return [person_of(line) for line in text.splitlines() if line.strip()]


def person_of(line: str) -> Person:
    email, _comma, recipient = line.partition(",")
    return Person(email.strip().lower(), recipient.strip())


def lines_of(people: Sequence[dict[str, str]]) -> str:
    return "\n".join(", ".join(filter(None, (each["email"], each.get("recipient", "")))) for each in people)


class RotationForm(forms.Form):
    """With ``fixed`` the name cannot be typed."""

    name = forms.CharField(
        label=_("Name"),
        max_length=64,
        widget=text_input(autofocus=True, placeholder="platform"),
        help_text=_("What a target of the routing names. It cannot be changed."),
    )
    service = forms.ChoiceField(label=_("Reached through the service"))
    people = PeopleField(
        label=_("Who takes turns, in their order"),
        max_length=40_000,
        help_text=_("One on each line: the e-mail address, and behind a comma the number or address to send to."),
    )
    days = forms.IntegerField(
        label=_("Days of a turn"),
        min_value=1,
        max_value=MAX_DAYS,
        initial=7,
        widget=forms.NumberInput(attrs={"class": "input"}),
    )
    at = forms.TimeField(
        label=_("Handed over at"),
        initial="09:00",
        input_formats=["%H:%M", "%H:%M:%S"],
        widget=forms.TimeInput(attrs={"class": "input", "type": "time"}, format="%H:%M"),
    )
    zone = ZoneField(label=_("Time zone of the hand-over"), help_text=_("Summer time moves no hand-over. Empty: UTC."))
    first_day = forms.DateField(
        label=_("The first of them begins on"),
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"class": "input", "type": "date"}, format="%Y-%m-%d"),
        help_text=_("Before that day nobody is on call. It also says whose turn it is from then on."),
    )
    reason = _reason()
    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, services: Sequence[str], fixed: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["service"]
        assert isinstance(field, forms.ChoiceField)
        standing = self.initial.get("service")
        field.choices = [(name, name) for name in dict.fromkeys([*services, *([standing] if standing else [])])]
        if fixed:
            del self.fields["name"]

    def plan(self) -> Plan:
        given = self.cleaned_data
        day = datetime.combine(given["first_day"], given["at"], ZoneInfo(given["zone"] or UTC))
        return Plan(
            service=given["service"],
            people=given["people"],
            days=given["days"],
            at=given["at"],
            zone=given["zone"] or UTC,
            first_day=day,
        )


def initial_of(rotation: Rotation) -> dict[str, Any]:
    return {
        "service": rotation.service,
        "people": lines_of(rotation.people),
        "days": rotation.days,
        "at": rotation.at,
        "zone": rotation.zone,
        "first_day": rotation.begins.astimezone(ZoneInfo(rotation.zone)).date(),
        "seen_version": rotation.version,
    }


class InsteadForm(forms.Form):
    """Somebody instead of whoever's turn it is; ``people`` are those who take turns."""

    person = forms.ChoiceField(label=_("Who is on call instead"), required=False)
    other = forms.CharField(
        label=_("Somebody else"),
        max_length=800,
        required=False,
        widget=text_input(placeholder=PEOPLE_FORM),
        help_text=_("Their e-mail address, and behind a comma the number or address to send to."),
    )
    since = _moment(_("From"), required=False, help_text=_("Empty: from now."))
    until = _moment(_("Until"))
    reason = _reason()

    def __init__(self, *args: Any, people: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["person"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*((email, email) for email in people), (OTHER, _("somebody else, below"))]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not given.get("person") and not given.get("other"):
            self.add_error("other", gettext("Say who."))
        return given

    def who(self) -> Person:
        """Somebody typed is meant rather than the one that was chosen before."""
        given = self.cleaned_data
        return person_of(given["other"]) if given.get("other") else Person(given["person"])


class HandOverForm(forms.Form):
    """It is taken from whoever is on call until then."""

    person = forms.ChoiceField(label=_("Who takes it"))
    until = _moment(_("Until"))
    reason = _reason()

    def __init__(self, *args: Any, people: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["person"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(email, email) for email in people]

    def who(self) -> Person:
        return Person(self.cleaned_data["person"])

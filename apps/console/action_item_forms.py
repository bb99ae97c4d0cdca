"""Forms of action items: what a person promises, and how they find what was promised."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.console.forms import MAX_REASON, text_input
from apps.postmortems.items import LONGEST

USUAL = timedelta(days=14)


class ItemForm(forms.Form):
    """``people`` are offered, anybody with an address may be named."""

    text = forms.CharField(
        label=_("What will be done"),
        max_length=LONGEST,
        widget=text_input(autofocus=True, placeholder=_("so that somebody else can tell whether it is done")),
    )
    owner = forms.EmailField(
        label=_("Owner"),
        max_length=200,
        widget=forms.EmailInput(attrs={"class": "input", "autocomplete": "off"}),
        help_text=_("An e-mail address: reminders go there."),
    )
    due = forms.DateField(
        label=_("Due"),
        widget=forms.DateInput(attrs={"class": "input", "type": "date"}, format="%Y-%m-%d"),
        help_text=_("Reminders three days before, on the day, and every week after it."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["due"].initial = timezone.localdate() + USUAL


class DropForm(forms.Form):
    reason = forms.CharField(
        label=_("Why it will not be done"),
        max_length=MAX_REASON,
        widget=text_input(autofocus=True),
        error_messages={"required": _("Say why: whoever meets the next incident asks.")},
    )


class PushForm(forms.Form):
    """``services`` are those of the Plane channel."""

    service = forms.ChoiceField(label=_("Service"), widget=forms.Select(attrs={"autofocus": True}))
    token = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, services: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["service"].choices = [(name, name) for name in services]  # type: ignore[attr-defined]


class ItemFilterForm(forms.Form):
    """The filters of the list, as they stand in the address bar."""

    q = forms.CharField(
        label=_("What was promised"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "input", "type": "search", "autocomplete": "off"}),
    )
    owner = forms.ChoiceField(label=_("Owner"), required=False)

    def __init__(self, *args: Any, me: str, people: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.me = me.lower()
        others = [(person, person) for person in people if person != self.me]
        self.fields["owner"].choices = [("", _("anyone")), ("me", _("me")), *others]  # type: ignore[attr-defined]

    def given(self) -> dict[str, str]:
        self.is_valid()
        found = {name: str(self.cleaned_data.get(name, "") or "") for name in self.fields}
        return found | {"owner": self.me if found["owner"] == "me" else found["owner"]}

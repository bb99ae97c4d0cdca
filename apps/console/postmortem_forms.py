"""Forms of post-mortems: what a person writes, and how they find what was written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.console.forms import MAX_REASON, text_input
from apps.incidents.models import Severity
from apps.postmortems.sections import LONGEST, SECTIONS

SEVERITIES: Final = [("", _("all severities")), *((value, value.upper()) for value in Severity.values)]


class PostMortemFilterForm(forms.Form):
    """An empty field is no filter."""

    q = forms.CharField(
        label=_("Find"),
        required=False,
        max_length=300,
        widget=forms.TextInput(
            attrs={
                "class": "input",
                "type": "search",
                "autocomplete": "off",
                "placeholder": _("words of the title or the text"),
            }
        ),
    )
    severity = forms.ChoiceField(label=_("Severity"), required=False, choices=SEVERITIES)


class SectionArea(forms.Textarea):
    """Grows with its text; a browser's spelling help is on, because this is prose."""

    def __init__(self) -> None:
        super().__init__(attrs={"class": "prose", "rows": 4, "maxlength": LONGEST, "data-section": ""})


class EditForm(forms.Form):
    """Title and sections. ``seen`` is the version that the text began with."""

    title = forms.CharField(label=_("Title"), max_length=200, widget=text_input())
    note = forms.CharField(
        label=_("What has changed (optional)"), max_length=MAX_REASON, required=False, widget=text_input()
    )
    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for section in SECTIONS:
            self.fields[section.key] = forms.CharField(
                label=section.label, help_text=section.asks, required=False, max_length=LONGEST, widget=SectionArea()
            )

    @property
    def section_fields(self) -> list[forms.BoundField]:
        return [self[section.key] for section in SECTIONS]

    def typed(self) -> dict[str, str]:
        """The sections as they stand in the form, right or wrong."""
        return {section.key: str(self[section.key].value() or "") for section in SECTIONS}

    def sections(self) -> Mapping[str, str]:
        return {section.key: self.cleaned_data[section.key] for section in SECTIONS}


class ReviewForm(forms.Form):
    reviewer = forms.ChoiceField(label=_("Who reads it"), widget=forms.Select(attrs={"autofocus": True}))
    note = forms.CharField(
        label=_("What to look at (optional)"), max_length=MAX_REASON, required=False, widget=text_input()
    )

    def __init__(self, *args: Any, people: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reviewer"].choices = [(person, person) for person in people]  # type: ignore[attr-defined]


class NoteForm(forms.Form):
    """For whoever reads the versions later."""

    note = forms.CharField(
        label=_("Note (optional)"), max_length=MAX_REASON, required=False, widget=text_input(autofocus=True)
    )


class NewForm(forms.Form):
    """Which incident a post-mortem is written of before that is over."""

    incident = forms.ChoiceField(label=_("Incident"), widget=forms.Select(attrs={"autofocus": True}))

    def __init__(self, *args: Any, incidents: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["incident"].choices = incidents  # type: ignore[attr-defined]

"""Forms of the pages: what a person types, before the service layer checks what it means."""

from __future__ import annotations

import json
from typing import Any, Final

from django import forms
from django.template import loader
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

MAX_REASON: Final = 2000


def text_input(**attributes: Any) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "input", "autocomplete": "off", **attributes})


class ReasonForm(forms.Form):
    """Why: the first thing a dialog asks, and what the audit trail keeps."""

    reason = forms.CharField(
        label=_("Why"),
        max_length=MAX_REASON,
        widget=text_input(autofocus=True, placeholder=_("For whoever reads this later")),
        error_messages={"required": _("Say why: it goes into the audit trail.")},
    )


class OptionalReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Why (optional)"), max_length=MAX_REASON, required=False, widget=text_input(autofocus=True)
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
            raise forms.ValidationError(gettext("This is not JSON: {error}").format(error=error)) from error

"""A time zone as a field: typed, with every zone and its offset to choose from, and the browser's own suggested."""

from __future__ import annotations

from typing import Any

from django import forms
from django.template import loader
from django.utils.translation import gettext as _

from apps.core.language import is_time_zone, time_zones


class ZoneInput(forms.TextInput):
    """A text field whose list is searched by any part of a name: "jak" finds Asia/Jakarta."""

    template_name = "components/zones.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return {**super().get_context(name, value, attrs), "zones": time_zones()}

    def _render(self, template_name: str, context: dict[str, Any], renderer: Any = None) -> Any:
        """From the project's templates; a form's own renderer looks into django.forms only."""
        return loader.render_to_string(template_name, context)


class ZoneField(forms.CharField):
    """The name of a zone, or empty for UTC."""

    def __init__(self, **kwargs: Any) -> None:
        attributes = {"class": "input", "autocomplete": "off", "spellcheck": "false", "maxlength": 64}
        super().__init__(required=False, max_length=64, widget=ZoneInput(attrs=attributes), **kwargs)

    def clean(self, value: Any) -> str:
        name = str(super().clean(value))
        if name and not is_time_zone(name):
            text = _("There is no time zone {name}. Choose one of the list, such as Asia/Jakarta.")
            raise forms.ValidationError(text.format(name=name), code="invalid")
        return name

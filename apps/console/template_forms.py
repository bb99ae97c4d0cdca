"""Forms of the template pages: a version as a person writes it, and a test to oneself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.utils.translation import get_language_info
from django.utils.translation import gettext_lazy as _

from apps.console.forms import MAX_REASON, JSONTextField, text_input
from apps.outbox.models import MessageTemplate
from apps.outbox.templating.inspecting import CONTENT_TYPES, HAS_SUBJECT
from apps.outbox.templating.services import MAX_WORDS, NewVersion
from apps.outbox.templating.tags import DEFAULT_LANGUAGE, MAX_NAME, MAX_TAG
from apps.services.models import Channel

CHANNELS: Final = tuple(Channel.choices)
KIND_WORDS: Final = {
    "text/plain": _("Plain text"),
    "text/html": _("HTML"),
    "application/json": _("JSON"),
}


def channel_label(channel: str) -> Any:
    """``E-mail``; a template of every channel was written before templates had one."""
    return Channel(channel).label if channel in Channel.values else _("any channel")


def language_label(tag: str) -> str:
    """``Indonesian (id)``, in the language of the page."""
    try:
        return f"{get_language_info(tag)['name_translated']} ({tag})"
    except KeyError:
        return tag


def kind_label(content_type: str) -> Any:
    return KIND_WORDS.get(content_type.partition(";")[0].strip(), content_type)


class VersionForm(forms.Form):
    """The next version of a line. With ``line`` fixed, name, channel and language cannot be typed."""

    name = forms.CharField(
        label=_("Name"),
        max_length=MAX_NAME,
        widget=text_input(placeholder="order-paid"),
        help_text=_("What a message names: letters, digits, dots and hyphens."),
    )
    channel = forms.ChoiceField(label=_("Channel"), choices=CHANNELS)
    language = forms.CharField(
        label=_("Language"),
        max_length=MAX_TAG,
        initial=DEFAULT_LANGUAGE,
        widget=text_input(),
        help_text=_("A tag such as en, id or pt-BR."),
    )
    content_type = forms.ChoiceField(label=_("Kind of body"))
    subject = forms.CharField(label=_("Subject"), max_length=MAX_WORDS, required=False, widget=text_input())
    body = forms.CharField(
        label=_("Body"),
        strip=False,
        widget=forms.Textarea(attrs={"class": "code", "rows": 12, "spellcheck": "false"}),
        help_text=_("{{ name }} puts in what body_data holds under that name."),
    )
    sample_data = JSONTextField(
        label=_("Sample data (JSON)"),
        required=False,
        help_text=_("What the preview, the checks and tests are made with."),
    )
    description = forms.CharField(
        label=_("What it is for (optional)"), max_length=MAX_WORDS, required=False, widget=text_input()
    )
    reason = forms.CharField(
        label=_("What has changed (optional)"), max_length=MAX_REASON, required=False, widget=text_input()
    )
    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, fixed: bool = False, channel: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = CONTENT_TYPES.get(channel) if fixed else None
        every = dict.fromkeys(kind for given in CONTENT_TYPES.values() for kind in given)
        offered = list(kinds or every)
        standing = self.initial.get("content_type")
        if standing and standing not in offered:
            offered.insert(0, standing)
        choices = [(kind, kind_label(kind)) for kind in offered]
        self.fields["content_type"] = forms.ChoiceField(label=_("Kind of body"), choices=choices)
        self.order_fields(
            ["name", "channel", "language", "content_type", "subject", "body", "sample_data", "description", "reason"]
        )
        if fixed:
            for name in ("name", "channel", "language"):
                self.fields[name].widget = forms.HiddenInput()
            # One of every channel is no choice for a new template, but may go on being written.
            self.fields["channel"] = forms.CharField(required=False, widget=forms.HiddenInput)
        if fixed and channel not in HAS_SUBJECT:
            self.fields["subject"].widget = forms.HiddenInput()

    def clean_sample_data(self) -> dict[str, Any]:
        value = self.cleaned_data["sample_data"]
        if value is not None and not isinstance(value, dict):
            raise forms.ValidationError(_('Must be an object, such as {"name": "Sari"}.'))
        return value or {}

    def version(self) -> NewVersion:
        given = self.cleaned_data
        return NewVersion(
            body=given["body"],
            subject=given["subject"],
            content_type=given["content_type"],
            description=given["description"],
            sample_data=given["sample_data"],
        )


def initial_of(version: MessageTemplate, *, seen: int | None) -> dict[str, Any]:
    """A version as the form shows it."""
    names = ("name", "channel", "language", "content_type", "subject", "body", "description")
    return {name: getattr(version, name) for name in names} | {
        "sample_data": json.dumps(version.sample_data, indent=2, ensure_ascii=False),
        "seen_version": seen,
    }


class TemplateFilterForm(forms.Form):
    """The filters of the list, as they stand in the address bar."""

    q = forms.CharField(
        label=_("Name or what it is for"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "input", "type": "search", "id": "q", "autocomplete": "off"}),
    )
    channel = forms.ChoiceField(label=_("Channel"), required=False, choices=(("", _("all channels")), *CHANNELS))
    language = forms.CharField(
        label=_("Language"), required=False, max_length=MAX_TAG, widget=text_input(placeholder=_("all languages"))
    )


class TestForm(forms.Form):
    """Where a test goes."""

    def __init__(self, *args: Any, services: Iterable[str], own: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["service"] = forms.ChoiceField(
            label=_("Through the service"), choices=[(name, name) for name in services]
        )
        words = _("Your own address; somebody else's needs their consent.") if own else ""
        self.fields["recipient"] = forms.CharField(
            label=_("To"),
            max_length=2000,
            required=False,
            initial=own,
            help_text=words,
            widget=text_input(autofocus=True),
        )

"""The filters of the outbox: as they stand in the address bar, as a query, and as chips that can be taken away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.console.forms import text_input
from apps.core import human
from apps.core.clock import now
from apps.core.language import LocalDateTimeField
from apps.outbox.models import WAITING, MessageTemplate
from apps.outbox.search import MessageFilters
from apps.services.models import Service

STATUSES: Final[dict[str, tuple[Any, tuple[str, ...]]]] = {
    "": (gettext_lazy("All"), ()),
    "waiting": (gettext_lazy("Waiting"), tuple(WAITING)),
    "sending": (gettext_lazy("Sending"), ("SENDING",)),
    "sent": (gettext_lazy("Sent"), ("SENT",)),
    "dlq": (gettext_lazy("Dead letters"), ("DLQ",)),
    "cancelled": (gettext_lazy("Cancelled"), ("CANCELLED",)),
    "expired": (gettext_lazy("Expired"), ("EXPIRED",)),
}
SPANS: Final[dict[str, tuple[Any, timedelta]]] = {
    "15m": (gettext_lazy("Last 15 minutes"), timedelta(minutes=15)),
    "1h": (gettext_lazy("Last hour"), timedelta(hours=1)),
    "6h": (gettext_lazy("Last 6 hours"), timedelta(hours=6)),
    "24h": (gettext_lazy("Last 24 hours"), timedelta(hours=24)),
    "7d": (gettext_lazy("Last 7 days"), timedelta(days=7)),
    "30d": (gettext_lazy("Last 30 days"), timedelta(days=30)),
}
# What only who may see recipients is offered: finding by them would tell as much as showing them.
PERSONAL: Final = ("recipient", "error")


@dataclass(frozen=True, slots=True)
class Preset:
    """A choice of the time menu."""

    key: str
    label: str
    current: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is set; ``href`` is the page without it."""

    label: str
    value: str
    href: str


def _template(text: str) -> tuple[str, int | None]:
    """``order-paid`` is a name; ``order-paid#17`` one version of it, as the page of the template links to."""
    name, mark, number = text.rpartition("#")
    exact = mark and number.isascii() and number.isdigit() and len(number) < 19
    return ("", int(number)) if exact else (name + mark + number, None)


def _template_words(text: str) -> str:
    """A version by its own number rather than by that of its row."""
    version = _template(text)[1]
    found = MessageTemplate.objects.filter(pk=version).defer("body").first() if version else None
    return f"{found.name} v{found.version} ({found.channel or _('any channel')}, {found.language})" if found else text


class OutboxFilterForm(forms.Form):
    """An empty field is not a filter."""

    q = forms.CharField(
        label=gettext_lazy("Find"),
        required=False,
        max_length=300,
        widget=forms.TextInput(attrs={"class": "input", "type": "search", "id": "q", "autocomplete": "off"}),
    )
    service = forms.CharField(label=gettext_lazy("Service"), required=False, max_length=64)
    channel = forms.CharField(label=gettext_lazy("Channel"), required=False, max_length=32)
    tenant = forms.CharField(label=gettext_lazy("Tenant"), required=False, max_length=64, widget=text_input())
    key = forms.CharField(label=gettext_lazy("Ordering key"), required=False, max_length=255, widget=text_input())
    recipient = forms.CharField(
        label=gettext_lazy("Recipient begins with"), required=False, max_length=200, widget=text_input()
    )
    template = forms.CharField(label=gettext_lazy("Template"), required=False, max_length=120, widget=text_input())
    error = forms.CharField(
        label=gettext_lazy("Last error contains"), required=False, max_length=200, widget=text_input()
    )
    since = forms.CharField(required=False, max_length=8)
    after = LocalDateTimeField(label=gettext_lazy("From"), required=False)
    before = LocalDateTimeField(label=gettext_lazy("To"), required=False)

    def __init__(self, data: QueryDict, *, services: Iterable[Service], personal: bool) -> None:
        super().__init__(data)
        self.address = data
        self.services = list(services)
        self.personal = personal
        names = [(service.name, service.name) for service in self.services]
        channels = sorted({service.channel for service in self.services})
        self.fields["service"].widget = forms.Select(choices=[("", _("all services")), *names])
        self.fields["channel"].widget = forms.Select(
            choices=[("", _("all channels")), *((name, name) for name in channels)]
        )
        placeholder = _("number, msg_…, key, recipient") if personal else _("number, msg_…, idempotency key")
        self.fields["q"].widget.attrs["placeholder"] = placeholder
        for name in () if personal else PERSONAL:
            del self.fields[name]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("after") and given.get("before") and given["after"] >= given["before"]:
            raise ValidationError(_("The time range ends before it begins: nothing can be in it."))
        return given

    @property
    def status(self) -> str:
        return str(self.address.get("status", "")).lower()

    @property
    def since_key(self) -> str:
        """The preset that holds: a time that was typed wins over it."""
        typed = self.cleaned_data.get("after") or self.cleaned_data.get("before")
        key = str(self.cleaned_data.get("since", ""))
        return key if key in SPANS and not typed else ""

    def filters(self) -> MessageFilters:
        """What is asked; a field that makes no sense (the form says which) is left out."""
        given, status = self.cleaned_data, self.status
        channel = given.get("channel", "")
        names = tuple(service.name for service in self.services if service.channel == channel)
        template, version = _template(given.get("template", ""))
        return MessageFilters(
            statuses=STATUSES[status][1] if status in STATUSES else (status.upper(),),
            service=given.get("service", ""),
            services=names if channel else None,
            tenant_id=given.get("tenant", ""),
            ordering_key=given.get("key", ""),
            template=template,
            template_id=version,
            recipient=given.get("recipient", ""),
            error=given.get("error", ""),
            created_after=self._after(),
            created_before=given.get("before"),
            query=given.get("q", ""),
            personal=self.personal,
        )

    def _after(self) -> datetime | None:
        if self.since_key:
            # To the minute, so that asking again soon asks the same.
            return (now() - SPANS[self.since_key][1]).replace(second=0, microsecond=0)
        found: datetime | None = self.cleaned_data.get("after")
        return found

    @property
    def presets(self) -> list[Preset]:
        return [Preset(key, str(label), key == self.since_key) for key, (label, _span) in SPANS.items()]

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
        return any(self.cleaned_data.get(name) for name in ("channel", "tenant", "key", "template", *PERSONAL))

    @property
    def more_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("channel", "tenant", "key", "template", *PERSONAL) if name in self.fields]

    def chips(self) -> list[Chip]:
        """Every filter that is set but the status, which has chips of its own."""
        return list(self._chips())

    def _chips(self) -> Iterator[Chip]:
        for name in ("q", "service", "channel", "tenant", "key", "template", *PERSONAL):
            value = self.cleaned_data.get(name)
            if value:
                shown = _template_words(value) if name == "template" else value
                yield Chip(str(self.fields[name].label), shown, self._without(name))
        if self.timed:
            yield Chip(_("Accepted"), self.range_label, self._without("since", "after", "before"))

    def _without(self, *names: str) -> str:
        rest = QueryDict(mutable=True)
        for name, values in self.address.lists():
            if name not in (*names, "cursor"):
                rest.setlist(name, values)
        return f"?{rest.urlencode()}"

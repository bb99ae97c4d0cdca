"""The living page of components: the code it shows is the code it runs (templates/console/components/)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from apps.console.forms import ReasonForm, text_input
from apps.console.marks import Mark
from apps.console.web import crumbs, page
from apps.core.actor import PEOPLE_MANAGE
from apps.core.charts import Span
from apps.core.clock import now

FOLDER: Final = "console/components"
TOKENS: Final = (
    "canvas surface sunken raised line line-strong line-control text muted accent accent-soft "
    "good good-soft warning warning-soft bad bad-soft unknown unknown-soft"
)
# name of the template, title, when to use it
EXAMPLES: Final[tuple[tuple[str, str | Promise, str | Promise], ...]] = (
    ("colours", gettext_lazy("Colours"), gettext_lazy("Spent only on state. Light and dark are the same names.")),
    ("states", gettext_lazy("Badges"), gettext_lazy("Colour, icon and word together; an operator's lock on top.")),
    ("icons", gettext_lazy("Icons"), gettext_lazy("Heroicons by name; they stand beside words, never alone.")),
    ("buttons", gettext_lazy("Buttons"), gettext_lazy("One primary button; a verb and a number in the words.")),
    ("times", gettext_lazy("Times and figures"), gettext_lazy("How long ago, the exact time and zone on hover.")),
    ("stats", gettext_lazy("Figures in a row"), gettext_lazy("Every number leads to the rows behind it.")),
    ("charts", gettext_lazy("Small charts"), gettext_lazy("Line, threshold, and the breaker as a band under it.")),
    ("progress", gettext_lazy("Progress"), gettext_lazy("How far, in parts; the words are for screen readers.")),
    ("timeline", gettext_lazy("Timeline"), gettext_lazy("What happened; the dot carries the state, the words say it.")),
    ("chips", gettext_lazy("Chips and tabs"), gettext_lazy("Choices and filters are links: each has an address.")),
    ("filters", gettext_lazy("Filter bar"), gettext_lazy("A plain form whose fields are in the address bar.")),
    ("table", gettext_lazy("List"), gettext_lazy("Table, selection, new rows and pager; cards on a phone.")),
    ("banners", gettext_lazy("Banners"), gettext_lazy("What is wrong now, in a sentence.")),
    ("empty", gettext_lazy("Empty"), gettext_lazy("What would be here and how to get it.")),
    ("dialog", gettext_lazy("Dialogs"), gettext_lazy("Names the thing, the number and the effect.")),
    ("form", gettext_lazy("Fields"), gettext_lazy("Label, help and error; what was typed stays.")),
    ("toasts", gettext_lazy("Toasts"), gettext_lazy("What was done, or why not.")),
    ("live", gettext_lazy("Live and stale"), gettext_lazy("A page that is not refreshed says so.")),
)


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    title: str
    words: str
    shown: str
    code: str


class SampleFilters(forms.Form):
    q = forms.CharField(label=gettext_lazy("Find"), required=False, widget=text_input())
    service = forms.ChoiceField(
        label=gettext_lazy("Service"), choices=[("", gettext_lazy("All services"))], required=False
    )


class SampleForm(ReasonForm):
    rate = forms.IntegerField(
        label=gettext_lazy("At most per second"), help_text=gettext_lazy("Empty: as fast as limits allow."), min_value=1
    )


@page(PEOPLE_MANAGE)
@require_GET
def components(request: HttpRequest) -> HttpResponse:
    things = _things()
    examples = [
        Example(name, str(title), str(words), render_to_string(f"{FOLDER}/{name}.html", things, request), _code(name))
        for name, title, words in EXAMPLES
    ]
    context = {"examples": examples, "crumbs": crumbs(_("Components"))}
    return render(request, "console/components.html", context)


def _code(name: str) -> str:
    return (Path(settings.BASE_DIR) / "templates" / FOLDER / f"{name}.html").read_text().strip()


def _things() -> dict[str, Any]:
    """What the examples show: nothing of it is real."""
    moment = now().replace(microsecond=0)
    return {
        "tokens": TOKENS.split(),
        "marks": [
            Mark("good", "CLOSED"),
            Mark("warning", "HALF-OPEN"),
            Mark("bad", "OPEN"),
            Mark("unknown", "PAUSED"),
            Mark("info", "RUNNING"),
            Mark("", "Waiting"),
        ],
        "then": moment - timedelta(minutes=6, seconds=12),
        "later": moment + timedelta(seconds=41),
        "rates": [0.99] * 30 + [0.7, 0.4, 0.2, None, 0.12],
        "spans": [Span(0, 300, "good"), Span(301.5, 58.5, "bad")],
        "counts": [0, 1, 2, 4, 3, 5, 6, 6, 8, 9, 7, 12],
        "form": SampleFilters(),
        "bad_form": _bad_form(),
        "page": SimpleNamespace(items=range(6), next_cursor=1),
        "long": "midtrans answered 503 Service Unavailable: " + "the upstream is busy, try later. " * 5,
        "consequences": ("They will not be sent.", "This can be undone for 7 days."),
        "toasts": [
            ("good", "success", "smtp is forced open for 30 min."),
            ("warning", "warning", "Somebody else changed this meanwhile."),
            ("bad", "error", "The portal cannot be reached; nothing was changed."),
        ],
    }


def _bad_form() -> forms.Form:
    form = SampleForm({"reason": "", "rate": "0"}, auto_id="sample_%s")
    form.fields["reason"].widget.attrs.pop("autofocus", None)
    form.add_error(None, _("The breaker has changed since this page was loaded."))
    return form

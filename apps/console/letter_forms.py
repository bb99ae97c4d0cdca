"""Forms of dead letters and replays: what a person types, before the service layer checks what it means."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.console.forms import MAX_REASON, DurationSelect, ReasonForm, text_input
from apps.core.clock import now
from apps.outbox.deadletters.services import MAX_NOTE

NOBODY: Final = "-"
MORNING: Final = time(9)


def number_input(**attributes: Any) -> forms.NumberInput:
    return forms.NumberInput(attrs={"class": "input", **attributes})


class DiscardForm(ReasonForm):
    """Why letters are closed without being sent."""

    def fields_of_verb(self) -> dict[str, Any]:
        return {"text": self.cleaned_data["reason"]}


class NoteForm(forms.Form):
    note = forms.CharField(
        label=_("Note"),
        max_length=MAX_NOTE,
        widget=forms.Textarea(attrs={"rows": 4, "autofocus": True}),
        help_text=_("Notes that were written before stay in the history of each letter."),
        error_messages={"required": _("Write something for whoever looks at this later.")},
    )

    def fields_of_verb(self) -> dict[str, Any]:
        return {"text": self.cleaned_data["note"]}


class AssignForm(forms.Form):
    """``people`` are the e-mail addresses of those who can be chosen; ``me`` stands first."""

    to = forms.ChoiceField(label=_("Who looks after it"), widget=forms.Select(attrs={"autofocus": True}))

    def __init__(self, *args: Any, me: str, people: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = [(person, person) for person in people if person != me]
        mine = (me, _("me ({me})").format(me=me))
        field = self.fields["to"]
        field.choices = [mine, *others, (NOBODY, _("nobody"))]  # type: ignore[attr-defined]

    def fields_of_verb(self) -> dict[str, Any]:
        to = self.cleaned_data["to"]
        return {"assignee": "" if to == NOBODY else to}


class SnoozeForm(forms.Form):
    """Until when letters are out of sight. Times are those of the person's zone."""

    CHOICES = (
        ("1", _("1 h")),
        ("4", _("4 h")),
        ("tomorrow", _("tomorrow, 9:00")),
        ("custom", _("until…")),
        ("wake", _("wake now")),
    )

    snooze = forms.ChoiceField(label=_("For how long"), choices=CHOICES, initial="4", widget=DurationSelect)
    until = forms.DateTimeField(
        label=_("Until"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "input"}, format="%Y-%m-%dT%H:%M"),
        help_text=_("Only for “until…”, in your time zone."),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("snooze") == "custom" and not given.get("until") and "until" not in self.errors:
            self.add_error("until", _("Say until when."))
        return given

    def fields_of_verb(self) -> dict[str, Any]:
        return {"until": self._until()}

    def _until(self) -> datetime | None:
        chosen = self.cleaned_data["snooze"]
        if chosen == "wake":
            return None
        if chosen == "custom":
            until: datetime = self.cleaned_data["until"]
            return until
        if chosen == "tomorrow":
            local = timezone.localtime(now()) + timedelta(days=1)
            return timezone.make_aware(datetime.combine(local.date(), MORNING))
        return now() + timedelta(hours=int(chosen))


class PaceForm(forms.Form):
    """How fast a replay goes. Empty: as fast as the service's own limits allow."""

    per_second = forms.FloatField(
        label=_("At most per second"),
        min_value=0.01,
        max_value=100_000,
        required=False,
        initial=20,
        widget=number_input(step="any"),
        help_text=_("Empty: as fast as the service allows."),
    )
    stop_above_percent = forms.FloatField(
        label=_("Stop above % failures"),
        min_value=0,
        max_value=100,
        initial=20,
        widget=number_input(step="any"),
    )


class ChangePaceForm(PaceForm):
    reason = forms.CharField(label=_("Why (optional)"), max_length=MAX_REASON, required=False, widget=text_input())


class ReplayForm(PaceForm):
    """How a replay goes about it."""

    reason = forms.CharField(
        label=_("Why"),
        max_length=MAX_REASON,
        widget=text_input(autofocus=True, placeholder=_("provider confirmed recovery, ticket …")),
        error_messages={"required": _("Say why: it goes into the audit trail.")},
    )
    canary = forms.IntegerField(
        label=_("Try this many first"),
        min_value=0,
        max_value=10_000,
        initial=10,
        widget=number_input(),
        help_text=_("The rest follows only if all of them are sent. 0: all at once."),
    )

    field_order = ("reason", "canary", "per_second", "stop_above_percent")


class LetterFilterForm(forms.Form):
    """The filters of a list of letters, as they stand in the address bar."""

    STATES: tuple[tuple[str, Any], ...] = (
        ("", _("open")),
        ("snoozed", _("snoozed")),
        ("replayed", _("replayed")),
        ("discarded", _("discarded")),
        ("all", _("all")),
    )

    q = forms.CharField(
        label=_("What was said"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"class": "input", "type": "search", "autocomplete": "off"}),
    )
    service = forms.ChoiceField(label=_("Service"), required=False)
    tenant = forms.CharField(label=_("Tenant"), required=False, max_length=64, widget=text_input())
    assignee = forms.ChoiceField(label=_("Assignee"), required=False)
    state = forms.ChoiceField(label=_("State"), required=False, choices=STATES)

    def __init__(self, *args: Any, services: list[str], me: str, people: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.me = me
        every = [(name, name) for name in services]
        self.fields["service"].choices = [("", _("all")), *every]  # type: ignore[attr-defined]
        others = [(person, person) for person in people if person != me]
        choices = [("", _("anyone")), ("me", _("me")), (NOBODY, _("nobody")), *others]
        self.fields["assignee"].choices = choices  # type: ignore[attr-defined]

    def given(self) -> dict[str, Any]:
        """What is asked for, as the selectors take it; what makes no sense is left out and said by the form."""
        self.is_valid()
        found = {name: self.cleaned_data.get(name, "") for name in self.fields}
        assignee = self.me if found["assignee"] == "me" else found["assignee"]
        nobody = assignee == NOBODY
        return found | {"assignee": "" if nobody else assignee, "unassigned": nobody}


class CauseFilterForm(LetterFilterForm):
    STATES = (("", _("open")), ("snoozed", _("snoozed")))
    SORTS = (
        ("", _("most letters")),
        ("last", _("last seen")),
        ("first", _("first seen")),
        ("tenants", _("most tenants")),
    )

    state = forms.ChoiceField(label=_("State"), required=False, choices=STATES)
    sort = forms.ChoiceField(label=_("Order"), required=False, choices=SORTS)


class EditLetterForm(ReasonForm):
    """A corrected copy of a dead letter. Only what differs from the original is sent as a change."""

    keep_key = forms.BooleanField(
        label=_("Keep the identity on the wire"),
        required=False,
        help_text=_("A receiver that may have seen the original then takes the copy as the same message."),
    )

    def __init__(self, *args: Any, original: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.original = original
        for name, value in original.items():
            big = name in ("payload", "json", "body_template", "body_data")
            widget = (
                forms.Textarea(attrs={"class": "code", "rows": min(16, 3 + value.count("\n")), "spellcheck": "false"})
                if big
                else text_input()
            )
            self.fields[name] = forms.CharField(
                label=EDIT_LABELS[name], required=False, initial=value, widget=widget, strip=False
            )
        self.order_fields([*original, "reason", "keep_key"])
        self.fields["reason"].widget.attrs.pop("autofocus", None)

    def changes(self) -> dict[str, str]:
        """Fields whose text differs; browsers send line ends as CR LF."""
        given = {name: self.cleaned_data[name].replace("\r\n", "\n") for name in self.original}
        return {name: value for name, value in given.items() if value != self.original[name].replace("\r\n", "\n")}


EDIT_LABELS: Final = {
    "recipient": _("Recipient"),
    "subject": _("Subject"),
    "body_template": _("Template"),
    "body_data": _("Template data (JSON)"),
    "json": _("Body (JSON)"),
    "payload": _("Body"),
}

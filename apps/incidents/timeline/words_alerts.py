"""Alerts, pages, and people's work on alerts, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.alerts.severity import Severity as AlertSeverity
from apps.audit.wording import ACTIONS, action_words
from apps.core import human
from apps.core.masking import mask_addresses
from apps.incidents.timeline.words_kind import Detail, Kind


def _fired(detail: Detail) -> str:
    return _("{alert} fires ({severity})").format(**_alert(detail))


def _alert(detail: Detail) -> dict[str, str]:
    severity = str(detail.get("severity", ""))
    return {"alert": str(detail.get("alert", "")), "severity": str(dict(AlertSeverity.choices).get(severity, severity))}


def _fired_again(detail: Detail) -> str:
    return _("{alert} fires again").format(**_alert(detail))


def _recovering(detail: Detail) -> str:
    text = _("{alert} is normal, as Alertmanager’s API says") if detail.get("inferred") else _("{alert} is normal")
    return text.format(**_alert(detail))


def _resolved(detail: Detail) -> str:
    return _("{alert} is resolved").format(**_alert(detail))


def _heard_when_over(detail: Detail) -> str:
    return _("{alert} was heard of when it was over").format(**_alert(detail))


def _many_fired(details: Sequence[Detail]) -> str:
    return ngettext("{n} alert fires", "{n} alerts fire", len(details)).format(n=human.number(len(details)))


def _many_again(details: Sequence[Detail]) -> str:
    return ngettext("{n} alert fires again", "{n} alerts fire again", len(details)).format(n=human.number(len(details)))


def _many_normal(details: Sequence[Detail]) -> str:
    return ngettext("{n} alert is normal", "{n} alerts are normal", len(details)).format(n=human.number(len(details)))


def _many_resolved(details: Sequence[Detail]) -> str:
    return ngettext("{n} alert is resolved", "{n} alerts are resolved", len(details)).format(
        n=human.number(len(details))
    )


PROOF: Final[Mapping[str, tuple[Any, Any]]] = {
    "told_by_source": (gettext_lazy("told by its source"), gettext_lazy("not told by its source")),
    "normal_for": (gettext_lazy("normal for 5 minutes"), gettext_lazy("not normal for 5 minutes")),
    "source_alive": (gettext_lazy("source alive"), gettext_lazy("nobody can tell whether its source is alive")),
    "confirmed_by_api": (gettext_lazy("confirmed by the API"), gettext_lazy("not confirmed by the API")),
    "told_when_over": (gettext_lazy("told when it was over"), gettext_lazy("told when it was over")),
}


def _proof(detail: Detail) -> str:
    words = [PROOF[word][not holds] for word, holds in detail.get("proof", []) if word in PROOF]
    return ", ".join(str(word) for word in words)


def _of_service(detail: Detail) -> str:
    return str(detail.get("service") or "")


# --- pages ----------------------------------------------------------------------------------------
def _paged(detail: Detail) -> str:
    values = {"target": detail.get("target", ""), "alert": detail.get("alert", ""), "step": detail.get("step", 1)}
    if detail.get("outcome") == "skipped":
        return _("No need to page {target} about {alert}").format(**values)
    if detail.get("outcome") == "impossible":
        return _("Nobody could be paged: {target} about {alert}").format(**values)
    return _("Paged {target} about {alert}, step {step}").format(**values)


def _told_resolved(detail: Detail) -> str:
    text = _("Told {target} that {alert} is over")
    return text.format(target=detail.get("target", ""), alert=detail.get("alert", ""))


def _many_paged(details: Sequence[Detail]) -> str:
    text = ngettext("{n} page to {target}", "{n} pages to {target}", len(details))
    return text.format(n=human.number(len(details)), target=details[0].get("target", ""))


def _many_told(details: Sequence[Detail]) -> str:
    text = ngettext("Told {target} that {n} alert is over", "Told {target} that {n} alerts are over", len(details))
    return text.format(n=human.number(len(details)), target=details[0].get("target", ""))


def _page_text(detail: Detail) -> str:
    together, late = int(detail.get("together") or 1), int(detail.get("late") or 0)
    alerts = ngettext("one message about {n} alert", "one message about {n} alerts", together)
    parts = [
        _("by {service}").format(service=detail["way"]) if detail.get("way") else "",
        _arrived(detail),
        _("{time} late").format(time=human.span(late)) if late >= 1 else _("on time"),
        alerts.format(n=human.number(together)) if together > 1 else "",
        # What a channel complained of may repeat whom it was for.
        mask_addresses(str(detail.get("why", ""))),
    ]
    return " · ".join(part for part in parts if part)


def _arrived(detail: Detail) -> str:
    sent = detail.get("sent_at")
    if sent:
        return _("delivered at {time}").format(time=_time(sent))
    return str(ARRIVED.get(str(detail.get("status", "")), ""))


ARRIVED: Final[Mapping[str, Any]] = {
    "PENDING": gettext_lazy("not delivered yet"),
    "RETRYING": gettext_lazy("not delivered yet, tried again"),
    "SENDING": gettext_lazy("on its way"),
    "SENT": gettext_lazy("delivered"),
    "DLQ": gettext_lazy("could not be delivered: a dead letter"),
    "CANCELLED": gettext_lazy("cancelled before it was delivered"),
    "EXPIRED": gettext_lazy("expired before it was delivered"),
}


def page_tone(detail: Detail) -> str:
    if detail.get("outcome") == "impossible" or detail.get("status") in ("DLQ", "EXPIRED"):
        return "bad"
    return "warning" if int(detail.get("late") or 0) >= 60 else ""


def _time(text: str) -> str:
    return f"{timezone.localtime(datetime.fromisoformat(text)):%H:%M:%S}"


# --- people's work on alerts ----------------------------------------------------------------------
def worked(detail: Detail) -> str:
    action = f"alert.{detail.get('kind', '')}"
    what = action_words(action) if action in ACTIONS else str(detail.get("kind", "")).replace("_", " ").capitalize()
    return _("{what}: {alert}").format(what=what, alert=detail.get("alert", ""))


def worked_text(detail: Detail) -> str:
    more = detail.get("more") or {}
    until = more.get("until")
    parts = [str(more.get("assignee") or ""), _("until {time}").format(time=_time(until)) if until else ""]
    return " · ".join(part for part in [*parts, str(detail.get("text") or "")] if part)


def _ack_ended(detail: Detail) -> str:
    return _("The acknowledgement of {alert} ended").format(alert=detail.get("alert", ""))


ALERTS: Final[dict[str, Kind]] = {
    "fired": Kind("bell-alert", "bad", _fired, _of_service, _many_fired),
    "fired_again": Kind("bell-alert", "bad", _fired_again, _of_service, _many_again),
    "recovering": Kind("arrow-trending-down", "warning", _recovering, _of_service, _many_normal),
    "resolved": Kind("check-circle", "good", _resolved, _proof, _many_resolved),
    "heard_when_over": Kind("check-circle", "unknown", _heard_when_over, _of_service),
    "paged": Kind("phone-arrow-up-right", "info", _paged, _page_text, _many_paged),
    "told_resolved": Kind("phone-arrow-up-right", "", _told_resolved, _page_text, _many_told),
    "alert_acknowledgement_ended": Kind("hand-raised", "warning", _ack_ended),
}

"""Breakers, messages, and what people changed, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.breakers.telling import error_words, told
from apps.core import human
from apps.incidents.timeline.words_kind import Detail, Kind, reason, said


def _breaker(pattern: Any) -> Callable[[Detail], str]:
    return lambda detail: str(pattern).format(service=detail.get("service", ""))


def _evidence(detail: Detail) -> str:
    """In the words of the breaker's own history."""
    try:
        return told(str(detail.get("kind", "")), detail.get("evidence") or {})
    except (KeyError, TypeError, AttributeError):  # evidence in the form of another release
        return ""


def _many_of(pattern: Any) -> Callable[[Sequence[Detail]], str]:
    return lambda details: str(pattern).format(service=details[0].get("service", ""), n=human.number(len(details)))


# --- messages -------------------------------------------------------------------------------------
def _failures(detail: Detail) -> str:
    count = int(detail.get("count") or 0)
    text = ngettext("{n} delivery to {service} failed", "{n} deliveries to {service} failed", count)
    return text.format(n=human.number(count), service=detail.get("service", ""))


def _failures_text(detail: Detail) -> str:
    timed_out, sent = int(detail.get("timed_out") or 0), int(detail.get("sent") or 0)
    parts = []
    if timed_out:
        text = ngettext("{n} of them timed out", "{n} of them timed out", timed_out)
        parts.append(text.format(n=human.number(timed_out)))
    parts.append(ngettext("{n} was sent", "{n} were sent", sent).format(n=human.number(sent)))
    return " · ".join(parts)


def _many_failures(details: Sequence[Detail]) -> str:
    return _failures({**details[0], "count": _sum(details)})


def _sum(details: Sequence[Detail]) -> int:
    return sum(int(detail.get("count") or 0) for detail in details)


def _died(detail: Detail) -> str:
    count = int(detail.get("count") or 0)
    if "causes" in detail:
        text = ngettext(
            "{n} message to {service} died of other causes", "{n} messages to {service} died of other causes", count
        )
        return text.format(n=human.number(count), service=detail.get("service", ""))
    text = ngettext("{n} message to {service} died: {cause}", "{n} messages to {service} died: {cause}", count)
    return text.format(n=human.number(count), service=detail.get("service", ""), cause=_cause(detail))


def _cause(detail: Detail) -> str:
    status, name = detail.get("status_code"), str(detail.get("error_class") or "")
    if status and name in ("", f"http_{status}"):
        return f"HTTP {status}"
    words = error_words(name) if name else _("unknown cause")
    return f"{words} ({status})" if status else words


def _many_died(details: Sequence[Detail]) -> str:
    """The causes that took most, and how many others there are."""
    by_cause: Counter[str] = Counter()
    for detail in details:
        by_cause[_("others") if "causes" in detail else _cause(detail)] += int(detail.get("count") or 0)
    count, named = sum(by_cause.values()), by_cause.most_common(CAUSES_NAMED)
    causes = ", ".join(f"{name} ×{human.number(letters)}" if len(by_cause) > 1 else name for name, letters in named)
    more = len(by_cause) - len(named)
    if more:
        causes += ", " + ngettext("{count} other cause", "{count} other causes", more).format(count=more)
    text = ngettext("{n} message to {service} died: {cause}", "{n} messages to {service} died: {cause}", count)
    return text.format(n=human.number(count), service=details[0].get("service", ""), cause=causes)


def _replay_started(detail: Detail) -> str:
    total = int(detail.get("total") or 0)
    text = ngettext("Replay {id} of {n} message began", "Replay {id} of {n} messages began", total)
    return text.format(id=detail.get("replay", ""), n=human.number(total))


def _replay_ended(detail: Detail) -> str:
    texts = {"done": _("Replay {id} is done"), "cancelled": _("Replay {id} was cancelled")}
    return texts.get(str(detail.get("state")), _("Replay {id} ended")).format(id=detail.get("replay", ""))


def _replay_text(detail: Detail) -> str:
    sent, failed = int(detail.get("sent") or 0), int(detail.get("failed") or 0)
    return " · ".join(
        [
            ngettext("{n} was sent", "{n} were sent", sent).format(n=human.number(sent)),
            ngettext("{n} failed again", "{n} failed again", failed).format(n=human.number(failed)),
        ]
    )


def _triaged(detail: Detail) -> str:
    count = int(detail.get("count") or 0)
    texts = {
        "assign": ngettext("{n} dead letter assigned to {who}", "{n} dead letters assigned to {who}", count),
        "note": ngettext("Note on {n} dead letter", "Note on {n} dead letters", count),
        "snooze": ngettext("{n} dead letter snoozed", "{n} dead letters snoozed", count),
        "discard": ngettext("{n} dead letter discarded", "{n} dead letters discarded", count),
        "undo": ngettext("Triage of {n} dead letter undone", "Triage of {n} dead letters undone", count),
    }
    text = texts.get(str(detail.get("verb")), "{n}")
    return text.format(n=human.number(count), who=detail.get("assignee") or _("nobody"))


# --- changes --------------------------------------------------------------------------------------
def _changed(detail: Detail) -> str:
    text = _("Settings of {service} changed: version {version}")
    return text.format(service=detail.get("service", ""), version=detail.get("version", ""))


def _change_text(detail: Detail) -> str:
    unset = _("default")
    named = [
        f"{path} {unset if old is None else old} → {unset if new is None else new}"
        for path, old, new in detail.get("changes", [])
    ]
    more = int(detail.get("more") or 0)
    if more:
        named.append(ngettext("and {count} more", "and {count} more", more).format(count=more))
    reason = str(detail.get("reason") or "")
    return " · ".join([", ".join(named), *([f"“{reason}”"] if reason else [])]).strip(" ·")


def _routing(detail: Detail) -> str:
    return _("The routing of alerts changed: version {version}").format(version=detail.get("version", ""))


def _template(pattern: Any) -> Callable[[Detail], str]:
    return lambda detail: str(pattern).format(template=detail.get("template", ""), version=detail.get("version") or "")


CAUSES_NAMED: Final = 3
PORTAL: Final[dict[str, Kind]] = {
    "breaker_opened": Kind("bolt", "bad", _breaker(gettext_lazy("The breaker of {service} opened")), _evidence),
    "breaker_reopened": Kind(
        "bolt",
        "bad",
        _breaker(gettext_lazy("The breaker of {service} opened again")),
        _evidence,
        _many_of(gettext_lazy("The breaker of {service} opened again {n} times")),
    ),
    "breaker_closed": Kind("bolt", "good", _breaker(gettext_lazy("The breaker of {service} closed")), _evidence),
    "breaker_locally_opened": Kind(
        "bolt", "warning", _breaker(gettext_lazy("The breaker of {service} opened on one worker")), _evidence
    ),
    "breaker_locally_closed": Kind(
        "bolt", "good", _breaker(gettext_lazy("The breaker of {service} closed on one worker")), _evidence
    ),
    "breaker_forced_open": Kind(
        "lock-closed", "bad", _breaker(gettext_lazy("The breaker of {service} was forced open")), _evidence
    ),
    "breaker_forced_closed": Kind(
        "lock-closed", "warning", _breaker(gettext_lazy("The breaker of {service} was forced closed")), _evidence
    ),
    "breaker_metrics_only": Kind(
        "lock-closed", "unknown", _breaker(gettext_lazy("The breaker of {service} was set to count only")), _evidence
    ),
    "breaker_override_ended": Kind(
        "lock-open", "info", _breaker(gettext_lazy("The override of the breaker of {service} ended")), _evidence
    ),
    "breaker_reset": Kind(
        "arrow-uturn-left", "info", _breaker(gettext_lazy("The breaker of {service} was reset")), _evidence
    ),
    "breaker_test_asked": Kind("play", "info", _breaker(gettext_lazy("A test of {service} was asked for")), _evidence),
    "failures": Kind("x-circle", "bad", _failures, _failures_text, _many_failures),
    "dead_letters": Kind("inbox", "bad", _died, many=_many_died),
    "replay_started": Kind("arrow-path", "info", _replay_started, reason),
    "replay_ended": Kind("arrow-path", "good", _replay_ended, _replay_text),
    **{
        f"triage_{verb}": Kind("inbox-stack", "", _triaged, said)
        for verb in ("assign", "note", "snooze", "discard", "undo")
    },
    "service_changed": Kind("wrench-screwdriver", "info", _changed, _change_text),
    "service_created": Kind(
        "wrench-screwdriver", "info", _breaker(gettext_lazy("The service {service} was added")), _change_text
    ),
    "service_paused": Kind("pause", "unknown", _breaker(gettext_lazy("{service} was paused")), reason),
    "service_resumed": Kind("play", "info", _breaker(gettext_lazy("{service} was resumed")), reason),
    "service_secret_rotated": Kind(
        "key", "info", _breaker(gettext_lazy("The secret of {service} was rotated")), reason
    ),
    "service_secret_retired": Kind(
        "key", "info", _breaker(gettext_lazy("The old secret of {service} was retired")), reason
    ),
    "template_written": Kind(
        "document-text", "info", _template(gettext_lazy("The template {template} changed")), reason
    ),
    "template_activated": Kind(
        "document-text", "info", _template(gettext_lazy("Version {version} of {template} was put to use")), reason
    ),
    "template_archived": Kind(
        "document-text", "unknown", _template(gettext_lazy("The template {template} was archived")), reason
    ),
    "routing_saved": Kind("map", "info", _routing, reason),
}

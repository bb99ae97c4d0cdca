"""What an incident says of itself, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.incidents.models import RoleName, Severity, State
from apps.incidents.timeline.words_kind import KINDS, Detail, Kind, reason, said


def _update(text: Any) -> Callable[[Detail], str]:
    def words(detail: Detail) -> str:
        more = detail.get("more") or {}
        values = {
            "severity": _severity(more.get("severity") or more.get("to")),
            "old": _severity(more.get("from")),
            "role": str(dict(RoleName.choices).get(more.get("role", ""), more.get("role", ""))),
            "person": str(more.get("to") or _("nobody")),
            "other": f"INC-{more.get('other', '')} {more.get('title', '')}".strip(),
        }
        return _of_incident(detail, str(text).format(**values))

    return words


def _severity(value: Any) -> str:
    return str(value).upper() if value in Severity.values else str(value or "")


def _of_incident(detail: Detail, text: str) -> str:
    if detail.get("own", True):
        return text
    return _("INC-{number}: {text}").format(number=detail.get("incident", ""), text=text)


def _state_said(detail: Detail) -> str:
    state = str(dict(State.choices).get(str(detail.get("state", "")), detail.get("state", "")))
    changed = (detail.get("more") or {}).get("from")
    return _of_incident(detail, _("State: {state}").format(state=state) if changed else _("Update"))


def _culprit(detail: Detail) -> str:
    return _("Named the cause: {title}").format(title=_title_of(detail))


def _no_culprit(detail: Detail) -> str:
    return _("Took back the cause: {title}").format(title=_title_of(detail))


def _title_of(detail: Detail) -> str:
    return culprit_title(detail.get("culprit") or {})


def culprit_title(culprit: Detail) -> str:
    """Of what was named the cause, in the reader's language where its kind is known."""
    kind = KINDS.get(str(culprit.get("what", "")))
    return kind.title(culprit.get("detail") or {}) if kind else str(culprit.get("title", ""))


INCIDENT: Final[dict[str, Kind]] = {
    "update_opened": Kind("megaphone", "info", _update(gettext_lazy("Incident opened, {severity}")), said),
    "update_said": Kind("megaphone", "info", _state_said, said),
    "update_severity": Kind("megaphone", "warning", _update(gettext_lazy("Severity {old} → {severity}")), said),
    "update_role": Kind("user", "", _update(gettext_lazy("{role}: {person}")), said),
    "update_started": Kind("clock", "", _update(gettext_lazy("The start was corrected")), said),
    "update_took_in": Kind(
        "arrows-pointing-in", "info", _update(gettext_lazy("{other} was merged into this one")), said
    ),
    "update_merged": Kind("arrows-pointing-in", "unknown", _update(gettext_lazy("Merged into {other}")), said),
    "update_resolved": Kind("check-circle", "good", _update(gettext_lazy("Incident resolved")), said),
    "update_reopened": Kind("megaphone", "bad", _update(gettext_lazy("Incident opened again")), said),
    "culprit_named": Kind("magnifying-glass", "info", _culprit, reason),
    "culprit_taken_back": Kind("magnifying-glass", "", _no_culprit, reason),
    "line": Kind("pencil-square", "", lambda detail: ""),
}

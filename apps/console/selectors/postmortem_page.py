"""One post-mortem as it is read, and what whoever reads may do with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.console.selectors import postmortems as shown
from apps.console.selectors.action_items import items_context
from apps.console.selectors.postmortem_lines import shown_timeline
from apps.core.actor import INCIDENTS_WORK, POSTMORTEMS_PUBLISH
from apps.postmortems.charts import charts_of
from apps.postmortems.figures import url_of
from apps.postmortems.models import PostMortem, State
from apps.postmortems.publishing import problems_of
from apps.postmortems.selectors import versions_of

VERSIONS_SHOWN: Final = 8
EXPORTS: Final = {
    "pdf": gettext_lazy("Download as PDF"),
    "html": gettext_lazy("Download as HTML"),
    "md": gettext_lazy("Download as Markdown"),
}
SUSPECTS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Action:
    """Something to press. A ``dialog`` asks before it acts."""

    label: str
    url: str
    icon: str
    primary: bool = False
    dialog: bool = True


def page_of(postmortem: PostMortem, permissions: Iterable[str]) -> dict[str, Any]:
    """Everything its page shows."""
    may, facts = frozenset(permissions), postmortem.facts
    sections = shown.shown_sections(postmortem.sections, empty=postmortem.state != State.PUBLISHED)
    by_key = {section.key: section for section in sections}
    versions = versions_of(postmortem, limit=VERSIONS_SHOWN)
    return {
        **shown.row_of(postmortem),
        "incident": postmortem.incident,
        "incident_url": url_of({"name": "incident", "args": [postmortem.incident_id]}, {}),
        "first": by_key.get("summary"),
        "sections": [section for section in sections if section.key not in ("summary", "no_items")],
        "no_items": by_key.get("no_items"),
        **items_context(postmortem),
        "figures": shown.shown_figures(facts),
        "since": shown.time_of(facts.get("span", {}).get("from")),
        "until": shown.time_of(facts.get("span", {}).get("to")),
        "services": [(name, url_of({"name": "service", "args": [name]}, {})) for name in facts.get("services", [])],
        "charts": charts_of(facts),
        "timeline": shown_timeline(facts),
        "suspects": [shown.shown_suspect(one) for one in facts.get("suspects", [])[:SUSPECTS_SHOWN]],
        "culprit": shown.shown_suspect(facts.get("culprit") or {}),
        "versions": [shown.shown_version(row) for row in versions],
        "more_versions": postmortem.version - len(versions),
        **_of_state(postmortem, may),
    }


def _of_state(postmortem: PostMortem, may: frozenset[str]) -> dict[str, Any]:
    """What waits for somebody, and what may be pressed."""
    published = postmortem.state == State.PUBLISHED
    waits = bool(postmortem.newer)
    facts_at = postmortem.newer_at.isoformat() if postmortem.newer_at else ""
    return {
        "problems": [] if published else problems_of(postmortem),
        "differences": shown.shown_differences(postmortem.facts, postmortem.newer) if waits else [],
        "can_decide": (POSTMORTEMS_PUBLISH if published else INCIDENTS_WORK) in may,
        "decide_query": urlencode({"seen": str(postmortem.version), "facts": facts_at}),
        "actions": list(_first_actions(postmortem, may)),
        "more_actions": list(_other_actions(postmortem, may)),
    }


def _url(name: str, postmortem: PostMortem) -> str:
    return f"{reverse(name, args=[postmortem.pk])}?{urlencode({'seen': postmortem.version})}"


def _first_actions(postmortem: PostMortem, may: frozenset[str]) -> Iterable[Action]:
    edit = Action(_("Edit"), reverse("postmortem-edit", args=[postmortem.pk]), "pencil-square", dialog=False)
    if postmortem.state == State.DRAFT and INCIDENTS_WORK in may:
        yield Action(_("Ask for a review…"), _url("postmortem-review", postmortem), "eye")
        yield _primary(edit)
    elif postmortem.state == State.IN_REVIEW and POSTMORTEMS_PUBLISH in may:
        yield edit
        yield Action(_("Publish…"), _url("postmortem-publish", postmortem), "check-badge", primary=True)
    elif postmortem.state == State.IN_REVIEW and INCIDENTS_WORK in may:
        yield _primary(edit)


def _primary(action: Action) -> Action:
    return Action(action.label, action.url, action.icon, primary=True, dialog=action.dialog)


def _other_actions(postmortem: PostMortem, may: frozenset[str]) -> Iterable[Action]:
    if postmortem.state == State.IN_REVIEW and INCIDENTS_WORK in may:
        yield Action(_("Make it a draft again…"), _url("postmortem-withdraw", postmortem), "arrow-uturn-left")
    if postmortem.state == State.PUBLISHED and POSTMORTEMS_PUBLISH in may:
        yield Action(_("Open it again…"), _url("postmortem-reopen", postmortem), "lock-open")
    if INCIDENTS_WORK in may:
        yield Action(_("Push to an issue tracker…"), reverse("postmortem-push", args=[postmortem.pk]), "arrow-up-tray")
    for form, words in EXPORTS.items():
        yield Action(
            str(words), reverse("postmortem-export", args=[postmortem.pk, form]), "arrow-down-tray", dialog=False
        )
    versions = reverse("postmortem-versions", args=[postmortem.pk])
    yield Action(_("Versions"), versions, "clock", dialog=False)

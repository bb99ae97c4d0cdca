"""Who cannot be reached, in words, for the banner that says so before an alert does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext_lazy

from apps.alerts.coverage import Gap, Problem, gaps
from apps.alerts.models import AlertSource
from apps.alerts.shown import visible_line
from apps.console.selectors.letters import remembered
from apps.core.clock import now
from apps.services.models import Service

SECONDS: Final = 5
SENTENCES: Final[Mapping[str, Any]] = {
    "no_service": gettext_lazy("{target}: there is no service named {name}. Configure it, or send {target} elsewhere."),
    "no_recipient": gettext_lazy("{target}: it goes through {name} and has no recipient. Write one into the routing."),
    "no_rotation": gettext_lazy("{target}: there is no rotation named {name}. Make it, or name another."),
    "nobody_on_call": gettext_lazy("{target}: nobody is on call in {name}. Put somebody on call."),
    "no_owner": gettext_lazy("{target}: no owner of a service has a target. Name one under owners in the routing."),
}


@dataclass(frozen=True, slots=True)
class ShownGap:
    route: str
    problems: list[str]


def shown_gaps(services: Iterable[Service]) -> list[ShownGap]:
    """The routes that would reach nobody; looked up every few seconds for all viewers together."""
    found: list[Gap] = remembered("console.alerts.gaps", SECONDS, lambda: gaps(services, now()))
    return [ShownGap(visible_line(gap.route, 64), [_sentence(problem) for problem in gap.problems]) for gap in found]


def overview_gaps(services: Iterable[Service]) -> list[ShownGap]:
    """The same for the overview: there is no alarm in a portal that nobody sends alerts to yet."""
    used: bool = remembered("console.alerts.used", SECONDS, lambda: AlertSource.objects.exists())
    return shown_gaps(services) if used else []


def _sentence(problem: Problem) -> str:
    text = str(SENTENCES[problem.kind])
    return text.format(target=visible_line(problem.target, 64), name=visible_line(problem.name, 64))

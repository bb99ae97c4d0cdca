"""Where the lines of a timeline come from: one mapping, name -> how its facts are found.

A new kind joins by one call of :func:`register` in the ``ready`` of its app (docs/design/timeline.md):

    register(Source("deployments", _("Deployments"), "rocket-launch", deployments, context=True))

and by its words in :data:`apps.incidents.timeline.words_kind.KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.incidents.timeline import of_alerts, of_incident, of_outbox, of_services
from apps.incidents.timeline.facts import Fact, Scope, Span
from apps.incidents.timeline.of_incident import HAND

Find = Callable[[Scope, Span], Iterable[Fact]]


@dataclass(frozen=True, slots=True)
class Source:
    """``find`` yields facts in the order they happened, at most ``span.limit``, and none outside of the span.

    ``context``: what happened up to 30 minutes before the start counts too, because it may have led there.
    ``whole``: its facts are found anew each time, because old ones change; it has a bound of its own.
    ``label`` is what the filter calls it, ``icon`` a name of heroicons.
    """

    name: str
    label: str | Promise
    icon: str
    find: Find
    context: bool = False
    whole: bool = False


SOURCES: Final[dict[str, Source]] = {}


def register(source: Source) -> None:
    """Add a source. Its name is stored with every line, at most 24 characters."""
    if source.name in SOURCES or source.name == HAND or len(source.name) > 24:
        raise ValueError(f"{source.name!r} cannot be the name of another source of timelines")
    SOURCES[source.name] = source


for _source in (
    Source("incident", _("Updates"), "megaphone", of_incident.updates, whole=True),
    Source("alerts", _("Alerts"), "bell-alert", of_alerts.alerts, whole=True),
    Source("pages", _("Pages"), "phone-arrow-up-right", of_alerts.pages, whole=True),
    Source("work", _("Work on alerts"), "hand-raised", of_alerts.work, whole=True),
    Source("breakers", _("Breakers"), "bolt", of_services.breakers, context=True),
    Source("overrides", _("Overrides"), "lock-closed", of_services.overrides, context=True),
    Source("failures", _("Failed deliveries"), "x-circle", of_outbox.failures),
    Source("deadletters", _("Dead letters"), "inbox", of_outbox.dead_letters),
    Source("replays", _("Replays"), "arrow-path", of_outbox.replays),
    Source("triage", _("Triage"), "inbox-stack", of_outbox.triage),
    Source("changes", _("Changes of services"), "wrench-screwdriver", of_services.changes, context=True),
    Source("routing", _("Changes of the routing"), "map", of_services.routing, context=True),
):
    register(_source)


def labels() -> dict[str, str]:
    """Every source in the order of the filter, by name; what people wrote comes first."""
    return {HAND: str(_("Written by people"))} | {name: str(source.label) for name, source in SOURCES.items()}

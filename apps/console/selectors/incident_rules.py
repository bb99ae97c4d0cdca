"""Rules as their page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db.models import Count, Max, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.console.marks import INCIDENT_SEVERITY, Mark
from apps.core.errors import NotFound
from apps.incidents.models import OPEN_STATES, Incident, Rule

ON: Final = Mark("good", gettext_lazy("ON"))
OFF: Final = Mark("unknown", gettext_lazy("OFF"))


@dataclass(frozen=True, slots=True)
class RuleRow:
    """``running`` is its open incident; ``opened`` how many it has opened."""

    rule: Rule
    mark: Mark
    severity: Mark
    conditions: list[tuple[str, str]]
    opened: int
    last: int | None
    running: int | None


def rule_rows() -> list[RuleRow]:
    return _rows(Rule.objects.all())


def get_rule(name: str) -> RuleRow:
    found = _rows(Rule.objects.filter(pk=name))
    if not found:
        raise NotFound(_("There is no rule named {name}.").format(name=name))
    return found[0]


def _rows(rules: QuerySet[Rule]) -> list[RuleRow]:
    counted = rules.annotate(opened=Count("incidents"), last=Max("incidents")).order_by("name")
    running = dict(Incident.objects.filter(rule__isnull=False, state__in=OPEN_STATES).values_list("rule", "pk"))
    return [
        RuleRow(
            rule,
            ON if rule.enabled else OFF,
            INCIDENT_SEVERITY[rule.severity],
            [(name, _shown(given)) for name, given in rule.match.items()],
            rule.opened,
            rule.last,
            running.get(rule.pk),
        )
        for rule in counted
    ]


def _shown(given: str | list[str]) -> str:
    texts = [given] if isinstance(given, str) else given
    return ", ".join(texts)

"""The one list of figures. A new one (the error budget, once there are objectives) joins here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.core.db import database_now
from apps.postmortems.figures import breakers, messages, people
from apps.postmortems.figures.messages import Result
from apps.postmortems.figures.scope import Rows, Scope

COUNT: Final = "count"
SECONDS: Final = "seconds"
# As outbox.prune deletes what was delivered.
MESSAGES_KEPT: Final = timedelta(days=30)


def _messages_kept() -> timedelta:
    return MESSAGES_KEPT


def _letters_kept() -> timedelta:
    """A replayed letter goes with its message, a discarded one when the installation says so."""
    days = settings.KEEP_CLOSED_LETTERS_DAYS
    return min(MESSAGES_KEPT, timedelta(days=days)) if days else MESSAGES_KEPT


@dataclass(frozen=True, slots=True)
class Figure:
    """``of`` asks for it and ``rows`` says where they are. Rows are deleted after ``kept()``: once the span is older
    than that, the value that was found stays, because asking again would find less than there was.
    """

    key: str
    unit: str
    label: str | Promise
    formula: str | Promise
    of: Callable[[Scope], Result]
    rows: Callable[[Scope], Rows]
    kept: Callable[[], timedelta] | None = None

    @property
    def stored_formula(self) -> str:
        """As it is kept with the value: in English, whoever looks."""
        with translation.override("en"):
            return str(self.formula)


FIGURES: Final = (
    Figure(
        "delayed",
        COUNT,
        _("Messages delayed"),
        _(
            "Messages accepted during the incident that were sent more than 60 s after they were due, or are still "
            "waiting after 60 s. Due is when a message was accepted, or its send_after if that is later."
        ),
        messages.delayed,
        messages.accepted_rows,
        _messages_kept,
    ),
    Figure(
        "dead_lettered",
        COUNT,
        _("Dead-lettered"),
        _("Dead letters whose died_at is within the incident, also those that were replayed or discarded since."),
        messages.dead_lettered,
        messages.letter_rows,
        _letters_kept,
    ),
    Figure(
        "expired",
        COUNT,
        _("Lost to expiry"),
        _("Messages that became EXPIRED during the incident: their expires_at came before they could be sent."),
        messages.expired,
        messages.expired_rows,
        _messages_kept,
    ),
    Figure(
        "failed",
        COUNT,
        _("Failed attempts"),
        _(
            "The sum of failed and timed_out of delivery_minute, from the minute the incident began in up to its end. "
            "Being asked to slow down is no failure."
        ),
        messages.failed,
        messages.service_rows,
    ),
    Figure(
        "breaker_open",
        SECONDS,
        _("Breaker open"),
        _(
            "For each breaker the time within the incident from an opening (opened, reopened, forced open) to the next "
            "closing (closed, reset, forced closed, count only), tests included; added up over the breakers."
        ),
        breakers.open_time,
        breakers.history_rows,
    ),
    Figure(
        "to_detect",
        SECONDS,
        _("Time to detect"),
        _("MTTD: detected_at less started_at of the incident."),
        people.to_detect,
        people.incident_rows,
    ),
    Figure(
        "to_acknowledge",
        SECONDS,
        _("Time to acknowledge"),
        _("MTTA: acknowledged_at less detected_at of the incident."),
        people.to_acknowledge,
        people.incident_rows,
    ),
    Figure(
        "to_resolve",
        SECONDS,
        _("Time to resolve"),
        _("MTTR: resolved_at less started_at of the incident."),
        people.to_resolve,
        people.incident_rows,
    ),
    Figure(
        "pages",
        COUNT,
        _("Pages sent"),
        _("Different messages among the pages of the incident’s alerts that were put into the outbox."),
        people.pages,
        people.incident_rows,
    ),
    Figure(
        "paged",
        COUNT,
        _("Recipients paged"),
        _("Different recipients (service and address) of those pages."),
        people.paged,
        people.incident_rows,
    ),
    Figure(
        "alerts",
        COUNT,
        _("Alerts"),
        _("Alerts that belong to the incident, each firing counted once."),
        people.alerts,
        people.incident_rows,
    ),
)
BY_KEY: Final[Mapping[str, Figure]] = {figure.key: figure for figure in FIGURES}


def compute(scope: Scope, earlier: Mapping[str, Mapping[str, Any]] | None = None) -> list[dict[str, Any]]:
    """Every figure as it is stored; ``earlier`` ones stay where the rows may be gone."""
    return [_kept(figure, scope, earlier or {}) or _asked(figure, scope) for figure in FIGURES]


def _kept(figure: Figure, scope: Scope, earlier: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    found = earlier.get(figure.key)
    gone = figure.kept is not None and scope.start < database_now() - figure.kept()
    return dict(found) if found and gone else None


def _asked(figure: Figure, scope: Scope) -> dict[str, Any]:
    at = database_now()
    result = figure.of(scope)
    return {
        "key": figure.key,
        "unit": figure.unit,
        "value": result.value,
        "parts": [{"name": name, "value": value} for name, value in result.parts],
        "formula": figure.stored_formula,
        "at": at.isoformat(),
        "rows": figure.rows(scope).as_dict(),
    }

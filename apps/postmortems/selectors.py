"""Reading post-mortems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from apps.core.errors import NotFound
from apps.core.pagination import Page, page_by_id
from apps.incidents.models import Incident
from apps.incidents.models import State as IncidentState
from apps.postmortems.models import ActionItem, ItemState, PostMortem, PostMortemVersion

ROWS: Final = 50
OVERDUE: Final = "overdue"
NEWER: Final = "newer"


@dataclass(frozen=True, slots=True)
class Filters:
    """An empty field is no filter. ``state`` is one of them, or overdue (an action item is), or newer (facts wait)."""

    state: str = ""
    severity: str = ""
    text: str = ""
    today: date | None = None

    def rows(self) -> QuerySet[PostMortem]:
        rows = self._in_state(PostMortem.objects.all())
        if self.severity:
            rows = rows.filter(incident__severity=self.severity)
        for word in self.text.lower().split()[:10]:
            rows = rows.filter(words__contains=word)
        return rows

    def _in_state(self, rows: QuerySet[PostMortem]) -> QuerySet[PostMortem]:
        if self.state == OVERDUE:
            late = ActionItem.objects.filter(postmortem=OuterRef("pk"), state=ItemState.OPEN, due__lt=self.today)
            return rows.filter(Exists(late))
        if self.state == NEWER:
            return rows.filter(newer_at__isnull=False)
        return rows.filter(state=self.state) if self.state else rows


def list_postmortems(filters: Filters, *, cursor: int | None, limit: int = ROWS) -> Page[PostMortem]:
    """Newest first, with their incidents; ``open_items`` and ``overdue_items`` are counted for the rows of the page."""
    is_open = Q(items__state=ItemState.OPEN)
    # What is heavy in a row is no part of a list.
    rows = filters.rows().select_related("incident").defer("facts", "newer", "sections", "words")
    rows = rows.annotate(
        open_items=Count("items", filter=is_open),
        overdue_items=Count("items", filter=is_open & Q(items__due__lt=filters.today)),
    )
    return page_by_id(rows, cursor=cursor, limit=limit)


def counts() -> dict[str, int]:
    """How many there are in each state, and of how many later facts wait."""
    found = dict(PostMortem.objects.order_by().values_list("state").annotate(Count("pk")))
    return {**found, NEWER: PostMortem.objects.filter(newer_at__isnull=False).count()}


def get_postmortem(postmortem_id: int) -> PostMortem:
    """With its incident; raises NotFound."""
    found = PostMortem.objects.select_related("incident").filter(pk=postmortem_id).first()
    if found is None:
        raise NotFound(
            _("There is no post-mortem {number}.").format(number=postmortem_id), detail={"postmortem": postmortem_id}
        )
    return found


def postmortem_of(incident: Incident) -> PostMortem | None:
    """The post-mortem of an incident, without what is heavy in it."""
    rows = PostMortem.objects.filter(incident=incident).defer("facts", "newer", "sections", "words")
    return rows.first()


def versions_of(postmortem: PostMortem, *, limit: int = 200) -> list[PostMortemVersion]:
    """Newest first, without their texts."""
    rows = PostMortemVersion.objects.filter(postmortem=postmortem).defer("sections", "facts")
    return list(rows.order_by("-number")[:limit])


def without_one() -> QuerySet[Incident]:
    """Incidents that have no post-mortem yet, newest first; merged ones never get one."""
    return Incident.objects.filter(postmortem=None).exclude(state=IncidentState.MERGED).order_by("-pk")

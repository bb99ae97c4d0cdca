"""Handing a post-mortem and its action items to an issue tracker, as messages of the outbox.

Each thing has one external id, so that pushing it again brings it up to date instead of doubling it, and one ordering
key, so that an older text never overtakes a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import translation
from django.utils.html import format_html
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Invalid
from apps.core.language import ENGLISH
from apps.outbox.models import Message
from apps.outbox.services import enqueue
from apps.postmortems.exporting.document import document_of
from apps.postmortems.exporting.page import fragment
from apps.postmortems.item_selectors import items_of
from apps.postmortems.models import ActionItem, ItemState, PostMortem, Push
from apps.postmortems.versions import held
from apps.services.models import Channel, Service

NAME_CHARS: Final = 255
LONGEST_TOKEN: Final = 64


@dataclass(frozen=True, slots=True)
class Pushed:
    """The newest push of one thing, and what the outbox says of it (empty: pruned since)."""

    push: Push
    status: str


def trackers() -> list[str]:
    """The services a post-mortem can be pushed to."""
    return list(Service.objects.filter(channel=Channel.PLANE).order_by("name").values_list("name", flat=True))


@transaction.atomic
def push(*, actor: Actor, postmortem_id: int, service: str, token: str) -> list[Push]:
    """Put the post-mortem and each of its action items into the outbox, for ``service``.

    ``token`` is the form's own: the same one twice is one push. Raises Invalid for a service that is no tracker.
    """
    require(actor, INCIDENTS_WORK)
    if service not in trackers():
        raise Invalid.field("service", _("is no service of the Plane channel: choose one of those, or add one"))
    if not 0 < len(token) <= LONGEST_TOKEN:
        raise Invalid.field("token", _("is missing: open the form again"))
    postmortem = held(postmortem_id)
    made = [_pushed(item, body, postmortem, service, token, actor) for item, body in _things(postmortem)]
    new = [row for row in made if row is not None]
    if new:
        after = {"service": service, "messages": [row.message_id for row in new]}
        record(actor=actor, action="postmortem.pushed", target=f"postmortem:{postmortem.pk}", after=after)
    return new


def pushed(postmortem_id: int) -> list[Pushed]:
    """The newest push of each thing to each service, newest first. Two questions."""
    newest: dict[tuple[str, str], Push] = {}
    for row in Push.objects.filter(postmortem=postmortem_id).select_related("item").order_by("-pk")[:500]:
        newest.setdefault((row.service, row.external_id), row)
    ids = [row.message_id for row in newest.values()]
    statuses = dict(Message.objects.filter(pk__in=ids).values_list("pk", "status"))
    return [Pushed(row, statuses.get(row.message_id, "")) for row in newest.values()]


def _pushed(
    item: ActionItem | None, body: dict[str, Any], postmortem: PostMortem, service: str, token: str, actor: Actor
) -> Push | None:
    """None when this very push was made already."""
    external_id = str(body["external_id"])
    accepted = enqueue(
        service=service,
        json=body,
        ordering_key=external_id,
        idempotency_key=f"{external_id}-{token}",
        source="postmortems",
    )
    if accepted.duplicate:
        return None
    return Push.objects.create(
        postmortem=postmortem,
        item=item,
        service=service,
        external_id=external_id,
        message_id=accepted.message_id,
        at=database_now(),
        actor=str(actor)[:200],
    )


def _things(postmortem: PostMortem) -> Iterator[tuple[ActionItem | None, dict[str, Any]]]:
    """In English: a tracker is read by everybody."""
    with translation.override(ENGLISH):
        document = document_of(postmortem)
        name = f"PM-{postmortem.pk} {postmortem.title}"
        yield None, _work_item(f"opsportal-pm-{postmortem.pk}", name, fragment(document) + _see(postmortem))
        for item in items_of(postmortem.pk):
            promised = format_html("<p>Promised by {} after PM-{} {}.</p>", item.owner, postmortem.pk, postmortem.title)
            body = _work_item(f"opsportal-item-{item.pk}", item.text, promised + _why(item) + _see(postmortem))
            done = {"completed": True} if item.state != ItemState.OPEN else {}
            yield item, body | done | {"target_date": item.due.isoformat()}


def _work_item(external_id: str, name: str, html: str) -> dict[str, Any]:
    return {"name": name[:NAME_CHARS], "description_html": html, "external_id": external_id}


def _why(item: ActionItem) -> str:
    return format_html("<p>Will not be done: {}</p>", item.reason) if item.reason else ""


def _see(postmortem: PostMortem) -> str:
    if not settings.PUBLIC_URL:
        return ""
    url = f"{settings.PUBLIC_URL}{reverse('postmortem', args=[postmortem.pk])}"
    return format_html('<p><a href="{}">{}</a></p>', url, url)

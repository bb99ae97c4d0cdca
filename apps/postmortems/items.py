"""What was promised after an incident: made, changed, kept, dropped, taken up again. Each is in the trail."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext as _

from apps.audit.canonical import clean_text
from apps.audit.services import record
from apps.core.actor import INCIDENTS_WORK, Actor, require
from apps.core.db import database_now
from apps.core.errors import Conflict, Invalid, NotFound
from apps.postmortems.models import ActionItem, ItemState, PostMortem

LONGEST: Final = 500
LONGEST_REASON: Final = 2000
FARTHEST: Final = timedelta(days=5 * 366)
SHOWN_WITH_ALERT: Final = 10


@transaction.atomic
def create(*, actor: Actor, postmortem_id: int, text: str, owner: str, due: date) -> ActionItem:
    """Promise something. Raises Invalid for a text, an address or a day that is none, or a day that is over."""
    require(actor, INCIDENTS_WORK)
    now = database_now()
    facts = {"text": _clean(text), "owner": _address(owner), "due": _day(due, now)}
    postmortem = PostMortem.objects.filter(pk=postmortem_id).first()
    if postmortem is None:
        raise NotFound(_("There is no post-mortem {number}.").format(number=postmortem_id))
    item = ActionItem.objects.create(postmortem=postmortem, created_at=now, created_by=str(actor)[:200], **facts)
    _noted(item, actor, action="actionitem.created", after=_facts(item))
    return item


@transaction.atomic
def edit(*, actor: Actor, item_id: int, text: str, owner: str, due: date) -> ActionItem:
    """Say it better, hand it over, or move its day. What is done or dropped is taken up again first."""
    require(actor, INCIDENTS_WORK)
    item = _held(item_id, ItemState.OPEN)
    before = _facts(item)
    item.text, item.owner = _clean(text), _address(owner)
    item.due = due if due == item.due else _day(due, database_now())
    if _facts(item) == before:
        return item
    item.save(update_fields=["text", "owner", "due"])
    _noted(item, actor, action="actionitem.changed", before=before, after=_facts(item))
    return item


def reassign(*, actor: Actor, item_id: int, owner: str) -> ActionItem:
    """Hand it to somebody else, with the same day."""
    item = get(item_id)
    return edit(actor=actor, item_id=item_id, text=item.text, owner=owner, due=item.due)


@transaction.atomic
def finish(*, actor: Actor, item_id: int) -> ActionItem:
    """It is done."""
    return _ended(actor, item_id, ItemState.DONE, action="actionitem.done")


@transaction.atomic
def drop(*, actor: Actor, item_id: int, reason: str) -> ActionItem:
    """It will not be done; ``reason`` says why."""
    require(actor, INCIDENTS_WORK)
    why = clean_text(reason, LONGEST_REASON + 1).strip()
    if not why or len(why) > LONGEST_REASON:
        raise Invalid.field("reason", _("say in 1 to {most} characters why it will not be done").format(most=2000))
    return _ended(actor, item_id, ItemState.DROPPED, action="actionitem.dropped", reason=why)


@transaction.atomic
def reopen(*, actor: Actor, item_id: int) -> ActionItem:
    """Take up again what was done or dropped."""
    require(actor, INCIDENTS_WORK)
    item = _held(item_id, ItemState.DONE, ItemState.DROPPED)
    before = _facts(item)
    item.state, item.ended_at, item.ended_by, item.reason = ItemState.OPEN, None, "", ""
    item.save(update_fields=["state", "ended_at", "ended_by", "reason"])
    _noted(item, actor, action="actionitem.reopened", before=before, after=_facts(item))
    return item


def get(item_id: int) -> ActionItem:
    """Raises NotFound."""
    item = ActionItem.objects.select_related("postmortem__incident").filter(pk=item_id).first()
    if item is None:
        raise NotFound(_("There is no action item {number}.").format(number=item_id))
    return item


def overdue_for(name: str, service: str, now: datetime) -> Sequence[ActionItem]:
    """What was promised after an earlier alert of this name and service, and is overdue at ``now``; oldest first."""
    overdue = ActionItem.objects.filter(state=ItemState.OPEN, due__lt=now.date())
    after = overdue.filter(
        postmortem__incident__links__episode__name=name, postmortem__incident__links__episode__service=service
    )
    return list(after.select_related("postmortem__incident").order_by("due", "pk").distinct()[:SHOWN_WITH_ALERT])


def _ended(actor: Actor, item_id: int, state: ItemState, *, action: str, reason: str = "") -> ActionItem:
    require(actor, INCIDENTS_WORK)
    item = _held(item_id, ItemState.OPEN)
    before = _facts(item)
    item.state, item.ended_at, item.ended_by, item.reason = state, database_now(), str(actor)[:200], reason
    item.save(update_fields=["state", "ended_at", "ended_by", "reason"])
    _noted(item, actor, action=action, before=before, after=_facts(item), reason=reason)
    return item


def _held(item_id: int, *states: ItemState) -> ActionItem:
    """The row, nobody else's until the transaction ends."""
    item = ActionItem.objects.select_for_update().filter(pk=item_id).first()
    if item is None:
        raise NotFound(_("There is no action item {number}.").format(number=item_id))
    if item.state not in states:
        text = _("Action item {number} is {state} since {who} ended it: take it up again first.")
        if item.state == ItemState.OPEN:
            text = _("Action item {number} is open already.")
        label = ItemState(item.state).label.lower()
        raise Conflict(text.format(number=item.pk, state=label, who=item.ended_by))
    return item


def _noted(item: ActionItem, actor: Actor, *, action: str, reason: str = "", **change: Any) -> None:
    record(actor=actor, action=action, target=f"actionitem:{item.pk}", reason=reason, **change)


def _facts(item: ActionItem) -> dict[str, Any]:
    found = {"text": item.text, "owner": item.owner, "due": item.due.isoformat(), "state": str(item.state)}
    return found | ({"reason": item.reason} if item.reason else {})


def _clean(text: str) -> str:
    """One line, without what cannot be seen."""
    shown = "".join(" " if c.isspace() else c for c in clean_text(text, 10_000) if _is_seen(c))
    line = " ".join(shown.split())
    if not line or len(line) > LONGEST:
        raise Invalid.field("text", _("say in 1 to {most} characters what will be done").format(most=LONGEST))
    return line


def _is_seen(character: str) -> bool:
    return character.isspace() or character in "\u200c\u200d" or unicodedata.category(character) not in ("Cc", "Cf")


def _address(owner: str) -> str:
    address = owner.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise Invalid.field("owner", _("must be an e-mail address: whoever does it is reminded there")) from None
    if len(address) > 200:
        raise Invalid.field("owner", _("must be at most 200 characters"))
    return address


def _day(due: date, now: datetime) -> date:
    """A day that is not over anywhere yet, and not a slip of the finger."""
    first, last = (now - timedelta(hours=12)).date(), (now + FARTHEST).date()
    if not first <= due <= last:
        raise Invalid.field("due", _("must be a day from today to {last}").format(last=last.isoformat()))
    return due

"""Reminding owners of what they promised: three days before, on the day, and every week after it.

A row for each item and day stands behind it, so that however often and by however many this is run, an owner gets one
message. It is sent in the morning of the owner's zone, in their language. When it cannot be sent the row says why, and
the next run tries again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import dateformat, translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from apps.accounts.models import User
from apps.alerts.notices import one_line
from apps.core import language
from apps.core.db import database_now
from apps.core.errors import PortalError
from apps.outbox.services import enqueue
from apps.postmortems.models import ActionItem, ItemState, Reminder
from apps.services.models import Channel, Service

log = structlog.get_logger(__name__)

BEFORE: Final = timedelta(days=3)
WEEK: Final = timedelta(days=7)
MORNING: Final = time(8)
# A reminder that could not leave for so long has been overtaken by the next one.
OF_USE: Final = timedelta(days=3)
# No zone is further ahead of UTC.
AHEAD: Final = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Owner:
    """In which language and zone somebody is written to. ``problem`` says why they cannot be."""

    language: str = language.ENGLISH
    zone: str = "UTC"
    problem: str = ""


def remind_all() -> int:
    """Send what is owed now; how many messages that were."""
    now = database_now()
    open_items = ActionItem.objects.filter(state=ItemState.OPEN, due__lte=(now + AHEAD).date() + BEFORE)
    rows = list(open_items.order_by("due", "pk"))
    owners, settled = _owners(rows), _settled(rows)
    owed = [(row.pk, owners[row.owner]) for row in rows if _owed(row, owners[row.owner], now) not in settled[row.pk]]
    problem = service_problem(settings.REMINDER_SERVICE) if owed else ""
    return sum(_remind(item_id, owner, now, problem) for item_id, owner in owed)


def day_of(due: date, made: date, today: date) -> date | None:
    """The newest day up to ``today`` on which somebody is to be reminded of what is due on ``due``; pure.

    Days before it was promised do not count. A sweep that was away for long reminds once.
    """
    if today < due:
        early = due - BEFORE
        return early if made <= early <= today else None
    return due + WEEK * ((today - due) // WEEK)


def service_problem(name: str) -> str:
    """Why reminders cannot be sent through the service ``name``; empty when they can."""
    if not name:
        return "REMINDER_SERVICE is empty: no reminders are sent."
    channel = Service.objects.filter(pk=name).values_list("channel", flat=True).first()
    if channel is None:
        return f"There is no service named {name}: set REMINDER_SERVICE to a service of the e-mail channel."
    if channel != Channel.EMAIL:
        return f"The service {name} is no mail server: set REMINDER_SERVICE to a service of the e-mail channel."
    return ""


def _owners(rows: Iterable[ActionItem]) -> Mapping[str, Owner]:
    addresses = {row.owner for row in rows}
    known = {user.email: _as_owner(user) for user in User.objects.filter(email__in=addresses)}
    return {address: known.get(address, Owner()) for address in addresses}


def _as_owner(user: User) -> Owner:
    spoken = user.language if language.is_language(user.language) else language.ENGLISH
    gone = "" if user.is_active else f"{user.email} may not log in any more: hand it to somebody else."
    return Owner(spoken, user.time_zone, gone)


def _settled(rows: Iterable[ActionItem]) -> dict[int, set[date | None]]:
    """The days for which a message was made already; None is never owed."""
    found: dict[int, set[date | None]] = {row.pk: {None} for row in rows}
    sent = Reminder.objects.filter(item__in=list(found), message_id__isnull=False)
    for item_id, on in sent.values_list("item_id", "on"):
        found[item_id].add(on)
    return found


def _owed(row: ActionItem, owner: Owner, now: datetime) -> date | None:
    """The day that is owed, in the owner's zone; None before their morning, whatever was missed."""
    zone = language.zone_named(owner.zone)
    local = now.astimezone(zone)
    if local.time() < MORNING:
        return None
    return day_of(row.due, row.created_at.astimezone(zone).date(), local.date())


@transaction.atomic
def _remind(item_id: int, owner: Owner, now: datetime, problem: str) -> bool:
    """One at a time for each item: who comes second sees the row of the first."""
    item = ActionItem.objects.select_for_update().filter(pk=item_id, state=ItemState.OPEN).first()
    on = _owed(item, owner, now) if item else None
    if item is None or on is None:
        return False
    row, _made = Reminder.objects.get_or_create(item=item, on=on, defaults={"at": now})
    if row.message_id is not None:
        return False
    row.at, row.problem = now, (owner.problem or problem)[:500]
    if not row.problem:
        _send(row, item, owner)
    row.save(update_fields=["at", "problem", "message_id"])
    return row.message_id is not None


def _send(row: Reminder, item: ActionItem, owner: Owner) -> None:
    zone = language.zone_named(owner.zone)
    with translation.override(owner.language):
        subject, body = words(item, row.at.astimezone(zone).date())
    try:
        accepted = enqueue(
            service=settings.REMINDER_SERVICE,
            recipient=item.owner,
            subject=subject,
            payload=body,
            content_type="text/plain; charset=utf-8",
            expires_at=row.at + OF_USE,
            idempotency_key=f"opsportal-reminder-{item.pk}-{row.on.isoformat()}",
            source="postmortems",
        )
    except PortalError as error:
        row.problem = error.message[:500]
        log.warning("postmortems.not_reminded", item_id=item.pk, error=error.message)
    else:
        row.message_id = accepted.message_id


def words(item: ActionItem, today: date) -> tuple[str, str]:
    """Subject and text, in the language that is active."""
    text, title = one_line(item.text, 500), one_line(item.postmortem.title, 200)
    lines = [
        _("You promised this after “{title}” (PM-{number}):").format(title=title, number=item.postmortem_id),
        text,
        _("Due: {day}").format(day=long_day(item.due)),
        _link(item),
    ]
    return one_line(f"{_when(item.due, today)}: {text}", 200), "\n\n".join(line for line in lines if line)


def _when(due: date, today: date) -> str:
    days = (due - today).days
    if days > 0:
        return ngettext("Due in {n} day", "Due in {n} days", days).format(n=days)
    if days == 0:
        return _("Due today")
    return ngettext("Overdue since {n} day", "Overdue since {n} days", -days).format(n=-days)


def long_day(day: date) -> str:
    return str(dateformat.format(day, pgettext("a whole day", "l, j F Y")))


def _link(item: ActionItem) -> str:
    if not settings.PUBLIC_URL:
        return ""
    return f"{settings.PUBLIC_URL}{reverse('action-item', args=[item.pk])}"

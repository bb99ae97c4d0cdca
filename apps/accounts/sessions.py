"""Where a person is logged in: seen at most once a minute, listed, ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from django.contrib.sessions.models import Session
from django.db import DatabaseError, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.accounts.api_keys import without_waiting
from apps.accounts.models import PasswordLink, PersonSession, User
from apps.audit.services import record
from apps.core import clock
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.core.http import client_ip

log = structlog.get_logger(__name__)

TOUCH_EVERY_S: Final = 60
REMEMBERED: Final = 4096


class _Seen:
    """Which sessions this process has noted lately, so that a page that refreshes costs no write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[str, float] = {}

    def due(self, session_key: str) -> bool:
        """True once a minute for a session, to one caller."""
        now = time.monotonic()
        with self._lock:
            if now - self._at.get(session_key, -TOUCH_EVERY_S) < TOUCH_EVERY_S:
                return False
            if len(self._at) >= REMEMBERED:
                self._at.clear()
            self._at[session_key] = now
            return True


_seen = _Seen()


def touch(request: HttpRequest, person: User) -> None:
    """Note that the session of ``request`` is in use, and from where."""
    key = request.session.session_key
    if not key or not _seen.due(key):
        return
    facts = {"ip": client_ip(request), "user_agent": request.headers.get("User-Agent", "")[:300]}
    try:
        with without_waiting():
            _note(key, person, facts)
    except DatabaseError as error:
        # Nothing depends on this figure; the next minute tries again.
        log.info("session.touch_skipped", error=str(error))


def _note(key: str, person: User, facts: dict[str, str]) -> None:
    """One statement, on the way of a page."""
    now = clock.now()
    row = PersonSession(session_key=key, person_id=person.pk, created_at=now, last_seen_at=now, **facts)
    changed = ["person", "last_seen_at", *facts]
    PersonSession.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["session_key"], update_fields=changed
    )


@dataclass(frozen=True, slots=True)
class SessionRow:
    """``current`` is the one that asks."""

    session: PersonSession
    device: str
    current: bool


def sessions_of(person: User, current_key: str = "") -> list[SessionRow]:
    """The live ones, this one first, then the newest. Answers what is in use, not what is left over."""
    rows = list(PersonSession.objects.filter(person_id=person.pk))
    live = _live([row.session_key for row in rows])
    found = [
        SessionRow(row, device(row.user_agent), row.session_key == current_key)
        for row in rows
        if row.session_key in live
    ]
    return sorted(found, key=lambda row: not row.current)


def _live(keys: list[str]) -> set[str]:
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=clock.now())
    return set(rows.values_list("session_key", flat=True))


BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
SYSTEMS: Final = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def device(user_agent: str) -> str:
    """``Firefox, Linux``: enough for a person to know it again. Empty when nothing is known."""
    names = [_first(user_agent, BROWSERS), _first(user_agent, SYSTEMS)]
    return ", ".join(name for name in names if name) or user_agent[:60]


def _first(text: str, names: Iterable[tuple[str, str]]) -> str:
    return next((name for mark, name in names if mark in text), "")


def end_all(person: User, *, keep: str = "") -> int:
    """End every session of ``person`` but ``keep``, in the caller's transaction. Answers how many were live."""
    rows = PersonSession.objects.filter(person_id=person.pk).exclude(session_key=keep)
    keys = list(rows.values_list("session_key", flat=True))
    ended, _ = Session.objects.filter(session_key__in=keys).delete()
    rows.delete()
    return ended


@transaction.atomic
def end_one(*, person: User, session_id: int, actor: Actor) -> None:
    """End one of one's own sessions. Raises NotFound, also for somebody else's."""
    row = PersonSession.objects.filter(person_id=person.pk, pk=session_id).first()
    if row is None:
        raise NotFound(_("This session has ended already."))
    Session.objects.filter(session_key=row.session_key).delete()
    row.delete()
    record(
        actor=actor,
        action="person.session_ended",
        target=f"person:{person.email}",
        before={"ip": row.ip, "device": device(row.user_agent)},
    )


@transaction.atomic
def end_others(*, person: User, keep: str, actor: Actor) -> int:
    """End all of one's own sessions but this one."""
    ended = end_all(person, keep=keep)
    if ended:
        after = {"sessions_ended": ended}
        record(actor=actor, action="person.sessions_ended", target=f"person:{person.email}", after=after)
    return ended


def clean_sessions() -> int:
    """Forget sessions and password links that have expired. Answers how many sessions of people that were."""
    PasswordLink.objects.filter(expires_at__lt=clock.now()).delete()
    Session.objects.filter(expire_date__lt=clock.now()).delete()
    gone, _ = (
        PersonSession.objects.exclude(session_key__in=Session.objects.values("session_key"))
        .filter(last_seen_at__lt=clock.now() - timedelta(seconds=TOUCH_EVERY_S))
        .delete()
    )
    return gone

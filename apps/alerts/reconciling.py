"""What the webhook never tells, asked of Alertmanager's API v2.

An alert that is silenced while it fires and then ends is never announced (their issue 226); a post that was never
accepted is lost when its alert ends. So every minute each source that has an ``api_url`` is asked what is true now:
what is gone recovers, what was missed is taken in through the door of every post, and silences are mirrored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import requests
import structlog
from django.db import connection, transaction
from urllib3.exceptions import HTTPError

from apps.alerts.episodes import OPEN_STATES, State
from apps.alerts.models import AlertDelivery, AlertSource, Episode
from apps.alerts.parsing import FIRING
from apps.alerts.times import parse_time
from apps.core.db import database_now
from apps.core.text import storable

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 5.0
LARGEST: Final = 64 * 1024 * 1024
# A post may still be on its way (group_wait), and an Alertmanager that was restarted knows nothing for a while.
YOUNG: Final = timedelta(seconds=90)
GONE_FOR: Final = timedelta(minutes=3)
QUIET_BY: Final = ("silencedBy", "inhibitedBy", "mutedBy")
AGENT: Final = "opsportal-reconciler"


class NotAnswered(Exception):
    """The API did not answer, or with something else; the text says what."""


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as the API tells of it. ``by`` names the silences and inhibitions that keep it quiet."""

    fingerprint: str
    alert: Mapping[str, Any]
    starts_at: datetime | None
    by: tuple[str, ...]

    @property
    def name(self) -> object:
        labels = self.alert.get("labels")
        return labels.get("alertname") if isinstance(labels, dict) else None


def reconcile_all() -> int:
    """Ask every source that can be asked. Returns how many episodes changed or were found."""
    askable = AlertSource.objects.filter(disabled_at__isnull=True).exclude(api_url="")
    return sum(reconcile(source) for source in list(askable))


def reconcile(source: AlertSource) -> int:
    """One source. The answer is fetched before any transaction begins."""
    try:
        told = ask(source)
    except NotAnswered as error:
        log.warning("alerts.api_away", source=source.name, problem=str(error))
        AlertSource.objects.filter(pk=source.pk).update(api_problem=str(error)[:500])
        return 0
    return apply_answer(source.pk, told, database_now())


def ask(source: AlertSource) -> list[Told]:
    """Every alert the source knows now, whether quiet or not. Raises :class:`NotAnswered`."""
    url = f"{source.api_url.rstrip('/')}/api/v2/alerts"
    status, found = _fetched(url, source)
    if not isinstance(found, list):
        raise NotAnswered(f"{url} answered {status} and not with a list of alerts")
    return [_told(alert) for alert in found if isinstance(alert, dict) and isinstance(alert.get("fingerprint"), str)]


def _fetched(url: str, source: AlertSource) -> tuple[int, Any]:
    headers = {"User-Agent": AGENT}
    if source.api_secret:
        headers["Authorization"] = f"Bearer {source.api_secret}"
    try:
        with requests.get(url, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
            if answer.status_code != 200:
                return answer.status_code, None
            return 200, json.loads(_read(answer))
    except (requests.RequestException, HTTPError, ValueError, RecursionError) as error:
        raise NotAnswered(f"{url}: {error}") from error


def _read(answer: requests.Response) -> bytes:
    found: bytes = answer.raw.read(LARGEST + 1, decode_content=True)
    if len(found) > LARGEST:
        raise ValueError(f"the answer has more than {LARGEST} bytes")
    return found


def _told(alert: dict[str, Any]) -> Told:
    given = alert.get("status")
    status: dict[str, Any] = given if isinstance(given, dict) else {}
    quiet = [given for name in QUIET_BY if isinstance(given := status.get(name), list)]
    by = tuple(storable(str(one))[:200] for given in quiet for one in given)
    return Told(storable(alert["fingerprint"])[:64], alert, parse_time(alert.get("startsAt")), by)


@transaction.atomic
def apply_answer(name: str, told: Sequence[Told], now: datetime) -> int:
    """Bring the open episodes of a source in step with what its API told at ``now``."""
    skip = connection.features.has_select_for_update_skip_locked
    source = AlertSource.objects.select_for_update(skip_locked=skip).filter(pk=name).first()
    if source is None:
        return 0
    source.api_at, source.api_problem = now, ""
    source.save(update_fields=["api_at", "api_problem"])
    known = {one.fingerprint: one for one in told}
    episodes = list(Episode.objects.filter(source=source, state__in=OPEN_STATES))
    heard = _hears_heartbeat(source, told)
    denied = [one for each in episodes if (one := _denied(each, known.get(each.fingerprint), now))]
    changed = [each for each in episodes if _in_step(each, known.get(each.fingerprint), now, absence_counts=heard)]
    Episode.objects.bulk_update(changed, list(CHANGING), batch_size=100)
    missed = denied + _missed(source, known, {episode.fingerprint for episode in episodes}, now)
    if missed:
        _take_in(source, missed, now)
    return len(changed) + len(missed)


CHANGING: Final = ("state", "normal_since", "absent_since", "inferred", "suppressed", "suppressed_by")


def _hears_heartbeat(source: AlertSource, told: Sequence[Told]) -> bool:
    """An Alertmanager that does not hear its Prometheus proves nothing by what it does not list."""
    return source.watchdog_at is None or any(one.name == source.watchdog for one in told)


def _denied(episode: Episode, told: Told | None, now: datetime) -> Told | None:
    """What the API lists fires, whatever was inferred, or said before a post of the end could have been overtaken."""
    if told is None or episode.state != State.RECOVERING:
        return None
    said_at = episode.last_resolved_at
    return told if episode.inferred or said_at is None or now - said_at >= YOUNG else None


def _in_step(episode: Episode, told: Told | None, now: datetime, *, absence_counts: bool) -> bool:
    """Returns whether ``episode`` changed."""
    before = tuple(getattr(episode, name) for name in CHANGING)
    if told is None and absence_counts:
        _absent(episode, now)
    elif told is not None:
        episode.absent_since = None
        episode.suppressed_by = list(told.by)
    episode.suppressed = bool(episode.suppressed_by)
    return before != tuple(getattr(episode, name) for name in CHANGING)


def _absent(episode: Episode, now: datetime) -> None:
    """Gone from the API: after a while of that it recovers, as what it is, an inference."""
    if now - episode.last_fired_at < YOUNG:
        return
    episode.suppressed_by = []
    episode.absent_since = episode.absent_since or now
    if episode.state == State.FIRING and now - episode.absent_since >= GONE_FOR:
        episode.state, episode.normal_since, episode.inferred = State.RECOVERING, episode.absent_since, True


def _missed(source: AlertSource, known: Mapping[str, Told], have: set[str], now: datetime) -> list[Told]:
    """What fires and makes itself heard, for longer than a post takes, and yet has no episode."""
    return [
        one
        for mark, one in sorted(known.items())
        if mark not in have
        and not one.by
        and one.starts_at is not None
        and one.starts_at < now - YOUNG
        and one.name != source.watchdog
    ]


def _take_in(source: AlertSource, missed: Sequence[Told], now: datetime) -> None:
    """Through the door of every post, so that the log shows where it came from."""
    alerts = [{**one.alert, "status": FIRING, "endsAt": None} for one in missed]
    body = json.dumps({"version": "4", "receiver": "reconciler", "alerts": alerts}).encode()
    AlertDelivery.objects.create(
        source=source,
        received_at=now,
        body=body,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        headers={"User-Agent": AGENT},
    )
    log.warning("alerts.missed", source=source.name, alerts=len(missed))

"""What an operator may do to a breaker. One transaction each: the change, its event and its audit row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.breakers.machine import Kind, State
from apps.breakers.models import BreakerEvent, Override, SharedBreaker, StoredState
from apps.breakers.selectors import BreakerSnapshot, database_ms, snapshot
from apps.breakers.signals import breaker_changed
from apps.core import actor as may
from apps.core.actor import Actor, require
from apps.core.errors import Conflict, Invalid, NotFound
from apps.services.models import Service

LONGEST_S: Final = 7 * 86_400
REASON_CHARS: Final = 2000
KIND_OF: Final = {
    Override.FORCED_OPEN: Kind.FORCED_OPEN,
    Override.FORCED_CLOSED: Kind.FORCED_CLOSED,
    Override.METRICS_ONLY: Kind.METRICS_ONLY,
}


def force_open(
    *, service: str, actor: Actor, reason: str, expires_in: float, seen_epoch: int | None = None
) -> BreakerSnapshot:
    """Let nothing through for ``expires_in`` seconds (at most 7 days), then a probe: never full traffic at once.

    ``seen_epoch`` is the epoch the operator looked at; with another one nothing changes and :class:`Conflict` is
    raised. Raises Forbidden, NotFound, and Invalid with ``reason`` or ``expires_in``.
    """
    return _force(Override.FORCED_OPEN, service, actor, reason, expires_in, seen_epoch)


def force_closed(
    *, service: str, actor: Actor, reason: str, expires_in: float, seen_epoch: int | None = None
) -> BreakerSnapshot:
    """Let everything through for ``expires_in`` seconds, whatever fails; then closed, with nothing counted."""
    return _force(Override.FORCED_CLOSED, service, actor, reason, expires_in, seen_epoch)


def metrics_only(
    *, service: str, actor: Actor, reason: str, expires_in: float, seen_epoch: int | None = None
) -> BreakerSnapshot:
    """As :func:`force_closed`, to watch what the rule would see."""
    return _force(Override.METRICS_ONLY, service, actor, reason, expires_in, seen_epoch)


@transaction.atomic
def auto(*, service: str, actor: Actor, reason: str = "", seen_epoch: int | None = None) -> BreakerSnapshot:
    """End the override: a forced open becomes "open, probe due", the others closed. Conflict if there is none."""
    row = _begin(service, actor, seen_epoch)
    before = snapshot(service)
    if row.override == Override.NONE:
        text = _("The breaker of {name} has no override that could be ended.").format(name=service)
        raise Conflict(text, detail={"service": service})
    was, row.override = row.override, Override.NONE
    if was == Override.FORCED_OPEN:
        row.state, row.wait_ms, row.probe_at = StoredState.OPEN, 0, database_ms()
    else:
        _close(row)
    _forget_override(row)
    return _finish(row, Kind.OVERRIDE_ENDED, actor, {"override": was, "reason": _text(reason)}, before)


@transaction.atomic
def reset(*, service: str, actor: Actor, reason: str = "", seen_epoch: int | None = None) -> BreakerSnapshot:
    """Closed now, without override, with nothing counted and the back-off forgotten."""
    row = _begin(service, actor, seen_epoch)
    before = snapshot(service)
    _close(row)
    _forget_override(row)
    return _finish(row, Kind.RESET, actor, {"reason": _text(reason), "was": str(before.state)}, before)


@transaction.atomic
def probe_now(*, service: str, actor: Actor, reason: str = "", seen_epoch: int | None = None) -> BreakerSnapshot:
    """Open: do not wait for the reset time, let the next call be the probe. Conflict unless it is open."""
    row = _begin(service, actor, seen_epoch)
    before = snapshot(service)
    if before.state not in (State.OPEN, State.HALF_OPEN) or row.state != StoredState.OPEN:
        text = _("The breaker of {name} is {state}, so there is nothing to test.")
        raise Conflict(text.format(name=service, state=before.state), detail={"service": service})
    row.probe_at = database_ms()
    return _finish(row, Kind.TEST_ASKED, actor, {"reason": _text(reason)}, before, new_epoch=False)


def act(
    *,
    service: str,
    action: str,
    actor: Actor,
    reason: str = "",
    expires_in: float | None = None,
    seen_epoch: int | None = None,
) -> BreakerSnapshot:
    """The action an API or a form names: force_open, force_closed, metrics_only, auto, reset or test_now."""
    forced = {"force_open": force_open, "force_closed": force_closed, "metrics_only": metrics_only}.get(action)
    if forced is not None:
        seconds = math.nan if expires_in is None else expires_in
        return forced(service=service, actor=actor, reason=reason, expires_in=seconds, seen_epoch=seen_epoch)
    other = {"auto": auto, "reset": reset, "test_now": probe_now}.get(action)
    if other is None:
        raise Invalid.field("action", _("use force_open, force_closed, metrics_only, auto, reset or test_now"))
    return other(service=service, actor=actor, reason=reason, seen_epoch=seen_epoch)


# --- the steps --------------------------------------------------------------------------------
@transaction.atomic
def _force(
    override: Override, service: str, actor: Actor, reason: str, expires_in: float, seen_epoch: int | None
) -> BreakerSnapshot:
    require(actor, may.BREAKERS_OVERRIDE)
    text, seconds = _checked(reason, expires_in)
    row = _begin(service, actor, seen_epoch)
    before, now = snapshot(service), database_ms()
    if override == Override.FORCED_OPEN:
        # probe_at is the end of the override: it lands in a probe without anybody having to run a job.
        row.opened_at = row.opened_at if row.state == StoredState.OPEN else now
        row.state, row.wait_ms = StoredState.OPEN, round(seconds * 1000)
        row.probe_at, row.reopen_streak = now + row.wait_ms, 0
    else:
        _close(row)
    row.override, row.override_until = override, now + round(seconds * 1000)
    row.override_by, row.override_reason = str(actor)[:200], text
    detail = {"reason": text, "expires_in": seconds, "was": str(before.state)}
    return _finish(row, KIND_OF[override], actor, detail, before)


def _checked(reason: str, expires_in: float) -> tuple[str, float]:
    problems = []
    text = _text(reason)
    if not text:
        problems.append({"field": "reason", "message": _("say why: it is shown to everybody who meets the override")})
    if not (0 < expires_in <= LONGEST_S):  # also refuses NaN
        problems.append(
            {
                "field": "expires_in",
                "message": _("say for how many seconds, at most 604800 (7 days): an override ends"),
            }
        )
    if problems:
        raise Invalid.fields(problems)
    return text, float(expires_in)


def _text(reason: str) -> str:
    return reason.replace("\x00", "\ufffd").strip()[:REASON_CHARS]


def _begin(service: str, actor: Actor, seen_epoch: int | None) -> SharedBreaker:
    """The row, held until the transaction ends, if it is still what the operator looked at."""
    require(actor, may.BREAKERS_OVERRIDE)
    if not Service.objects.filter(pk=service).exists():
        raise NotFound(_("There is no service named {name!r}.").format(name=service), detail={"service": service})
    SharedBreaker.objects.bulk_create([SharedBreaker(name=service)], ignore_conflicts=True)
    row = SharedBreaker.objects.select_for_update().get(name=service)
    if seen_epoch is not None and seen_epoch != row.epoch:
        now = snapshot(service)
        raise Conflict(
            _(
                "The breaker of {name} has changed since you looked: it is {state} now, in epoch {epoch} "
                "(you saw {seen}). Nothing was changed; look again, then decide."
            ).format(name=service, state=now.state, epoch=row.epoch, seen=seen_epoch),
            detail={"service": service, "state": str(now.state), "epoch": row.epoch, "seen_epoch": seen_epoch},
        )
    return row


def _close(row: SharedBreaker) -> None:
    row.state, row.opened_at, row.wait_ms, row.probe_at, row.reopen_streak = StoredState.CLOSED, None, 0, 0, 0


def _forget_override(row: SharedBreaker) -> None:
    row.override, row.override_until, row.override_by, row.override_reason = Override.NONE, None, "", ""


def _finish(
    row: SharedBreaker,
    kind: Kind,
    actor: Actor,
    detail: Mapping[str, Any],
    before: BreakerSnapshot,
    *,
    new_epoch: bool = True,
) -> BreakerSnapshot:
    """Write the row under a new epoch, the event, the audit row; announce it after the commit."""
    row.epoch += new_epoch
    row.save()
    event = BreakerEvent.objects.create(
        breaker=row, at=database_ms(), epoch=row.epoch, kind=kind.value, actor=str(actor)[:200], detail=dict(detail)
    )
    after = snapshot(row.name)
    record(
        actor=actor,
        action=f"breaker.{kind.value}",
        target=f"service:{row.name}",
        before=_for_audit(before),
        after=_for_audit(after),
        reason=str(detail.get("reason", "")),
    )
    news = {"service": row.name, "kind": kind.value, "epoch": row.epoch, "event_id": event.pk}
    transaction.on_commit(lambda: breaker_changed.send_robust(sender=None, **news), robust=True)
    return after


def _for_audit(found: BreakerSnapshot) -> dict[str, Any]:
    return {
        "state": str(found.state),
        "epoch": found.epoch,
        "override_until": found.override_until.isoformat() if found.override_until else None,
    }

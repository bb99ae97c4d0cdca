"""What a person does with replays: make one, pause it, let it go on, cancel it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.audit.services import record
from apps.core.actor import REPLAYS_RUN, Actor, require
from apps.core.clock import now
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.human import span
from apps.outbox.deadletters.selection import Selection, select
from apps.outbox.deadletters.selectors import newest_selected
from apps.outbox.models import Replay, ReplayItem, ReplayState
from apps.outbox.replays.planning import TAKEN, eligible_letters, sort_out, under_preparation
from apps.outbox.replays.preparing import insert_items, note_of, one_at_a_time, services_of
from apps.outbox.replays.progress import RUNNING_STATES, count_items, failed_percent

log = structlog.get_logger(__name__)

MAX_PER_SECOND: Final = 100_000
# So many letters go in while the person waits; of more, the control queue takes them in.
AT_ONCE: Final = 10_000
TAKEN_OUT: Final = "taken out of the replay"


def create_replay(
    *,
    selection: Selection | Mapping[str, Any],
    actor: Actor,
    reason: str = "",
    canary: int = 0,
    per_second: float | None = None,
    stop_above_percent: float = 20.0,
    token: str = "",
    known: Collection[int] | None = None,
) -> Replay:
    """Make a replay of the open dead letters ``selection`` means now; later deaths do not join it.

    ``canary`` letters go first, and the rest only if all of those were sent. ``per_second`` limits how
    many are put back (None: as fast as the service takes them). Above ``stop_above_percent`` failures it
    stops by itself. A letter that is in another unfinished replay is left out, so two people who press
    at once put each letter back once. More than ``AT_ONCE`` letters are taken in by the control queue, before the
    first is put back; the replay is ``preparing`` until then. ``token`` is the form it came from: a form makes one
    replay. ``known`` are the replays whose letters the person saw left out; if another one has taken letters
    since, that is a conflict too, because what was decided upon is no longer what would happen.

    Raises :class:`Invalid`, and :class:`Conflict` if no letter is left.
    """
    require(actor, REPLAYS_RUN)
    chosen = select(selection)
    _check_numbers(canary, per_second, stop_above_percent)
    _refuse_twice(token)
    options = {
        "state": ReplayState.CANARY if canary else ReplayState.RUNNING,
        "selection": chosen.as_dict(),
        "reason": reason.replace("\x00", "").strip(),
        "created_by": str(actor)[:200],
        "canary": canary,
        "per_second": per_second,
        "stop_above_percent": stop_above_percent,
        "token": token[:64] or None,
    }
    try:
        replay = _create(chosen, options, actor, known)
    except IntegrityError:
        _refuse_twice(token)
        raise
    log.info("replay.started", replay_id=replay.pk, letters=replay.total, left_out=replay.left_out, actor=str(actor))
    return replay


@transaction.atomic
def _create(chosen: Selection, options: Mapping[str, Any], actor: Actor, known: Collection[int] | None) -> Replay:
    one_at_a_time()
    replay = Replay.objects.create(**options)
    large = _is_large(chosen)
    taken_in = 0 if large else insert_items(replay, eligible_letters(chosen, own_replay=replay.pk))
    left_out, eligible = sort_out(chosen, own_replay=replay.pk)
    total = eligible if large else taken_in
    unreached = {pk for pk, _letters in under_preparation(replay.pk)} if large else set()
    _refuse_overlap(chosen, total, left_out, known, unreached)
    _keep_plan(replay, total, left_out)
    if large:
        _prepare_later(replay, chosen)
    record(
        actor=actor,
        action="replay.started",
        target=f"replay {replay.pk}",
        after=_shown(replay) | {"left_out": left_out},
        reason=replay.reason,
    )
    return Replay.objects.get(pk=replay.pk)


def _is_large(chosen: Selection) -> bool:
    """Looks at no more letters than it takes to know."""
    return len(chosen.queryset().order_by().values_list("pk")[: AT_ONCE + 1]) > AT_ONCE


def _prepare_later(replay: Replay, chosen: Selection) -> None:
    """The control queue takes its letters in. Those that die from now on are not meant."""
    newest = chosen.up_to or newest_selected(chosen)
    replay.selection = replay.selection | {"up_to": newest}
    replay.state = ReplayState.PREPARING
    replay.save(update_fields=["selection", "state"])


def _refuse_twice(token: str) -> None:
    earlier = Replay.objects.filter(token=token[:64]).first() if token else None
    if earlier is not None:
        raise Conflict(began(earlier, earlier.total, earlier.total), detail={"replay": earlier.pk})


def _refuse_overlap(
    chosen: Selection,
    total: int,
    left_out: Mapping[str, int],
    known: Collection[int] | None,
    unreached: Collection[int] = (),
) -> None:
    """Raise :class:`Conflict` when nothing is left, or when a replay nobody was told of has taken letters, or one of
    ``unreached`` has yet to: were it cancelled, this one would take in what it was said to leave out.
    """
    taken = {int(why.removeprefix(TAKEN)): count for why, count in left_out.items() if why.startswith(TAKEN)}
    told = taken if known is None else known
    news = {pk: count for pk, count in taken.items() if pk not in told or pk in unreached}
    if total and not news:
        return
    who = news or taken
    if not who:
        raise Conflict(_nothing_to_replay(chosen, left_out), detail={"left_out": dict(left_out)})
    most = max(who, key=lambda pk: who[pk])
    text = began(Replay.objects.get(pk=most), who[most], total + sum(left_out.values()))
    if not total and len(left_out) > 1:
        text = f"{text} {_nothing_to_replay(chosen, left_out)}"
    if total:
        text += " " + ngettext(
            "{n} is left: look at that replay, then open this again.",
            "{n} are left: look at that replay, then open this again.",
            total,
        ).format(n=total)
    raise Conflict(text, detail={"replay": most, "left_out": dict(left_out)})


def began(replay: Replay, letters: int, of: int) -> str:
    """Who was first: ``Replay 12 by ana began 3 s ago with these 1,000 letters.``"""
    facts = {
        "replay": replay.pk,
        "who": replay.created_by,
        "ago": span((now() - replay.created_at).total_seconds()),
        "n": f"{letters:,}",
        "of": f"{of:,}",
    }
    if letters == of:
        return ngettext(
            "Replay {replay} by {who} began {ago} ago with this letter.",
            "Replay {replay} by {who} began {ago} ago with these {n} letters.",
            letters,
        ).format(**facts)
    return _("Replay {replay} by {who} began {ago} ago with {n} of these {of} letters.").format(**facts)


def pause(*, replay_id: int, actor: Actor, reason: str = "") -> Replay:
    """Put nothing more back for now. What was put back already goes on."""
    return _move(replay_id, actor, "replay.paused", reason, RUNNING_STATES, _pause)


def resume(*, replay_id: int, actor: Actor, reason: str = "", stop_above_percent: float | None = None) -> Replay:
    """Go on. A replay that stopped by itself needs a ``stop_above_percent`` above what failed so far."""
    if stop_above_percent is not None:
        _check_numbers(0, None, stop_above_percent)

    def go_on(replay: Replay) -> None:
        _resume(replay, stop_above_percent)

    return _move(replay_id, actor, "replay.resumed", reason, (ReplayState.PAUSED, ReplayState.STOPPED), go_on)


def change_pace(
    *, replay_id: int, actor: Actor, per_second: float | None, stop_above_percent: float | None = None, reason: str = ""
) -> Replay:
    """Another rate (None: as fast as the service takes them) from the next step on, and another limit of failures."""
    _check_numbers(0, per_second, 0 if stop_above_percent is None else stop_above_percent)

    def change(replay: Replay) -> None:
        replay.per_second = per_second
        # The bucket begins anew: what was saved up at the old rate must not burst out.
        replay.tokens, replay.advanced_at = 0.0, Now() if per_second is not None else None
        if stop_above_percent is not None:
            replay.stop_above_percent = stop_above_percent

    unfinished = (ReplayState.PREPARING, *RUNNING_STATES, ReplayState.PAUSED, ReplayState.STOPPED)
    return _move(replay_id, actor, "replay.pace_changed", reason, unfinished, change)


def take_out(*, replay_id: int, actor: Actor, ids: Collection[int], reason: str = "") -> int:
    """Take letters that still wait out of a replay; they stay dead letters, open as they were. Returns how many."""
    taken: list[int] = []

    def change(replay: Replay) -> None:
        waiting = replay.items.filter(state=ReplayItem.State.WAITING, dead_letter_id__in=ids)
        taken.append(waiting.update(state=ReplayItem.State.SKIPPED, note=TAKEN_OUT, settled_at=Now()))
        if not taken[0]:
            raise Conflict(_("None of these letters still waits in replay {id}.").format(id=replay_id))
        count_items(replay)

    unfinished = (*RUNNING_STATES, ReplayState.PAUSED, ReplayState.STOPPED)
    _move(replay_id, actor, "replay.letters_taken_out", reason, unfinished, change)
    return taken[0]


def cancel(*, replay_id: int, actor: Actor, reason: str = "") -> Replay:
    """Give the waiting letters back, open as they were. What was put back already goes on and is counted."""
    unfinished = (ReplayState.PREPARING, *RUNNING_STATES, ReplayState.PAUSED, ReplayState.STOPPED)
    return _move(replay_id, actor, "replay.cancelled", reason, unfinished, _cancel)


def _check_numbers(canary: Any, per_second: Any, stop_above_percent: Any) -> None:
    problems = []
    if isinstance(canary, bool) or not isinstance(canary, int) or not 0 <= canary <= 10_000:
        problems.append({"field": "canary", "message": _("must be a whole number from 0 to 10000")})
    if per_second is not None and not _within(per_second, 0.01, MAX_PER_SECOND):
        problems.append(
            {"field": "per_second", "message": _("must be a number from 0.01 to {most}").format(most=MAX_PER_SECOND)}
        )
    if not _within(stop_above_percent, 0, 100):
        problems.append({"field": "stop_above_percent", "message": _("must be a number from 0 to 100")})
    if problems:
        raise Invalid.fields(problems)


def _within(value: Any, least: float, most: float) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and isfinite(value) and least <= value <= most


def _keep_plan(replay: Replay, total: int, left_out: Mapping[str, int]) -> None:
    replay.total = total
    replay.left_out = dict(left_out)
    replay.selection = replay.selection | {"services": services_of(replay)}
    if left_out:
        replay.note = note_of(left_out)
    replay.save(update_fields=["total", "selection", "left_out", "note"])


def _nothing_to_replay(selection: Selection, left_out: Mapping[str, int]) -> str:
    if not left_out:
        text = _("No open dead letter matches {selection}, so there is nothing to replay.")
        return text.format(selection=selection)
    why = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return _("None of the dead letters can be replayed: {why}.").format(why=why)


def _word(state: str) -> str:
    """A state inside a sentence."""
    words = {
        ReplayState.PREPARING: _("preparing"),
        ReplayState.CANARY: _("trying the first few"),
        ReplayState.RUNNING: _("running"),
        ReplayState.PAUSED: _("paused"),
        ReplayState.STOPPED: _("stopped"),
        ReplayState.DONE: _("done"),
        ReplayState.CANCELLED: _("cancelled"),
    }
    return words[ReplayState(state)]


def _one_of(states: tuple[ReplayState, ...]) -> str:
    *others, last = (_word(state) for state in states)
    return _("{others} or {last}").format(others=", ".join(others), last=last) if others else last


def _move(
    replay_id: int, actor: Actor, action: str, reason: str, legal: tuple[ReplayState, ...], change: Any
) -> Replay:
    require(actor, REPLAYS_RUN)
    with transaction.atomic():
        replay = Replay.objects.select_for_update().filter(pk=replay_id).first()
        if replay is None:
            raise NotFound(_("There is no replay {id}.").format(id=replay_id))
        if replay.state not in legal:
            raise Conflict(
                _("Replay {id} is {state}; this needs one that is {legal}.").format(
                    id=replay_id, state=_word(replay.state), legal=_one_of(legal)
                ),
                detail={"state": replay.state},
            )
        before = _shown(replay)
        change(replay)
        replay.save()
        record(
            actor=actor,
            action=action,
            target=f"replay {replay_id}",
            before=before,
            after=_shown(replay),
            reason=reason,
        )
    log.info(action, replay_id=replay_id, actor=str(actor))
    return Replay.objects.get(pk=replay_id)


def _pause(replay: Replay) -> None:
    replay.resume_state, replay.state = replay.state, ReplayState.PAUSED


def _resume(replay: Replay, stop_above_percent: float | None) -> None:
    if stop_above_percent is not None:
        replay.stop_above_percent = stop_above_percent
    if replay.state == ReplayState.STOPPED:
        count_items(replay)
        failed = failed_percent(replay)
        if failed > replay.stop_above_percent:
            raise Conflict(
                _(
                    "{failed} % of replay {id} failed again, more than its limit of {limit} %. Correct the cause and "
                    "resume with a higher stop_above_percent, or cancel it."
                ).format(failed=f"{failed:.0f}", id=replay.pk, limit=f"{replay.stop_above_percent:g}"),
                detail={"failed_percent": failed},
            )
    # What stopped in its canary goes on with everything: the person who resumes it has seen the failure.
    replay.state = replay.resume_state or ReplayState.RUNNING
    replay.resume_state = ""
    replay.advanced_at = None


def _cancel(replay: Replay) -> None:
    if replay.state == ReplayState.PREPARING:
        replay.total = replay.prepared
    replay.items.filter(state=ReplayItem.State.WAITING).update(
        state=ReplayItem.State.SKIPPED, note="the replay was cancelled", settled_at=Now()
    )
    count_items(replay)
    replay.state = ReplayState.CANCELLED
    replay.finished_at = Now()


def _shown(replay: Replay) -> dict[str, Any]:
    names = ("state", "selection", "total", "sent", "failed", "skipped", "canary", "per_second", "stop_above_percent")
    return {name: getattr(replay, name) for name in names}

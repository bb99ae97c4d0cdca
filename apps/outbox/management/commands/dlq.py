"""``manage.py dlq list|causes|assign|note|snooze|discard|undo|replay|replays|status|pause|resume|cancel|pace``."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from apps.core.cli import PortalCommand, add_json_option
from apps.core.clock import now
from apps.core.errors import Conflict, Invalid
from apps.outbox.deadletters import services as triage
from apps.outbox.deadletters.selection import Selection
from apps.outbox.deadletters.selectors import LetterFilters, causes, count_selected, list_dead_letters
from apps.outbox.management.shapes import of_cause, of_letter, of_plan, of_replay, of_triage
from apps.outbox.models import DeadLetterState, DeathReason, Replay, ReplayState, Triage
from apps.outbox.replays import services as replays
from apps.outbox.replays.planning import Plan, plan_replay
from apps.outbox.replays.progress import ENDED_STATES
from apps.outbox.replays.selectors import get_replay, list_replays, progress

LOOK_EVERY_S: Final = 1.0
MOVES: Final = {"pause": replays.pause, "resume": replays.resume, "cancel": replays.cancel}


class Command(PortalCommand):
    help = "Look at dead letters, replay them, discard them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        shown = verbs.add_parser("list", help="dead letters, newest first")
        add_filters(shown)
        shown.add_argument("--state", default="open", choices=[*DeadLetterState.values, "all"])
        causes_of = verbs.add_parser("causes", help="open dead letters by cause")
        causes_of.add_argument("--service", default="")
        replay = verbs.add_parser("replay", help="put dead letters back")
        add_selection(replay)
        replay.add_argument("--reason", default="", help="why, for the audit trail")
        replay.add_argument("--canary", type=int, default=0, help="so many first; the rest only if all were sent")
        replay.add_argument("--per-second", type=float, help="put back at most so many per second")
        replay.add_argument("--stop-above", type=float, default=20, metavar="PERCENT", help="stop if more fail again")
        replay.add_argument("--dry-run", action="store_true", help="say what it would do, and do nothing")
        replay.add_argument(
            "--wait", action="store_true", help="stay until it ends; exit status 1 if not all were sent"
        )
        discarded = verbs.add_parser("discard", help="close dead letters without sending them")
        add_selection(discarded)
        discarded.add_argument("--reason", required=True, help="why, for the audit trail")
        discarded.add_argument("--yes", action="store_true", help="needed for more than one")
        assigned = verbs.add_parser("assign", help="say who looks after dead letters")
        assigned.add_argument("--to", required=True, metavar="WHO", help="an e-mail address or a team; '' for nobody")
        noted = verbs.add_parser("note", help="write a note on dead letters; older ones stay in their history")
        noted.add_argument("--text", required=True)
        snoozed = verbs.add_parser("snooze", help="put dead letters out of sight for a while")
        when = snoozed.add_mutually_exclusive_group(required=True)
        when.add_argument("--until", help="a time such as 2026-01-31T09:00:00Z")
        when.add_argument("--hours", type=float)
        when.add_argument("--wake", action="store_true", help="bring them back now")
        for verb in (assigned, noted, snoozed):
            add_selection(verb)
            verb.add_argument("--yes", action="store_true", help="needed for more than one")
        undone = verbs.add_parser("undo", help="give back what letters had before an assignment or a snooze")
        undone.add_argument("triage", type=int, help="its number, as the verb said")
        paced = verbs.add_parser("pace", help="another rate for a replay that has not ended")
        paced.add_argument("--per-second", type=float, help="left out: as fast as the service allows")
        paced.add_argument("--stop-above", type=float, metavar="PERCENT")
        every = verbs.add_parser("replays", help="replays, newest first")
        status = verbs.add_parser("status", help="how far a replay is")
        moves = [verbs.add_parser(name, help=f"{name} a replay") for name in MOVES]
        moves[1].add_argument("--stop-above", type=float, metavar="PERCENT", help="needed when it stopped by itself")
        for verb in (status, paced, *moves):
            verb.add_argument("replay", type=int, help="number of the replay")
        for verb in (paced, *moves):
            verb.add_argument("--reason", default="")
        for verb in (shown, causes_of, every):
            verb.add_argument("--limit", type=int, default=50)
        for verb in (shown, every):
            verb.add_argument("--cursor", type=int, help="continue behind this one")
        touching = (assigned, noted, snoozed, undone, discarded)
        for verb in (shown, causes_of, replay, *touching, every, status, paced, *moves):
            add_json_option(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"]
        if verb in MOVES:
            self._move(verb, options)
        else:
            getattr(self, f"_{verb}")(options)

    def _list(self, options: dict[str, Any]) -> None:
        filters = LetterFilters(
            state="" if options["state"] == "all" else options["state"],
            service=options["service"],
            cause=options["cause"],
            tenant_id=options["tenant_id"],
            reason=options["because"],
            status_code=options["status_code"],
        )
        page = list_dead_letters(filters, cursor=options["cursor"], limit=options["limit"])
        if options["json"]:
            letters = [of_letter(letter) for letter in page.items]
            self.say_json({"dead_letters": letters, "next_cursor": page.next_cursor})
            return
        rows = [
            (row.pk, row.message_id, row.service, row.reason, row.status_code, f"{row.died_at:%F %T}", row.error[:80])
            for row in page.items
        ]
        self.say_table(("id", "message", "service", "reason", "status", "died (UTC)", "error"), rows)
        if page.next_cursor:
            self.say(f"More: --cursor {page.next_cursor}")

    def _causes(self, options: dict[str, Any]) -> None:
        found = causes(service=options["service"], limit=max(1, options["limit"]))
        if options["json"]:
            self.say_json([of_cause(cause) for cause in found])
            return
        rows = [
            (c.fingerprint, c.letters, c.service, c.status_code, f"{c.last_seen:%F %T}", c.message[:80]) for c in found
        ]
        self.say_table(("cause", "letters", "service", "status", "last (UTC)", "message"), rows)

    def _replay(self, options: dict[str, Any]) -> None:
        selection = selection_of(options)
        if options["dry_run"]:
            self._say_plan(plan_replay(selection, per_second=options["per_second"]), options["json"])
            return
        replay = replays.create_replay(
            selection=selection,
            actor=self.actor(),
            reason=options["reason"],
            canary=options["canary"],
            per_second=options["per_second"],
            stop_above_percent=options["stop_above"],
        )
        if options["wait"]:
            replay = self._wait_for(replay)
        self._say_replay(replay, options["json"])
        if options["wait"] and (replay.state != ReplayState.DONE or replay.sent < replay.total):
            raise CommandError(f"Replay {replay.pk} is {replay.state}: {replay.sent} of {replay.total} were sent.")

    def _wait_for(self, replay: Replay) -> Replay:
        """Until it ends or somebody has to decide. The control worker moves it, not this command."""
        while replay.state not in (*ENDED_STATES, ReplayState.STOPPED, ReplayState.PAUSED):
            time.sleep(LOOK_EVERY_S)
            replay = get_replay(replay.pk)
        return replay

    def _say_plan(self, plan: Plan, as_json: bool) -> None:
        if as_json:
            self.say_json(of_plan(plan))
            return
        self.say(f"{plan.eligible} of {plan.total} dead letters would be replayed.")
        for reason, letters in plan.ineligible.items():
            self.say(f"  left out: {letters} {reason}")
        for service, letters in plan.services.items():
            self.say(f"  {service}: {letters}, breaker {plan.breakers.get(service, 'unknown')}")
        if plan.ambiguous:
            self.say(f"  {plan.ambiguous} may have arrived already: their last attempt ended unclear")
        for text in plan.waits_for:
            self.say(f"  it would wait: {text}")
        if plan.estimated_seconds is not None:
            self.say(f"  it would take about {max(1, round(plan.estimated_seconds))} s")

    def _say_replay(self, replay: Replay, as_json: bool) -> None:
        far = progress(replay)
        if as_json:
            self.say_json(of_replay(replay) | {"waits_for": far.waits_for, "seconds_left": far.seconds_left})
            return
        self.say(f"Replay {replay.pk} is {replay.state}: {far.done_percent:.0f} % of {replay.total} ended.")
        self.say(
            f"  sent {replay.sent}, failed again {replay.failed}, left out {replay.skipped}, "
            f"on their way {replay.released}, waiting {far.waiting}"
        )
        for text in (replay.note, *(f"waits: {text}" for text in far.waits_for)):
            if text:
                self.say(f"  {text}")

    def _status(self, options: dict[str, Any]) -> None:
        self._say_replay(get_replay(options["replay"]), options["json"])

    def _replays(self, options: dict[str, Any]) -> None:
        page = list_replays(cursor=options["cursor"], limit=options["limit"])
        if options["json"]:
            self.say_json({"replays": [of_replay(row) for row in page.items], "next_cursor": page.next_cursor})
            return
        rows = [(r.pk, r.state, r.total, r.sent, r.failed, r.skipped, r.created_by, r.reason[:60]) for r in page.items]
        self.say_table(("replay", "state", "total", "sent", "failed", "left out", "by", "reason"), rows)

    def _move(self, verb: str, options: dict[str, Any]) -> None:
        more = {"stop_above_percent": options["stop_above"]} if options.get("stop_above") is not None else {}
        moved = MOVES[verb](replay_id=options["replay"], actor=self.actor(), reason=options["reason"], **more)
        self._say_replay(moved, options["json"])

    def _pace(self, options: dict[str, Any]) -> None:
        moved = replays.change_pace(
            replay_id=options["replay"],
            actor=self.actor(),
            per_second=options["per_second"],
            stop_above_percent=options["stop_above"],
            reason=options["reason"],
        )
        self._say_replay(moved, options["json"])

    def _assign(self, options: dict[str, Any]) -> None:
        self._triage("assign", options, assignee=options["to"])

    def _note(self, options: dict[str, Any]) -> None:
        self._triage("note", options, text=options["text"])

    def _snooze(self, options: dict[str, Any]) -> None:
        self._triage("snooze", options, until=until_of(options))

    def _triage(self, verb: str, options: dict[str, Any], **fields: Any) -> None:
        selection = selection_of(options)
        letters = count_selected(selection)
        if letters > 1 and not options["yes"]:
            raise Conflict(f"This is about {letters} dead letters ({selection}). If that is meant, add --yes.")
        self._say_triage(triage.begin(verb=verb, actor=self.actor(), selection=selection, **fields), options["json"])

    def _undo(self, options: dict[str, Any]) -> None:
        self._say_triage(triage.undo(triage_id=options["triage"], actor=self.actor()), options["json"])

    def _say_triage(self, made: Triage, as_json: bool) -> None:
        if as_json:
            self.say_json(of_triage(made))
        else:
            self.say(f"{made.get_verb_display()}: {made.done} dead letter{'' if made.done == 1 else 's'}.")
            if made.verb in triage.UNDOABLE:
                self.say(f"  to undo it: manage.py dlq undo {made.pk}")

    def _discard(self, options: dict[str, Any]) -> None:
        selection = selection_of(options)
        letters = count_selected(selection)
        if letters > 1 and not options["yes"]:
            raise Conflict(f"This would discard {letters} dead letters ({selection}). If that is meant, add --yes.")
        chosen = selection.as_dict()
        done = triage.discard(filters=chosen, actor=self.actor(), reason=options["reason"])
        if options["json"]:
            self.say_json({"discarded": done, "selection": chosen})
        else:
            self.say(f"Discarded {done} dead letter{'' if done == 1 else 's'}. Their messages are kept and not sent.")


def until_of(options: dict[str, Any]) -> datetime | None:
    """When a snooze ends; None wakes."""
    if options["wake"]:
        return None
    if options["hours"] is not None:
        return now() + timedelta(hours=options["hours"])
    until = parse_datetime(options["until"])
    if until is None or until.tzinfo is None:
        raise Invalid("--until must be a time with its zone, such as 2026-01-31T09:00:00Z.")
    return until


def add_filters(parser: CommandParser) -> None:
    parser.add_argument("--cause", default="", help="fingerprint, as `dlq causes` shows it")
    parser.add_argument("--service", default="")
    parser.add_argument("--tenant-id", default="")
    parser.add_argument("--because", default="", choices=["", *DeathReason.values], help="why it died")
    parser.add_argument("--status-code", type=int)


def add_selection(parser: CommandParser) -> None:
    parser.add_argument("ids", type=int, nargs="*", metavar="ID", help="dead letters by number")
    add_filters(parser)
    parser.add_argument("--died-after", help="a time such as 2026-01-31T09:00:00Z")
    parser.add_argument("--died-before")
    parser.add_argument("--all", action="store_true", help="all open dead letters")


def selection_of(options: dict[str, Any]) -> Selection:
    """The selection on the command line; raises :class:`Invalid` when there is none or two."""
    names = ("ids", "cause", "service", "tenant_id", "status_code", "died_after", "died_before")
    given = {name: options[name] for name in names} | {"reason": options["because"]}
    try:
        return Selection.parse(given | ({"everything": True} if options["all"] else {}))
    except Invalid as error:
        if error.detail[0]["field"] != "selection":
            raise
        raise Invalid("Say which dead letters: their ids, --cause, --service or another filter, or --all.") from None

"""``manage.py breaker show|history|force|auto|reset|test``: the breakers from a shell."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from apps.accounts.durations import parse_duration
from apps.breakers import services
from apps.breakers.selectors import BreakerSnapshot, HistoryEntry, history, snapshot, snapshot_all
from apps.core.cli import PortalCommand, add_json_option
from apps.core.human import span

STATES = {"open": "force_open", "closed": "force_closed", "metrics-only": "metrics_only"}
COLUMNS = ("service", "state", "calls", "failed", "rate", "opens at", "next test", "agree", "override")


class Command(PortalCommand):
    help = "Show the circuit breakers; force one open or closed for a while; end that; reset; test now."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="show|history|force|auto|reset|test")
        show = verbs.add_parser("show", help="state, window and override of all breakers, or of one")
        show.add_argument("service", nargs="?")
        add_json_option(show)
        told = verbs.add_parser("history", help="what happened to a breaker, newest first")
        told.add_argument("service")
        told.add_argument("--limit", type=int, default=20)
        add_json_option(told)
        force = verbs.add_parser("force", help="override a breaker; it ends by itself")
        force.add_argument("service")
        force.add_argument("state", choices=sorted(STATES))
        force.add_argument("--reason", required=True, help="shown to everybody who meets the override")
        force.add_argument("--for", dest="duration", required=True, help="30m, 12h, 2d; at most 7d")
        self._common(force)
        for verb, words in (
            ("auto", "end the override: a forced open ends in a probe"),
            ("reset", "close it, with nothing counted"),
            ("test", "let the next call be the probe, without waiting"),
        ):
            other = verbs.add_parser(verb, help=words)
            other.add_argument("service")
            other.add_argument("--reason", default="")
            self._common(other)

    @staticmethod
    def _common(parser: CommandParser) -> None:
        parser.add_argument("--seen-epoch", type=int, help="change nothing if it is in another epoch by now")
        add_json_option(parser)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if verb == "show":
            name = options["service"]
            self._show([snapshot(name)] if name else snapshot_all(), options["json"])
        elif verb == "history":
            snapshot(options["service"])  # says so when there is no such service
            self._history(history(options["service"], options["limit"]), options["json"])
        else:
            self._show([self._change(verb, options)], options["json"])

    def _change(self, verb: str, options: dict[str, Any]) -> BreakerSnapshot:
        action, seconds = {"auto": "auto", "reset": "reset", "test": "test_now"}.get(verb, ""), None
        if verb == "force":
            action = STATES[options["state"]]
            seconds = parse_duration(options["duration"], field="--for").total_seconds()
        return services.act(
            service=options["service"],
            action=action,
            actor=self.actor(),
            reason=options["reason"],
            expires_in=seconds,
            seen_epoch=options["seen_epoch"],
        )

    def _show(self, found: list[BreakerSnapshot], as_json: bool) -> None:
        if as_json:
            self.say_json([_as_json(item) for item in found])
        elif not found:
            self.say("There is no service yet. Describe one in config/services.yaml and run manage.py sync_services.")
        else:
            self.say_table(COLUMNS, [_row(item) for item in found])

    def _history(self, entries: list[HistoryEntry], as_json: bool) -> None:
        if as_json:
            self.say_json([asdict(entry) for entry in entries])
        elif not entries:
            self.say("Nothing has happened to this breaker yet.")
        else:
            rows = [(f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.kind, entry.actor, entry.text) for entry in entries]
            self.say_table(("when (UTC)", "what", "who", "why"), rows)


def _row(item: BreakerSnapshot) -> tuple[Any, ...]:
    sign = item.policy.comparison
    return (
        item.service,
        item.state,
        f"{item.completed} of {item.policy.volume_threshold}",
        item.counts.failures,
        "-" if item.rate is None else f"{item.rate:.0f} %",
        f"{sign} {item.policy.error_threshold_percentage:g} %",
        "" if item.retry_in is None else span(item.retry_in),
        f"{item.agree} of {item.workers}",
        f"{item.override_by} until {item.override_until:%H:%M:%S}: {item.override_reason}" if item.override else "",
    )


def _as_json(item: BreakerSnapshot) -> dict[str, Any]:
    return {
        **asdict(item),
        "policy": item.policy.model_dump(),
        "rate": item.rate,
        "slow_rate": item.slow_rate,
        "failing_workers": item.failing_workers,
    }

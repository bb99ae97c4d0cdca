"""``manage.py sandbox``: run it, look at it, start and end outages."""

from __future__ import annotations

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from apps.core.cli import PortalCommand, add_json_option
from apps.sandbox import running, services_file
from apps.sandbox.client import SandboxClient
from apps.sandbox.outages import Mode
from apps.sandbox.page import minutes


class Command(PortalCommand):
    help = "Providers on this machine with outages of their own: see docs/howto/sandbox.md."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        _add_run(actions.add_parser("run", help="run the sandbox until Ctrl-C"))
        shared = [actions.add_parser("status", help="what each provider received, and its outage")]
        start = actions.add_parser("start", help="start an outage: start midtrans errors --seconds 30")
        start.add_argument("provider")
        start.add_argument("mode", help=", ".join(Mode))
        start.add_argument("--share", type=float, help="share of the requests hit, 0 to 1 (default 1)")
        start.add_argument("--seconds", type=float, help="how long it lasts (default: until it is ended)")
        start.add_argument(
            "--delay", type=float, help="seconds: delay of slow, wait of hang, Retry-After of rate_limit"
        )
        start.add_argument("--status", type=int, help="the status errors or reject answer with")
        end = actions.add_parser("end", help="end the outages of a provider, or one of them")
        end.add_argument("provider")
        end.add_argument("mode", nargs="?", help="default: all of them")
        script = actions.add_parser("script", help="turn the script of outages on or off")
        script.add_argument("switch", choices=("on", "off"))
        for action in (*shared, start, end, script):
            action.add_argument("--port", type=int, default=settings.SANDBOX_PORT, help="default: SANDBOX_PORT")
            add_json_option(action)
        services = actions.add_parser("services", help="print the services file for this sandbox's ports")
        services.add_argument("--port", type=int, default=settings.SANDBOX_PORT, help="default: SANDBOX_PORT")

    def handle(self, *_: Any, action: str, port: int, **options: Any) -> None:
        match action:
            case "run":
                self._run(port, options)
            case "services":
                self.say(services_file.text_for(port).rstrip("\n"))
            case _:
                self._show(self._ask(SandboxClient(port), action, options), as_json=options["json"])

    def _run(self, port: int, options: dict[str, Any]) -> None:
        asyncio.run(
            running.run(
                running.Options(
                    base_port=port,
                    portal_url=options["portal"] or running.portal_url(),
                    rate=options["rate"],
                    script=options["script"],
                    seed=options["seed"],
                )
            )
        )

    def _ask(self, sandbox: SandboxClient, action: str, options: dict[str, Any]) -> dict[str, Any]:
        match action:
            case "start":
                wanted = {name: options[name] for name in ("share", "seconds", "delay", "status")}
                return sandbox.start(options["provider"], options["mode"], **wanted)
            case "end":
                return sandbox.end(options["provider"], options["mode"])
            case "script":
                return sandbox.script(options["switch"] == "on")
            case _:
                return sandbox.status()

    def _show(self, status: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.say_json(status)
            return
        header = ("PROVIDER", "ADDRESS", "RECEIVED", "ACCEPTED", "NOT ACCEPTED", "DUPLICATES", "OUTAGE")
        names = ("name", "address", "received", "accepted", "failed", "duplicates")
        self.say_table(
            header, [[*(one[name] for name in names), _outages(one["outages"])] for one in status["providers"]]
        )
        self.say(f"\nScript: {_script(status['script'])}")
        self.say(f"Producer: {_producer(status['producer'])}")
        self.say(f"Page: {status['page']}")


def _add_run(parser: CommandParser) -> None:
    parser.add_argument("--port", type=int, default=settings.SANDBOX_PORT, help="first of seven ports in a row")
    parser.add_argument("--rate", type=float, default=settings.SANDBOX_RATE, help="messages per second; 0 posts none")
    parser.add_argument("--portal", default="", metavar="URL", help="default: the portal of this machine")
    parser.add_argument("--seed", type=int, default=0, help="of the chance in outages with a share")
    parser.add_argument(
        "--no-script", dest="script", action="store_false", default=settings.SANDBOX_SCRIPT, help="no outages by itself"
    )


def _outages(outages: list[dict[str, Any]]) -> str:
    return ", ".join(_outage(one) for one in outages) or "none"


def _outage(one: dict[str, Any]) -> str:
    share = "" if one["share"] == 1 else f" {one['share'] * 100:g} %"
    left = one["remaining_seconds"]
    return f"{one['mode']}{share} ({'until ended' if left is None else minutes(left) + ' left'}, by {one['by']})"


def _script(script: dict[str, Any]) -> str:
    coming = script["next"]
    if coming is not None:
        return f"next in {minutes(coming['in_seconds'])}: {coming['provider']} {coming['mode']}"
    return "waits for the first message" if script["on"] else "stopped"


def _producer(producer: dict[str, Any] | None) -> str:
    if producer is None:
        return "off"
    text = f"{producer['state']}; {producer['accepted']} accepted, {producer['waiting']} waiting"
    return f"{text}. {producer['problem']}" if producer["problem"] else text

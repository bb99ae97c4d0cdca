"""What the page says: the state of the sandbox in words, icons and figures."""

from __future__ import annotations

from datetime import datetime
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from apps.sandbox.ledger import RECENT, Outcome, Received
from apps.sandbox.outages import DEFAULT_DELAY_S, Mode, Outage
from apps.sandbox.script import Player, Step
from apps.sandbox.signatures import NOT_CHECKED, VERIFIED
from apps.sandbox.stations import Station

if TYPE_CHECKING:
    from apps.sandbox.server import SandboxServer

ROWS: Final = 25
TITLES: Final = {
    Mode.ERRORS: "Errors",
    Mode.SLOW: "Slow",
    Mode.HANG: "Hang",
    Mode.REFUSE: "Refuse",
    Mode.RATE_LIMIT: "Rate limit",
    Mode.REJECT: "Reject",
    Mode.GONE: "Gone",
}
_HTTP_EFFECTS: Final = {
    Mode.ERRORS: "answers 500 and 503",
    Mode.SLOW: "answers after {delay} s",
    Mode.HANG: "takes the request and never answers",
    Mode.REFUSE: "has closed its socket: connection refused",
    Mode.RATE_LIMIT: "answers 429 with Retry-After: {delay}",
    Mode.REJECT: "refuses for good with {reject}: dead letters",
    Mode.GONE: "answers 410: the portal pauses the service until a person resumes it",
}
_SMTP_EFFECTS: Final = {
    **_HTTP_EFFECTS,
    Mode.ERRORS: "answers 450 and 421",
    Mode.HANG: "takes the mail and never answers",
    Mode.RATE_LIMIT: "answers 450: too many messages",
}
_REJECTS: Final = {
    "midtrans": "400",
    "whatsapp": "400, error 131026",
    "billing-webhook": "422",
    "smtp": "550",
    "slack": "channel_not_found",
    "pagerduty": "400",
}
# State, icon; the words are the outcome's own.
_LOOKS: Final = {
    Outcome.ACCEPTED: ("good", "check-circle"),
    Outcome.DUPLICATE: ("unknown", "document-duplicate"),
    Outcome.FAILED: ("bad", "x-circle"),
    Outcome.HUNG: ("bad", "clock"),
    Outcome.RATE_LIMITED: ("warning", "exclamation-triangle"),
    Outcome.REJECTED: ("bad", "no-symbol"),
    Outcome.GONE: ("bad", "no-symbol"),
}
DURATIONS: Final = (("15", "15 s"), ("30", "30 s"), ("60", "1 min"), ("300", "5 min"), ("", "until ended"))
SHARES: Final = (("1", "every request"), ("0.5", "half of them"), ("0.1", "every tenth"))


def context(sandbox: SandboxServer, *, only: str = "") -> dict[str, Any]:
    """``only`` names the provider whose requests are listed; empty or unknown: all."""
    now, clock = sandbox.now(), sandbox.clock()
    only = only if only in sandbox.stations else ""
    cards = [_card(station, clock) for station in sandbox.stations.values()]
    return {
        "cards": cards,
        "script": _script(sandbox, clock),
        "producer": sandbox.producer.status() if sandbox.producer else None,
        "portal_url": sandbox.portal_url,
        "rows": [_row(one, now) for one in _latest(sandbox, only)],
        "only": only,
        "durations": DURATIONS,
        "shares": SHARES,
        "at": now,
        "headline": _headline(cards),
    }


def _headline(cards: list[dict[str, Any]]) -> str:
    hit = [card["name"] for card in cards if card["outages"]]
    if not hit:
        return "Every provider answers normally."
    return f"{' and '.join(hit) if len(hit) < 3 else ', '.join(hit)} {'has' if len(hit) == 1 else 'have'} an outage."


def _card(station: Station, clock: float) -> dict[str, Any]:
    on = station.outages.on(clock)
    figures = station.ledger.summary()
    problems = [(outcome, station.ledger.outcomes[outcome]) for outcome in Outcome if not outcome.is_success]
    return {
        **figures,
        "name": station.name,
        "title": station.title,
        "address": station.address,
        "endpoint": station.endpoint,
        "outages": [_sentence(station, outage, clock) for outage in on],
        "modes": [_button(station, mode) for mode in station.modes],
        "failures": [f"{count:,} {outcome.label}" for outcome, count in problems if count],
        "signatures": _signatures(station),
    }


def _button(station: Station, mode: Mode) -> dict[str, Any]:
    effect = _effect(station, mode, DEFAULT_DELAY_S.get(mode, 0))
    return {"value": mode.value, "title": TITLES[mode], "effect": f"{station.name} {effect}"}


def _effect(station: Station, mode: Mode, delay: float, status: int | None = None) -> str:
    if status is not None:
        return f"answers {status}"
    effects = _HTTP_EFFECTS if station.is_http else _SMTP_EFFECTS
    return effects[mode].format(delay=f"{delay:g}", reject=_REJECTS[station.name])


def _sentence(station: Station, outage: Outage, clock: float) -> dict[str, Any]:
    left = outage.remaining(clock)
    return {
        "mode": outage.mode.value,
        "title": TITLES[outage.mode],
        "effect": _effect(station, outage.mode, outage.delay, outage.status),
        "share": "" if outage.share == 1 else f"{outage.share * 100:g} % of the requests",
        "by": {"script": "by the script", "hand": "by hand"}.get(outage.by, "by a test"),
        "ends": "until somebody ends it" if left is None else f"ends in {minutes(left)}",
    }


def _signatures(station: Station) -> dict[str, Any] | None:
    counts = station.ledger.signatures
    if not counts:
        return None
    wrong = sum(count for verdict, count in counts.items() if verdict not in (VERIFIED, NOT_CHECKED))
    return {"verified": counts[VERIFIED], "wrong": wrong, "unchecked": counts[NOT_CHECKED]}


def _script(sandbox: SandboxServer, clock: float) -> dict[str, Any]:
    player: Player = sandbox.player
    coming = player.next(clock)
    return {
        "on": sandbox.script_wanted,
        "waits": sandbox.script_wanted and not player.is_on,
        "loop": minutes(player.loop),
        "next": coming.step if coming else None,
        "next_title": TITLES[coming.step.mode].lower() if coming else "",
        "next_in": minutes(coming.seconds) if coming else "",
        "steps": [_planned(step) for step in player.steps],
    }


def _planned(step: Step) -> dict[str, Any]:
    return {
        "at": minutes(step.at),
        "until": minutes(step.at + step.seconds),
        "provider": step.provider,
        "title": TITLES[step.mode],
        "shows": step.shows,
    }


def _latest(sandbox: SandboxServer, only: str) -> list[Received]:
    if only:
        return list(islice(reversed(sandbox.received(only).recent), RECENT))
    every = (one for station in sandbox.stations.values() for one in station.ledger.recent)
    return nlargest(ROWS, every, key=lambda one: one.at)


def _row(one: Received, now: datetime) -> dict[str, Any]:
    state, icon = _LOOKS[one.outcome]
    return {"one": one, "state": state, "icon": icon, "ago": ago((now - one.at).total_seconds())}


def minutes(seconds: float) -> str:
    """m:ss, rounded up, so that it shows 0:01 rather than 0:00 for the last second."""
    whole = int(-(-seconds // 1))
    return f"{whole // 60}:{whole % 60:02}"


def ago(seconds: float) -> str:
    if seconds < 1:
        return "now"
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 3600 else f"{seconds / 3600:.0f} h ago"

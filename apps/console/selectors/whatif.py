"""What other thresholds would have done to a service, beside what happened and what the present ones would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.breakers.past import RESOLUTION_S, Past, open_seconds, past
from apps.breakers.records import rule_of
from apps.breakers.whatif import Opening, longest
from apps.core import charts, human
from apps.services.models import Service
from apps.services.policies import BreakerPolicy

BAND_WIDTH: Final = 600
TICKS: Final = 4
# What can be replayed. Which calls timed out or were slow was decided when they were made: those stay as they are.
REPLAYABLE: Final = (
    "error_threshold_percentage",
    "volume_threshold",
    "reset_timeout",
    "rolling_count_timeout",
    "rolling_count_buckets",
    "half_open_permits",
    "success_threshold",
    "reset_multiplier",
    "max_reset_timeout",
    "slow_call_rate_percentage",
)


@dataclass(frozen=True, slots=True)
class OpeningView:
    """One opening, as a person reads it."""

    at: datetime
    until: datetime | None
    seconds: float
    failures: int
    completed: int
    failed_tests: int


@dataclass(frozen=True, slots=True)
class Variant:
    """Really, with the present settings, or with other ones: how often, how long, when."""

    label: str
    openings: list[OpeningView]
    longest: float
    seconds: float
    spans: list[charts.Span]

    @property
    def failed_tests(self) -> int:
        return sum(opening.failed_tests for opening in self.openings)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer. ``sentence`` is it in words; ``edits`` are what differs from the present settings."""

    days: int
    sentence: str
    variants: list[Variant]
    edits: Mapping[str, Any]
    known_from: datetime | None
    known_whole: bool
    shut_seconds: float
    calls: int
    ticks: list[datetime]
    short_window: bool
    apply_url: str

    @property
    def asked(self) -> Variant:
        return self.variants[-1]


def what_if(service: Service, policy: BreakerPolicy, *, days: int) -> WhatIf:
    """Replay the last ``days`` days of ``service`` under ``policy``."""
    found = past(service.name, days=days)
    present = service.breaker_policy
    edits = {name: getattr(policy, name) for name in REPLAYABLE if getattr(policy, name) != getattr(present, name)}
    now = _variant(_("with the present settings, replayed"), found, found.replayed(rule_of(present)))
    variants = [_variant(_("really"), found, found.openings), now]
    if edits:
        variants.append(_variant(_("with these settings, replayed"), found, found.replayed(rule_of(policy))))
    return WhatIf(
        days=days,
        sentence=_sentence(variants, days),
        variants=variants,
        edits=edits,
        known_from=_time(found.known_from) if found.known_from is not None else None,
        known_whole=found.known_from is not None and found.known_from - found.since < 3600,
        shut_seconds=found.shut_seconds,
        calls=sum(cell.counts.completed for cell in found.cells),
        ticks=[_time(found.since + (found.until - found.since) * step / TICKS) for step in range(TICKS + 1)],
        short_window=policy.rolling_count_timeout < RESOLUTION_S,
        apply_url=_apply_url(service.name, edits),
    )


def _variant(label: str, found: Past, openings: Sequence[Opening]) -> Variant:
    return Variant(
        label,
        [_view(opening, found.until) for opening in openings],
        longest(openings, found.until),
        open_seconds(openings, found.until),
        _band(openings, found),
    )


def _view(opening: Opening, end: float) -> OpeningView:
    counts = opening.counts
    return OpeningView(
        _time(opening.at),
        None if opening.until is None else _time(opening.until),
        opening.seconds(end),
        counts.failures,
        counts.completed,
        opening.failed_tests,
    )


def _band(openings: Sequence[Opening], found: Past) -> list[charts.Span]:
    changes = [(_time(found.since), "good")]
    for opening in openings:
        changes.append((_time(opening.at), "bad"))
        if opening.until is not None:
            changes.append((_time(opening.until), "good"))
    return charts.band(changes, start=_time(found.since), end=_time(found.until), width=BAND_WIDTH, gap=0)


def _sentence(variants: Sequence[Variant], days: int) -> str:
    """``It would have opened 3 times in 7 days (now: 2), longest 40 s.``"""
    asked, now = variants[-1], variants[1]
    count = len(asked.openings)
    span = ngettext("{count} day", "{count} days", days).format(count=days)
    if asked is now:
        pattern = ngettext(
            "The present settings would have opened it {count} time in {span}; really it was {really}.",
            "The present settings would have opened it {count} times in {span}; really it was {really}.",
            count,
        )
        return pattern.format(count=count, span=span, really=len(variants[0].openings))
    if not count:
        return _("It would not have opened in {span} (now: {now}).").format(span=span, now=len(now.openings))
    pattern = ngettext(
        "It would have opened {count} time in {span} (now: {now}), longest {longest}.",
        "It would have opened {count} times in {span} (now: {now}), longest {longest}.",
        count,
    )
    return pattern.format(count=count, span=span, now=len(now.openings), longest=human.span(asked.longest))


def _apply_url(name: str, edits: Mapping[str, Any]) -> str:
    query = {f"breaker.{key}": "" if value is None else f"{value:g}" for key, value in edits.items()}
    return f"{reverse('service-settings', args=[name])}?{urlencode(query)}"


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

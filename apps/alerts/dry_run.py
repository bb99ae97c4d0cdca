"""What a routing would have done with what was posted, and how another one differs. Pure.

Posts are replayed into spells (episodes as they would have come about), each spell through both routings. Nobody
acknowledges, snoozes or silences anything in it, so both are measured by the same stick.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from apps.alerts.episodes import NORMAL_FOR, Current, Decision, Seen, State, Verdict, decide
from apps.alerts.routing import Route, Routing, Step

# As storming.py tells: more of one route and step within this are one message, with an update now and then.
STORM: Final = 10
WITHIN: Final = timedelta(seconds=60)
UPDATE_EVERY: Final = timedelta(minutes=2)
NAMED: Final = 100


@dataclass(frozen=True, slots=True)
class Heard:
    """One alert of one stored post. ``facts`` are what routes match against."""

    source: str
    fingerprint: str
    name: str
    severity: str
    facts: Mapping[str, str]
    seen: Seen


@dataclass(slots=True)
class Spell:
    """One continuous firing. ``pauses`` are the times in which it was recovering; the last may be open."""

    heard: Heard
    began: datetime
    pauses: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    ended: datetime | None = None

    def told_at(self, due: datetime) -> datetime | None:
        """When a step that is due then is taken: held while it recovers, never when it is over."""
        for since, until in self.pauses:
            if due >= since and (until is None or due < until):
                if until is None:
                    return None
                due = until
        return None if self.ended is not None and due >= self.ended else due


@dataclass(frozen=True, slots=True)
class Reached:
    """Who a target leads to at a moment. ``problem`` is a word of coverage.py, empty when somebody is reached."""

    target: str
    service: str = ""
    recipient: str = ""
    person: str = ""
    problem: str = ""
    missing: str = ""

    @property
    def somebody(self) -> tuple[str, str]:
        """What tells one who is told from another."""
        return self.service, self.person or self.recipient


Reach = Callable[[Routing, str, Mapping[str, str], datetime], Reached]


@dataclass(frozen=True, slots=True)
class Page:
    """One telling of one spell; ``counted`` False when a storm tells it together with others."""

    at: datetime
    spell: int
    route: str
    step: int
    reached: Reached
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Planned:
    """A step as it stands for one alert: after so many seconds these are told."""

    after: int
    unless: str
    reached: tuple[Reached, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Alerts of one name that go another way with the draft. ``spells``: how often they fired."""

    name: str
    source: str
    severity: str
    spells: int
    route_before: str
    route_after: str
    plan_before: tuple[Planned, ...]
    plan_after: tuple[Planned, ...]
    pages_before: int
    pages_after: int


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who is told, and how often; ``night`` are those between 22 and 7 o'clock of the reader."""

    service: str
    who: str
    person: bool
    before: int
    after: int
    night_before: int
    night_after: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """``nobody_*`` are spells that would have reached nobody at all."""

    heard: int
    spells: int
    pages_before: int
    pages_after: int
    nobody_before: int
    nobody_after: int
    changes: list[Change]
    more_changes: int
    told: list[Told]


def compare(
    heard: Iterable[Heard],
    before: Routing,
    after: Routing,
    reach: Reach,
    until: datetime,
    *,
    is_night: Callable[[datetime], bool],
) -> Outcome:
    """Both routings over the same posts, as far as ``until``."""
    listed = list(heard)
    found = spells(listed, until)
    old, new = tell(found, before, reach, until), tell(found, after, reach, until)
    changes = _changes(found, (before, old), (after, new), reach)
    return Outcome(
        heard=len(listed),
        spells=len(found),
        pages_before=_count(old),
        pages_after=_count(new),
        nobody_before=_nobody(found, old),
        nobody_after=_nobody(found, new),
        changes=changes[:NAMED],
        more_changes=max(0, len(changes) - NAMED),
        told=_told(old, new, is_night),
    )


# --- from posts to spells --------------------------------------------------------------------------
@dataclass(slots=True)
class _Track:
    """One alert as the replay knows it."""

    current: Current
    spell: Spell | None


def spells(heard: Iterable[Heard], until: datetime) -> list[Spell]:
    """In the order in which the posts were stored, by the rules of every post (episodes.py)."""
    tracks: dict[tuple[str, str], _Track] = {}
    found: list[Spell] = []
    for one in sorted(heard, key=lambda one: one.seen.received_at):
        key = one.source, one.fingerprint
        track = tracks.get(key)
        if track is not None:
            _settle(track, one.seen.received_at)
        decision = decide(track.current if track else None, one.seen)
        if decision.new_episode:
            tracks[key] = _opened(one, decision)
            found += [spell for spell in [tracks[key].spell] if spell is not None]
        elif track is not None:
            _applied(track, one, decision)
    for track in tracks.values():
        _settle(track, until)
    return found


def _settle(track: _Track, now: datetime) -> None:
    """Normal for long enough is resolved."""
    current = track.current
    if current.state != State.RECOVERING or current.normal_since is None or now < current.normal_since + NORMAL_FOR:
        return
    at = current.normal_since + NORMAL_FOR
    track.current = replace(current, state=State.RESOLVED, resolved_at=at)
    if track.spell is not None:
        track.spell.ended = at


def _opened(one: Heard, decision: Decision) -> _Track:
    """What is told of only when it is over pages nobody, so it is no spell."""
    at = one.seen.received_at
    over = decision.verdict is Verdict.HISTORY
    current = Current(
        state=State.RESOLVED if over else State.FIRING,
        starts_at=one.seen.starts_at,
        ends_at=one.seen.ends_at if over else None,
        last_fired_at=at,
        last_resolved_at=at if over else None,
        resolved_at=at if over else None,
    )
    return _Track(current, None if over else Spell(one, at))


def _applied(track: _Track, one: Heard, decision: Decision) -> None:
    at = one.seen.received_at
    if decision.state is State.FIRING:
        _resume(track, at)
        starts = one.seen.starts_at if decision.verdict in (Verdict.REFIRED, Verdict.FLAPPED) else None
        track.current = replace(
            track.current,
            state=State.FIRING,
            last_fired_at=at,
            normal_since=None,
            starts_at=starts or track.current.starts_at,
        )
    elif decision.verdict is Verdict.RECOVERING:
        track.current = replace(
            track.current,
            state=State.RECOVERING,
            normal_since=decision.normal_since,
            ends_at=one.seen.ends_at,
            last_resolved_at=at,
        )
        if track.spell is not None:
            track.spell.pauses.append((at, None))


def _resume(track: _Track, at: datetime) -> None:
    if track.spell is not None and track.spell.pauses and track.spell.pauses[-1][1] is None:
        track.spell.pauses[-1] = (track.spell.pauses[-1][0], at)


# --- from spells to pages --------------------------------------------------------------------------
def tell(found: Sequence[Spell], routing: Routing, reach: Reach, until: datetime) -> list[Page]:
    """Everybody who would have been told until then."""
    pages = [
        page
        for number, spell in enumerate(found)
        for page in _pages(number, spell, routing.route_of(spell.heard.facts), routing, reach)
        if page.at <= until
    ]
    return _stormed(pages)


def _pages(number: int, spell: Spell, route: Route, routing: Routing, reach: Reach) -> list[Page]:
    pages: list[Page] = []
    at_once: datetime | None = None
    for position, step in enumerate(route.steps):
        due = at_once or spell.began + timedelta(seconds=step.after)
        at = spell.told_at(due)
        if at is None:
            break
        told = [reach(routing, target, spell.heard.facts, at) for target in step.notify]
        pages += [Page(at, number, route.name, position, reached) for reached in told]
        # Who reaches nobody does not wait for the next step.
        at_once = at if all(reached.problem for reached in told) else None
    return pages


def _stormed(pages: list[Page]) -> list[Page]:
    """Many of one route and step at once are told together: only some of them count as messages."""
    together: dict[tuple[str, int], list[Page]] = defaultdict(list)
    for page in sorted(pages, key=lambda page: (page.at, page.spell)):
        together[page.route, page.step].append(page)
    return [page for group in together.values() for cluster in _clusters(group) for page in _one_by_one(cluster)]


def _clusters(group: list[Page]) -> list[list[Page]]:
    clusters: list[list[Page]] = []
    for page in group:
        if clusters and page.at - clusters[-1][-1].at <= WITHIN:
            clusters[-1].append(page)
        else:
            clusters.append([page])
    return clusters


def _one_by_one(cluster: list[Page]) -> list[Page]:
    if len({page.spell for page in cluster}) <= STORM:
        return cluster
    last: dict[tuple[str, str], datetime] = {}
    found = []
    for page in cluster:
        who = page.reached.somebody
        counted = who not in last or page.at - last[who] >= UPDATE_EVERY
        if counted:
            last[who] = page.at
        found.append(replace(page, counted=counted))
    return found


def _count(pages: Iterable[Page]) -> int:
    return sum(page.counted and not page.reached.problem for page in pages)


def _nobody(found: Sequence[Spell], pages: Iterable[Page]) -> int:
    return len(found) - len({page.spell for page in pages if not page.reached.problem})


# --- the difference --------------------------------------------------------------------------------
def plan(routing: Routing, route: Route, facts: Mapping[str, str], reach: Reach, at: datetime) -> tuple[Planned, ...]:
    """The steps of ``route`` for one alert, with who each would reach at ``at``."""
    return tuple(_planned(routing, step, facts, reach, at) for step in route.steps)


def _planned(routing: Routing, step: Step, facts: Mapping[str, str], reach: Reach, at: datetime) -> Planned:
    return Planned(step.after, step.unless, tuple(reach(routing, name, facts, at) for name in step.notify))


def _changes(
    found: Sequence[Spell], old: tuple[Routing, list[Page]], new: tuple[Routing, list[Page]], reach: Reach
) -> list[Change]:
    counts = [
        Counter(page.spell for page in pages if page.counted and not page.reached.problem) for _, pages in (old, new)
    ]
    groups: dict[tuple[object, ...], Change] = {}
    for number, spell in enumerate(found):
        facts, at = spell.heard.facts, spell.began
        routes = [routing.route_of(facts) for routing, _ in (old, new)]
        plans = [plan(side[0], route, facts, reach, at) for side, route in zip((old, new), routes, strict=True)]
        if routes[0].name == routes[1].name and _same(plans[0], plans[1]):
            continue
        heard = spell.heard
        key = heard.name, heard.source, heard.severity, routes[0].name, routes[1].name, plans[0], plans[1]
        before = groups.get(key)
        groups[key] = Change(
            name=heard.name,
            source=heard.source,
            severity=heard.severity,
            spells=(before.spells if before else 0) + 1,
            route_before=routes[0].name,
            route_after=routes[1].name,
            plan_before=plans[0],
            plan_after=plans[1],
            pages_before=(before.pages_before if before else 0) + counts[0][number],
            pages_after=(before.pages_after if before else 0) + counts[1][number],
        )
    return sorted(groups.values(), key=lambda change: (-change.spells, change.name))


def _same(one: tuple[Planned, ...], other: tuple[Planned, ...]) -> bool:
    """What a target is called is nobody's business; whom it reaches is."""
    return _who(one) == _who(other)


def _who(planned: tuple[Planned, ...]) -> list[object]:
    return [(step.after, step.unless, sorted((r.problem, *r.somebody) for r in step.reached)) for step in planned]


def _told(old: list[Page], new: list[Page], is_night: Callable[[datetime], bool]) -> list[Told]:
    counts: dict[tuple[str, str, bool], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for side, pages in enumerate((old, new)):
        for page in pages:
            if page.counted and not page.reached.problem:
                key = (*page.reached.somebody, bool(page.reached.person))
                counts[key][side] += 1
                counts[key][2 + side] += is_night(page.at)
    found = [Told(*key, *numbers) for key, numbers in counts.items()]
    return sorted(found, key=lambda one: (-max(one.before, one.after), one.service, one.who))

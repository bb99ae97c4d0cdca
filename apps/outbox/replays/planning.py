"""A replay before it is made: how many letters it would put back, which not and why, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import BigIntegerField, Case, Count, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Now

from apps.core.clock import now
from apps.outbox.deadletters.selection import ASLEEP, Selection, select
from apps.outbox.gates import Gate, gates
from apps.outbox.models import DeadLetter, DeliveryMinute, MessageStatus, Replay, ReplayItem, ReplayState
from apps.outbox.replays.progress import ENDED_STATES

ACTIVE_ITEM: Final = (ReplayItem.State.WAITING, ReplayItem.State.RELEASED)
SHOWN_TENANTS: Final = 20
SAMPLES: Final = 3
TAKEN: Final = "already in replay "
NOT_TAKEN: Final = "closed or put back before it was taken in"
OUTCOME_TEXT: Final = {
    "not_dead": "the message is no longer a dead letter",
    "expired": "the message has expired",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """``ineligible`` counts by reason in words. ``ambiguous`` letters are eligible, but may have arrived
    already. ``services`` and ``tenants`` (the largest 20) count eligible letters. ``waits_for`` says
    what holds the replay back now. ``estimated_seconds`` is None when nothing is known to go by.
    ``replayed_before`` were put back once already and died again. ``newest`` is the highest letter.
    """

    total: int
    eligible: int
    ineligible: dict[str, int]
    ambiguous: int
    services: dict[str, int]
    tenants: dict[str, int]
    breakers: dict[str, str]
    waits_for: list[str]
    estimated_seconds: float | None
    replayed_before: int = 0
    snoozed: int = 0
    oldest: datetime | None = None
    newest: int = 0


def plan_replay(
    selection: Selection | Mapping[str, Any],
    *,
    per_second: float | None = None,
    doors_of: Callable[[Iterable[str]], dict[str, Gate]] = gates,
) -> Plan:
    """What a replay of ``selection`` would do now; nothing is changed. Raises :class:`Invalid`.

    ``doors_of`` gives the gates of services, for who has looked at them already.
    """
    chosen = select(selection)
    rows = list(_groups(chosen))
    good = [row for row in rows if not _why_not(row)]
    ineligible, eligible = _sorted_out(chosen, rows)
    services = _summed(good, "service")
    doors = doors_of(services)
    return Plan(
        total=eligible + sum(ineligible.values()),
        eligible=eligible,
        ineligible=ineligible,
        ambiguous=sum(row["unclear"] for row in good),
        services=services,
        tenants=dict(list(_summed(good, "tenant_id").items())[:SHOWN_TENANTS]),
        breakers={name: gate.breaker for name, gate in doors.items()},
        waits_for=[str(gate) for gate in doors.values() if gate.shut or gate.probing],
        estimated_seconds=_estimate(services, doors, per_second),
        replayed_before=sum(row["again"] for row in good),
        snoozed=sum(row["asleep"] for row in good),
        oldest=min((row["oldest"] for row in good), default=None),
        newest=max((row["newest"] for row in good), default=0),
    )


def sample_letters(selection: Selection, services: Mapping[str, int]) -> list[DeadLetter]:
    """The newest eligible letter of each service, with their messages: what a person looks at before pressing."""
    chosen = eligible_letters(selection).select_related("message__service").order_by("-pk")
    found = [chosen.filter(service=service).first() for service in list(services)[:SAMPLES]]
    return [letter for letter in found if letter is not None]


def eligible_letters(selection: Selection, own_replay: int | None = None) -> QuerySet[DeadLetter]:
    """The letters a replay would put back: open, their message still dead and not expired, in no other replay, nor
    meant by one under preparation that was made before ``own_replay``.
    """
    expired = Q(message__expires_at__isnull=False, message__expires_at__lte=Now())
    taken = ReplayItem.objects.filter(dead_letter=OuterRef("pk"), state__in=ACTIVE_ITEM).values("pk")
    letters = selection.queryset().filter(message__status=MessageStatus.DLQ).exclude(expired)
    for _replay, meant in under_preparation(own_replay):
        letters = letters.exclude(pk__in=meant)
    return letters.annotate(taken=Subquery(taken[:1])).filter(taken__isnull=True)


def under_preparation(before: int | None = None) -> list[tuple[int, QuerySet[DeadLetter, Any]]]:
    """Replays that are still taking in letters, and the letters that each has yet to reach."""
    found = Replay.objects.filter(state=ReplayState.PREPARING).order_by("pk")
    rows = found if before is None else found.filter(pk__lt=before)
    return [
        (pk, Selection.parse(without_services(selection)).queryset().filter(message_id__gt=reached).values("pk"))
        for pk, selection, reached in rows.values_list("pk", "selection", "reached")
    ]


def without_services(selection: Mapping[str, Any]) -> dict[str, Any]:
    """What a replay was asked to replay; the services it found are written down beside it."""
    return {name: value for name, value in selection.items() if name != "services"}


def sort_out(selection: Selection, own_replay: int | None = None) -> tuple[dict[str, int], int]:
    """Count what is left out, by reason, and what is not. Items of ``own_replay`` are not left out."""
    return _sorted_out(selection, _groups(selection, own_replay), own_replay)


def _groups(selection: Selection, own_replay: int | None = None) -> Iterable[Mapping[str, Any]]:
    """The letters it means, counted by all that decides about them in one pass."""
    taken: Any = Value(None, output_field=BigIntegerField())
    if Replay.objects.filter(~Q(state__in=ENDED_STATES) | Q(released__gt=0)).exists():
        active = ReplayItem.objects.filter(dead_letter=OuterRef("pk"), state__in=ACTIVE_ITEM).values("replay_id")
        taken = Subquery(active[:1])
        meant = [When(pk__in=letters, then=Value(pk)) for pk, letters in under_preparation(own_replay)]
        if meant:
            number = BigIntegerField()
            taken = Coalesce(taken, Case(*meant, output_field=number), output_field=number)
    outcome = Case(
        When(message__expires_at__lte=Now(), then=Value("expired")),
        When(~Q(message__status=MessageStatus.DLQ), then=Value("not_dead")),
        default=Value("eligible"),
    )
    letters = selection.queryset().annotate(taken_by=taken, outcome=outcome).order_by()
    return letters.values("taken_by", "outcome", "service", "tenant_id").annotate(
        letters=Count("id"),
        unclear=Count("id", filter=Q(ambiguous=True)),
        again=Count("id", filter=Q(message__replay_id__isnull=False)),
        asleep=Count("id", filter=ASLEEP),
        oldest=Min("died_at"),
        newest=Max("id"),
    )


def _why_not(row: Mapping[str, Any], own_replay: int | None = None) -> str:
    """Why the letters of a group are left out; empty when they are not."""
    if row["taken_by"] is not None:
        return "" if row["taken_by"] == own_replay else f"{TAKEN}{row['taken_by']}"
    return OUTCOME_TEXT.get(row["outcome"], "")


def _sorted_out(
    selection: Selection, rows: Iterable[Mapping[str, Any]], own_replay: int | None = None
) -> tuple[dict[str, int], int]:
    left_out: dict[str, int] = {}
    eligible = 0
    for row in rows:
        why = _why_not(row, own_replay)
        if why:
            left_out[why] = left_out.get(why, 0) + row["letters"]
        else:
            eligible += row["letters"]
    closed = len(selection.ids) - eligible - sum(left_out.values()) if selection.ids else 0
    return (left_out | {"not an open dead letter": closed}) if closed else left_out, eligible


def _summed(rows: Iterable[Mapping[str, Any]], field: str) -> dict[str, int]:
    """Letters by ``field``, most first."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[field]] = counts.get(row[field], 0) + row["letters"]
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _estimate(services: Mapping[str, int], doors: Mapping[str, Gate], per_second: float | None) -> float | None:
    """The slowest service decides: each is sent to side by side, all of them within ``per_second``."""
    times = [sum(services.values()) / per_second] if per_second else []
    for name, letters in services.items():
        rate = _rate_of(name, doors.get(name))
        if rate:
            times.append(letters / rate)
    return max(times) if times else None


def _rate_of(service: str, gate: Gate | None) -> float | None:
    """Messages per second to expect: the limit, or slots divided by how long a delivery took lately."""
    if gate is None:
        return None
    if gate.max_per_second:
        return gate.max_per_second
    lately = DeliveryMinute.objects.filter(service=service, minute__gte=now() - timedelta(hours=1))
    sums = lately.aggregate(
        spent=Sum("duration_ms"), sent=Sum("sent"), failed=Sum("failed"), timed_out=Sum("timed_out")
    )
    attempts = (sums["sent"] or 0) + (sums["failed"] or 0) + (sums["timed_out"] or 0)
    if not attempts:
        return None
    mean_s = max((sums["spent"] or 0) / attempts / 1000, 0.001)
    return gate.max_in_flight / mean_s

"""What the alerts of an incident did, whom they paged, and what people did with them.

These are read whole each time: an incident's alerts are linked to it by hand or by a rule, so there are not many, and
a page that was on its way a minute ago has arrived since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from apps.alerts.models import AlertLog, Episode, EpisodeEvent, Notification
from apps.incidents.timeline.facts import Fact, Scope, Span
from apps.outbox.models import Message

CHUNK: Final = 500
EPISODES: Final = 5000
NAME: Final = 300
TEXT: Final = 2000
FIELDS: Final = (
    "pk",
    "name",
    "severity",
    "service",
    "source_id",
    "state",
    "first_seen_at",
    "normal_since",
    "resolved_at",
    "proof",
    "inferred",
)
CHANGES: Final = ("recovering", "refired", "flapped")


def alerts(scope: Scope, span: Span) -> list[Fact]:
    """First heard of, normal again, fired again, resolved with its proof."""
    found: list[Fact] = []
    for ids in chunks(scope.episodes):
        rows = {row["pk"]: row for row in Episode.objects.filter(pk__in=ids).values(*FIELDS)}
        for row in rows.values():
            found += _of_episode(row)
        found += _changes(ids, rows)
    return within(found, span)


def _of_episode(row: Mapping[str, Any]) -> Iterator[Fact]:
    shared, url = _about(row), f"/alerts/{row['pk']}"
    over = any(word == "told_when_over" for word, _holds in row["proof"])
    if not over:
        yield Fact(ref=f"{row['pk']}:fired", at=row["first_seen_at"], what="fired", detail=shared, url=url)
    if row["inferred"] and row["normal_since"] is not None and row["state"] != "firing":
        ref = f"{row['pk']}:inferred:{row['normal_since'].isoformat()}"
        yield Fact(ref=ref, at=row["normal_since"], what="recovering", detail=shared | {"inferred": True}, url=url)
    if row["resolved_at"] is not None:
        what = "heard_when_over" if over else "resolved"
        detail = shared | {"proof": row["proof"]}
        yield Fact(ref=f"{row['pk']}:resolved", at=row["resolved_at"], what=what, detail=detail, url=url)


def _changes(ids: Sequence[int], rows: Mapping[int, Mapping[str, Any]]) -> Iterator[Fact]:
    """Normal, and firing again, as often as it was: the log of alerts knows, the episode only the last time."""
    lines = AlertLog.objects.filter(episode__in=ids, verdict__in=CHANGES).order_by("at", "pk")
    for pk, episode, at, verdict in lines.values_list("pk", "episode_id", "at", "verdict")[:EPISODES]:
        what = "recovering" if verdict == "recovering" else "fired_again"
        yield Fact(ref=f"{episode}:log:{pk}", at=at, what=what, detail=_about(rows[episode]), url=f"/alerts/{episode}")


def _about(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {"episode": row["pk"], "alert": row["name"][:NAME], "severity": row["severity"]}
    return names | {"service": row["service"], "source": row["source_id"]}


# --- pages ----------------------------------------------------------------------------------------
PAGE_FIELDS: Final = (
    "pk",
    "escalation__episode_id",
    "escalation__episode__name",
    "escalation__episode__severity",
    "cycle",
    "step",
    "kind",
    "target",
    "service",
    "outcome",
    "message_id",
    "planned_at",
    "decided_at",
    "together",
    "why",
)


def pages(scope: Scope, span: Span) -> list[Fact]:
    """Who was told, how late, which way, and whether it arrived."""
    found: list[Fact] = []
    for ids in chunks(scope.episodes):
        rows = Notification.objects.filter(escalation__episode__in=ids).order_by("pk").values(*PAGE_FIELDS)
        for batch in chunks(list(rows[:EPISODES])):
            sent = _deliveries([row["message_id"] for row in batch if row["message_id"] is not None])
            found += [_page(row, sent) for row in batch]
    return within(found, span)


def _deliveries(ids: Sequence[int]) -> dict[int, tuple[str, datetime | None]]:
    rows = Message.objects.filter(pk__in=ids).values_list("pk", "status", "sent_at")
    return {pk: (status, sent_at) for pk, status, sent_at in rows}


def _page(row: Mapping[str, Any], sent: Mapping[int, tuple[str, datetime | None]]) -> Fact:
    message, episode = row["message_id"], row["escalation__episode_id"]
    status, sent_at = sent.get(message or 0, ("", None))
    detail = {
        "episode": episode,
        "alert": row["escalation__episode__name"][:NAME],
        "severity": row["escalation__episode__severity"],
        "target": row["target"],
        "way": row["service"],
        "step": row["step"] + 1,
        "outcome": row["outcome"],
        "late": max(0, round((row["decided_at"] - row["planned_at"]).total_seconds())),
        "together": row["together"],
        "status": status,
        "sent_at": sent_at.isoformat() if sent_at else "",
        "why": str(row["why"].get("skipped") or row["why"].get("problem") or "")[:TEXT],
    }
    what = "told_resolved" if row["kind"] == "resolved" else "paged"
    url = f"/outbox/{message}" if message and status else f"/alerts/{episode}"
    gone = bool(message) and not status
    return Fact(ref=str(row["pk"]), at=row["decided_at"], what=what, detail=detail, url=url, weak=gone)


# --- people ---------------------------------------------------------------------------------------
def work(scope: Scope, span: Span) -> list[Fact]:
    """Acknowledged, noted, assigned, snoozed, silenced: the story each alert keeps of itself."""
    found: list[Fact] = []
    for ids in chunks(scope.episodes):
        rows = EpisodeEvent.objects.filter(episode__in=ids).select_related("episode").order_by("pk")
        found += [_done(row) for row in rows[:EPISODES]]
    return within(found, span)


def _done(row: EpisodeEvent) -> Fact:
    about = {"episode": row.episode_id, "alert": row.episode.name[:NAME], "service": row.episode.service}
    said = {"kind": row.kind, "text": row.text[:TEXT], "more": row.detail}
    url = f"/alerts/{row.episode_id}"
    return Fact(ref=str(row.pk), at=row.at, what=f"alert_{row.kind}", detail=about | said, url=url, actor=row.actor)


def chunks(items: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def within(found: Sequence[Fact], span: Span) -> list[Fact]:
    """In order. An alert may be older than its incident, so there is no beginning."""
    return sorted((fact for fact in found if fact.at <= span.until), key=lambda fact: (fact.at, fact.ref))

"""Dead letters and replays as their pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from apps.console import marks
from apps.console.marks import Mark
from apps.core import human
from apps.core.errors import Invalid
from apps.outbox.deadletters.selection import Selection
from apps.outbox.models import Cause, Message, Replay, ReplayItem
from apps.outbox.replays.planning import Plan

# What a link or a form may say about which letters are meant.
TEXTS = ("cause", "service", "tenant_id", "died_after", "died_before")


NAMED = {"timeout": "time-out", "dns": "name not found", "tls": "TLS", "refused": "connection refused"}


def selection_of(given: QueryDict) -> Selection:
    """The letters a dialog is about, from its address; raises :class:`Invalid`."""
    data: dict[str, Any] = {name: given[name] for name in TEXTS if given.get(name)}
    if given.get("death_reason"):  # "reason" is why the person does it
        data["reason"] = given["death_reason"]
    ids = given.getlist("ids")
    if ids:
        if not all(text.isascii() and text.isdigit() for text in ids):
            raise Invalid.field("ids", "must be numbers of dead letters")
        data["ids"] = [int(text) for text in ids]
    if given.get("everything") == "1":
        data["everything"] = True
    status_code = str(given.get("status_code", ""))
    if status_code.isdigit():
        data["status_code"] = int(status_code)
    return Selection.parse(data)


def selection_fields(selection: Selection) -> list[tuple[str, str]]:
    """The same as hidden fields of a form."""
    fields: list[tuple[str, str]] = []
    for name, value in selection.as_dict().items():
        if isinstance(value, list):
            fields += [(name, str(item)) for item in value]
        else:
            fields.append((name.replace("reason", "death_reason"), "1" if value is True else str(value)))
    return fields


def cause_label(service: str, error_class: str, status_code: int | None) -> str:
    """``midtrans · HTTP 503``, ``midtrans · time-out``: what people call a cause."""
    words = NAMED.get(error_class, error_class.replace("_", " ").strip() or "error")
    for protocol in ("http", "smtp"):
        if status_code and words.startswith(protocol):
            return f"{service} · {protocol.upper()} {status_code}"
    return f"{service} · {words} ({status_code})" if status_code else f"{service} · {words}"


def selection_label(selection: Mapping[str, Any], known: Mapping[str, Cause]) -> str:
    """What a replay was asked to replay, in words."""
    cause = known.get(str(selection.get("cause", "")))
    if cause is not None:
        label = cause_label(cause.service, cause.error_class, cause.status_code)
        tenant = selection.get("tenant_id")
        return f"{label} · tenant {tenant}" if tenant else label
    ids = selection.get("ids")
    if ids:
        services = human.listed(list(selection.get("services", [])))
        return f"{services} · {human.plural(len(ids), 'chosen letter')}"
    if selection.get("everything"):
        return "all open dead letters"
    parts = [f"{name.replace('_', ' ')} {value}" for name, value in selection.items() if name != "services"]
    return ", ".join(parts)


def causes_of(replays: Iterable[Replay]) -> dict[str, Cause]:
    """The causes that replays name, in one query."""
    marks_of = {str(replay.selection["cause"]) for replay in replays if replay.selection.get("cause")}
    return Cause.objects.in_bulk(list(marks_of)) if marks_of else {}


@dataclass(frozen=True, slots=True)
class ReplayRow:
    replay: Replay
    mark: Mark
    label: str


def replay_rows(replays: Iterable[Replay]) -> list[ReplayRow]:
    found = list(replays)
    known = causes_of(found)
    return [ReplayRow(replay, marks.REPLAY[replay.state], selection_label(replay.selection, known)) for replay in found]


@dataclass(frozen=True, slots=True)
class ItemRow:
    item: ReplayItem
    mark: Mark
    recipient: str
    status: str


def item_rows(items: Iterable[ReplayItem]) -> list[ItemRow]:
    """Items with their messages' recipients, looked up together."""
    found = list(items)
    messages = Message.objects.only("id", "recipient", "status").in_bulk([item.message_id for item in found])
    rows = []
    for item in found:
        message = messages.get(item.message_id)
        rows.append(
            ItemRow(
                item, marks.ITEM[item.state], message.recipient if message else "", message.status if message else ""
            )
        )
    return rows


def plan_lines(plan: Plan) -> list[str]:
    """What a replay will do, to how many, and what it will not: one line each."""
    tenants = f" in {human.plural(len(plan.tenants), 'tenant')}" if len(plan.tenants) > 1 else ""
    parts = human.listed([f"{count:,} to {name}" for name, count in plan.services.items()])
    lines = [
        f"{human.plural(plan.eligible, 'message')}{tenants} put back: {parts}."
        if plan.eligible
        else "Nothing can be put back."
    ]
    lines += [f"{count:,} left out: {why}." for why, count in plan.ineligible.items()]
    if plan.ambiguous:
        lines.append(
            f"{plan.ambiguous:,} may have arrived already. They carry the same Idempotency-Key, so a receiver that "
            "honours it takes them once."
        )
    lines += [f"Waits: {reason}." for reason in plan.waits_for]
    if plan.estimated_seconds is not None and plan.eligible:
        lines.append(f"About {human.span(plan.estimated_seconds)} once it is let through.")
    return lines

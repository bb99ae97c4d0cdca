"""Plain helpers: an engine that is only direct updates, and people who press at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection

from apps.outbox.models import Message, MessageStatus, Replay, ReplayItem
from tests.outbox.deadletters.factories import bury


def on_their_way(replay: Replay) -> list[int]:
    """Ids of the messages a replay has put back and that have not ended, in order."""
    items = ReplayItem.objects.filter(replay=replay, state=ReplayItem.State.RELEASED)
    return list(items.filter(message__status=MessageStatus.PENDING).order_by("pk").values_list("message_id", flat=True))


def send(messages: Iterable[int]) -> None:
    Message.objects.filter(pk__in=list(messages)).update(status=MessageStatus.SENT)


def die(messages: Iterable[int], error: str = "HTTP 503 still down") -> None:
    for message in Message.objects.filter(pk__in=list(messages)):
        bury(message, error)


def states(replay: Replay) -> dict[str, int]:
    found: dict[str, int] = {}
    for state in ReplayItem.objects.filter(replay=replay).values_list("state", flat=True):
        found[state] = found.get(state, 0) + 1
    return found


def together(*work: Callable[[], Any]) -> list[Any]:
    """Run functions at once, each in a thread of its own; their results or errors in order."""
    gate = threading.Barrier(len(work))

    def run(function: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return function()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        futures = [pool.submit(run, function) for function in work]
    return [future.exception() or future.result() for future in futures]

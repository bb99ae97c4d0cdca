"""Ten thousand messages through the API into a provider that fails, hangs and refuses."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from apps.accounts.services import create_key
from apps.core.actor import SYSTEM
from apps.outbox.models import DeadLetter, Message
from tests.conftest import make_service
from tests.processes import Stack, stack, wait_for
from tests.provider import Provider

pytestmark = [pytest.mark.e2e, pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]

TOTAL = 10_000
TIMEOUT_S = 0.5


@pytest.fixture
def portal() -> Iterator[Stack]:
    with stack(API_RATE_PER_MINUTE="1000000") as running:
        yield running


def misbehave(seed: int) -> Any:
    """10 % answer 500, 5 % take longer than the time-out, 2 % answer 400."""
    rng = random.Random(seed)

    def answer(key: str, times: int) -> tuple[int, float]:
        draw = rng.random()
        if draw < 0.10:
            return 500, 0.0
        if draw < 0.15:
            return 200, TIMEOUT_S * 4
        return (400, 0.0) if draw < 0.17 else (200, 0.0)

    return answer


def live() -> int:
    return Message.objects.filter(status__in=("PENDING", "RETRYING", "SENDING")).count()


def test_every_message_ends_sent_or_dead_and_a_replay_brings_the_rest(portal: Stack) -> None:
    with Provider(script=misbehave(11)) as provider:
        make_service(
            settings={"url": provider.url},
            retry={"max_attempts": 6, "base": 0.1, "cap": 1},
            breaker={"timeout": TIMEOUT_S},
            limits={"max_in_flight": 256},
        )
        key = create_key(name="producer", scopes=["messages:write", "replays:run"], actor=SYSTEM).raw
        api = session(portal.start_web(), key)
        portal.start_delivery("one")
        portal.start_delivery("two")
        post_all(api)
        assert Message.objects.count() == TOTAL
        wait_for(lambda: live() == 0, 180, "the end of delivery", every=0.3)

        sent = set(Message.objects.filter(status="SENT").values_list("idempotency_key", flat=True))
        dead = DeadLetter.objects.filter(state="open").count()
        assert len(sent) + dead == TOTAL
        assert all(provider.succeeded[k] for k in sent)
        assert 0 < dead < TOTAL * 0.05

        provider.script = lambda k, times: (200, 0.0)
        replay_everything(api, portal)
        assert Message.objects.filter(status="SENT").count() == TOTAL
        assert len(provider.succeeded) == TOTAL


class Api:
    def __init__(self, port: int, key: str) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {key}"

    def post(self, path: str, body: Any) -> Any:
        answer = self.http.post(self.base + path, json=body, timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def is_up(self) -> bool:
        try:
            return bool(self.http.get(self.base + "/health/live", timeout=1).ok)
        except requests.RequestException:
            return False


def session(port: int, key: str) -> Api:
    api = Api(port, key)
    wait_for(api.is_up, 30, "the web process")
    return api


def post_all(api: Api) -> None:
    numbers = list(range(TOTAL))
    for number in numbers[:100]:
        api.post("/api/v1/messages", message(number))
    for start in range(100, TOTAL, 900):
        api.post("/api/v1/messages/batch", {"messages": [message(n) for n in numbers[start : start + 900]]})


def message(number: int) -> dict[str, Any]:
    return {
        "service": "midtrans",
        "json": {"order": number},
        "idempotency_key": f"order-{number}",
        "tenant_id": f"tenant-{number % 3}",
    }


def replay_everything(api: Api, portal: Stack) -> None:
    from apps.outbox.replays.advance import advance_all

    api.post("/api/v1/replays", {"filter": {"service": "midtrans"}, "reason": "the provider works again"})

    def done() -> bool:
        advance_all()
        return live() == 0 and not DeadLetter.objects.filter(state="open").exists()

    wait_for(done, 60, "the replay", every=0.2)

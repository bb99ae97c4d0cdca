"""Guarding direct calls: with, async with, decorators, fallbacks, and what counts as a failure."""

from __future__ import annotations

import asyncio
import pickle
import sys
import threading
from typing import Any, cast

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from apps.breakers.classify import classify, status_of
from apps.breakers.guard import Breaker, BreakerOpen, breaker
from apps.breakers.runtime import RUNTIME, Runtime
from apps.breakers.window import Counts
from apps.core.errors import Invalid, NotFound, Unavailable
from tests.breakers.world import World
from tests.conftest import make_service
from tests.processes import wait_for

POLICY = {"volume_threshold": 4, "reset_timeout": 0.3, "timeout": 1, "ramp_seconds": 0}
needs_database = pytest.mark.django_db(transaction=True)


def counts(guard: Breaker) -> Counts:
    """What this process counted and has, or has not yet, written."""
    local = guard._local
    with local.lock:
        local.drain()
        return local.machine.window.total(local.clock())


@pytest.fixture
def guard(transactional_db: None, runtime: None) -> Breaker:
    make_service("midtrans", breaker=POLICY)
    found = breaker("midtrans")
    RUNTIME.wake()
    assert found._local.loaded.wait(10)
    with found:
        pass
    return found


def fail(guard: Breaker, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OSError, match="down"), guard:
            raise OSError("down")


def opened(guard: Breaker) -> Breaker:
    fail(guard, 3)
    assert guard.state() == "OPEN"
    return guard


# --- with -------------------------------------------------------------------------------------
def test_the_same_object_for_the_same_name(guard: Breaker) -> None:
    assert breaker("midtrans") is guard
    assert repr(guard) == "<Breaker midtrans CLOSED>"
    assert guard.timeout == 1


def test_a_with_block_counts_and_rejects(guard: Breaker) -> None:
    fail(guard, 2)
    assert (counts(guard).ok, counts(guard).fail) == (1, 2)
    with pytest.raises(OSError, match="down"), guard:
        raise OSError("down")
    with pytest.raises(BreakerOpen) as refused, guard:
        raise AssertionError("was let through")
    assert refused.value.service == "midtrans"
    assert refused.value.state == "OPEN"
    assert refused.value.status == 503
    assert refused.value.code == "breaker_open"
    assert 0 < refused.value.detail["retry_after"] <= 0.4
    assert "The breaker of midtrans is OPEN: the call was not made; try again in 0." in str(refused.value)


def test_every_rejection_is_an_error_of_its_own(guard: Breaker) -> None:
    """purgatory raised one stored exception, whose traceback grew with every rejected call."""
    opened(guard)
    found = []
    for _ in range(3):
        with pytest.raises(BreakerOpen) as refused, guard:
            pass
        found.append(refused.value)
    assert len({id(error) for error in found}) == 3
    frames = [len(list(_frames(error))) for error in found]
    assert frames[0] == frames[-1]
    again = pickle.loads(pickle.dumps(found[0]))
    assert (again.service, again.retry_after, again.state, again.message) == (
        found[0].service,
        found[0].retry_after,
        found[0].state,
        found[0].message,
    )


def _frames(error: BaseException) -> Any:
    trace = error.__traceback__
    while trace is not None:
        yield trace
        trace = trace.tb_next


def test_it_recovers_through_a_probe(guard: Breaker) -> None:
    opened(guard)
    wait_for(lambda: guard.state() == "HALF_OPEN", 3, "the reset time")
    wait_for(lambda: let_through(guard), 5, "a probe")
    wait_for(lambda: guard.state() == "CLOSED", 3, "the close")


def let_through(guard: Breaker) -> bool:
    """On a busy machine the lease may come after the 0.25 s that a caller waits for it: the next one gets it."""
    try:
        with guard:
            return True
    except BreakerOpen:
        return False


def test_nested_blocks_and_threads_do_not_mix(guard: Breaker) -> None:
    def use() -> None:
        with guard, guard:
            pass

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with guard:
        fail(guard, 1)
    assert (counts(guard).ok, counts(guard).fail) == (1 + 16 + 1, 1)


def test_a_call_that_ran_over_counts_as_a_time_out_and_keeps_its_result(guard: Breaker) -> None:
    local = guard._local
    clock, local.clock = local.clock, lambda: clock() + later[0]
    later = [0.0]

    def slow() -> str:
        with guard:
            later[0] += 1.5
            return "paid"

    try:
        assert slow() == "paid"
    finally:
        local.clock = clock
    assert counts(guard).timeout == 1


@needs_database
def test_an_unknown_service_is_an_error_that_says_what_to_do(runtime: None) -> None:
    with pytest.raises(NotFound, match=r"Add it to config/services\.yaml"), breaker("nobody"):
        pass


# --- what counts ------------------------------------------------------------------------------
def test_business_errors_and_interruptions_do_not_count(guard: Breaker) -> None:
    for error in (Invalid.field("amount", "is negative"), KeyboardInterrupt(), SoftTimeLimitExceeded(), SystemExit(1)):
        with pytest.raises(type(error)), guard:
            raise error
    assert counts(guard) == Counts(ok=1, ignored=4)
    assert guard.state() == "CLOSED"


def test_an_interrupted_probe_gives_its_lease_back(guard: Breaker) -> None:
    opened(guard)
    wait_for(lambda: guard.state() == "HALF_OPEN", 3, "the reset time")

    def interrupted() -> bool:
        try:
            with guard:
                raise KeyboardInterrupt
        except BreakerOpen:
            return False
        except KeyboardInterrupt:
            return True

    wait_for(interrupted, 5, "a probe")
    wait_for(lambda: let_through(guard), 5, "another probe")


class WithStatus(Exception):
    def __init__(self, status: int) -> None:
        self.response = type("Response", (), {"status_code": status})()


class Delivery(Exception):
    counts_as_failure = False
    timed_out = False
    error_class = "http_404"


class ReadTimeout(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "counted", "timed_out", "name"),
    [
        (WithStatus(503), True, False, "http_503"),
        (WithStatus(408), True, False, "http_408"),
        (WithStatus(425), True, False, "http_425"),
        (WithStatus(429), False, False, "http_429"),
        (WithStatus(404), False, False, "http_404"),
        (WithStatus(302), False, False, "http_302"),
        (TimeoutError(), True, True, "timeout"),
        (ReadTimeout(), True, True, "timeout"),
        (ConnectionRefusedError(), True, False, "ConnectionRefusedError"),
        (Delivery(), False, False, "http_404"),
        (Unavailable("away"), True, False, "unavailable"),
        (Invalid("wrong"), False, False, "invalid"),
        (BreakerOpen("inner", 1, "OPEN"), False, False, "breaker_open"),
        (asyncio.CancelledError(), False, False, ""),
        (ValueError(), True, False, "ValueError"),
    ],
)
def test_classification(error: BaseException, counted: bool, timed_out: bool, name: str) -> None:
    verdict = classify(error)
    assert verdict == (counted, timed_out, name)


def test_a_caller_may_ignore_errors() -> None:
    assert not classify(KeyError("x"), (KeyError,)).counts
    assert status_of(KeyError("x")) is None


# --- decorators -------------------------------------------------------------------------------
def test_a_decorated_function_keeps_its_name_and_result(guard: Breaker) -> None:
    @guard
    def add(a: int, *, b: int) -> int:
        """Add."""
        return a + b

    assert add(1, b=2) == 3
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert counts(guard).ok == 2


def test_the_fallback_answers_failures_and_rejections(guard: Breaker) -> None:
    seen: list[Any] = []

    def cached(number: int) -> str:
        seen.append(type(sys.exception()).__name__)
        return f"cached {number}"

    @breaker("midtrans", fallback=cached)
    def rate(number: int) -> str:
        raise OSError("down")

    assert [rate(n) for n in range(4)] == [f"cached {n}" for n in range(4)]
    assert seen == ["OSError", "OSError", "OSError", "BreakerOpen"]


def test_the_fallback_does_not_hide_what_says_nothing_about_the_service(guard: Breaker) -> None:
    @breaker("midtrans", fallback=lambda: "cached", ignore=(KeyError,))
    def rate() -> str:
        raise KeyError("currency")

    with pytest.raises(KeyError):
        rate()
    assert counts(guard).ignored == 1


def test_ignore_alone_makes_a_decorator(guard: Breaker) -> None:
    @breaker("midtrans", ignore=(KeyError,))
    def rate() -> str:
        raise KeyError("currency")

    with pytest.raises(KeyError):
        rate()
    assert counts(guard).ignored == 1


def test_generators_are_refused(guard: Breaker) -> None:
    with pytest.raises(TypeError, match="generator"):

        @guard
        def rows() -> Any:
            yield 1


# --- async ------------------------------------------------------------------------------------
async def test_async_with_keeps_concurrent_tasks_apart(guard: Breaker) -> None:
    async def call(number: int) -> None:
        try:
            async with guard:
                await asyncio.sleep(0.001 * (number % 3))
                if number == 5:
                    raise OSError("down")
        except OSError:
            return

    await asyncio.gather(*(call(n) for n in range(20)))
    assert (counts(guard).ok, counts(guard).fail) == (1 + 19, 1)


async def test_a_plain_with_in_a_coroutine_keeps_tasks_apart_too(guard: Breaker) -> None:
    async def call(number: int) -> None:
        with guard:
            await asyncio.sleep(0.001 * (number % 3))

    await asyncio.gather(*(call(n) for n in range(20)))
    assert counts(guard).ok == 21


async def test_async_decorator_with_fallback(guard: Breaker) -> None:
    async def cached() -> str:
        return "cached"

    @breaker("midtrans", fallback=cached)
    async def rate() -> str:
        raise OSError("down")

    @guard
    async def fine() -> str:
        return "fine"

    assert await fine() == "fine"
    assert [await rate() for _ in range(5)] == ["cached"] * 5
    with pytest.raises(BreakerOpen):
        await fine()


async def test_async_probe_does_not_block_the_loop(guard: Breaker) -> None:
    await asyncio.to_thread(opened, guard)
    while guard.state() != "HALF_OPEN":
        await asyncio.sleep(0.01)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while guard.state() != "CLOSED":
            ticks += 1
            await asyncio.sleep(0.001)

    ticker = asyncio.create_task(tick())
    while not ticker.done():
        try:
            async with guard:
                await asyncio.sleep(0.02)
        except BreakerOpen:
            await asyncio.sleep(0.02)
    await asyncio.wait_for(ticker, 5)
    assert ticks > 5


async def test_a_cancelled_call_says_nothing(guard: Breaker) -> None:
    async def call() -> None:
        async with guard:
            await asyncio.sleep(10)

    task = asyncio.create_task(call())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts(guard) == Counts(ok=1, ignored=1)


# --- the engine's side ------------------------------------------------------------------------
@needs_database
def test_reserve_gives_permits_and_takes_them_back(cluster: World) -> None:
    make_service("midtrans", breaker=POLICY)
    a = cluster.worker("a")
    guard = a.breaker("midtrans")
    assert guard.reserve(0).count == 0
    reservation = guard.reserve(64)
    assert reservation.count == 64
    reservation.permit.success(0.1)
    reservation.permit.ignore()
    reservation.permit.failure(0.1, timed_out=True, error_class="timeout", sample="17")
    reservation.release(61)
    assert a.get("midtrans").out == 0
    assert counts(guard) == Counts(ok=1, timeout=1, ignored=1)


@needs_database
def test_reserve_never_waits_for_what_is_not_known_yet(cluster: World) -> None:
    make_service("midtrans", breaker=POLICY)
    a = cluster.worker("a")
    guard = Breaker("midtrans", cast(Runtime, a))
    assert guard.reserve(5).count == 0, "the agent has not looked yet"
    assert guard.retry_after() == 0.05
    a.turn()
    assert guard.reserve(5).count == 5


@needs_database
def test_an_engine_that_looks_whether_it_may_is_no_rejected_call(cluster: World) -> None:
    make_service("midtrans", breaker=POLICY)
    a = cluster.worker("a")
    a.calls("midtrans", failures=9)
    assert a.breaker("midtrans").state() == "OPEN"
    assert counts(a.breaker("midtrans")).rejected == 0


@needs_database
def test_stopping_gives_the_lease_back_and_starts_again_when_needed(runtime: None) -> None:
    make_service("midtrans", breaker={**POLICY, "lease": 60})
    guard = breaker("midtrans")
    with guard:
        pass
    opened(guard)
    wait_for(lambda: guard.state() == "HALF_OPEN", 3, "the reset time")
    guard.reserve(1)
    wait_for(lambda: guard._local.lease is not None, 3, "the lease")
    RUNTIME.stop()
    assert guard._local.lease is None
    wait_for(lambda: guard.reserve(1).count == 1, 3, "another lease")


def test_a_dead_agent_is_replaced(guard: Breaker) -> None:
    first = RUNTIME.agent()
    first.stop(5)
    assert not first.alive()
    guard._local.view_at -= 10
    guard._local.bucket_end = 0.0
    with guard:
        pass
    assert RUNTIME.agent() is not first
    assert RUNTIME.agent().alive()

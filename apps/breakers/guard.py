"""Guarding calls: ``with breaker("midtrans"):``, ``async with``, a decorator, or permits for an engine.

While closed a guarded call costs less than a microsecond and no I/O. A rejected one raises
:class:`BreakerOpen`. Deadlines are the client's business: pass it ``breaker(name).timeout``; a call that ran
over is counted as a time-out, and its result is never thrown away.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, wraps
from types import TracebackType
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from apps.breakers.classify import classify
from apps.breakers.local import ASK, LOADING, REJECTED, UNKNOWN, Admission
from apps.breakers.permits import NoPermit, Permit, Reservation, permit_for
from apps.breakers.runtime import RUNTIME, Runtime
from apps.core import context
from apps.core.errors import NotFound, PortalError

P = ParamSpec("P")
R = TypeVar("R")
Errors = tuple[type[BaseException], ...]

WAIT_S: Final = 0.25  # for the first view, or for a lease; everybody else is answered at once
POLL_S: Final = 0.005

__all__ = ["Breaker", "BreakerOpen", "Permit", "Reservation", "breaker"]


class BreakerOpen(PortalError):
    """The call was not made. ``retry_after`` is in seconds, or None when nobody knows."""

    code = "breaker_open"
    status = 503

    def __init__(self, service: str, retry_after: float | None, state: str) -> None:
        wait = "" if retry_after is None else f"; try again in {retry_after:.1f} s"
        super().__init__(
            f"The breaker of {service} is {state}: the call was not made{wait}.",
            detail={"service": service, "state": state, "retry_after": retry_after},
        )
        self.service, self.retry_after, self.state = service, retry_after, state

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.service, self.retry_after, self.state)


class Breaker:
    """The breaker of one service, as this process sees it. Get it from :func:`breaker`."""

    __slots__ = ("_local", "_open_calls", "_runtime", "name")

    def __init__(self, name: str, runtime: Runtime = RUNTIME) -> None:
        self.name, self._runtime = name, runtime
        self._local = runtime.get(name)
        # (permit or None, era, start, the enclosing one): per thread and per task, nested calls included.
        self._open_calls: ContextVar[Any] = ContextVar(f"breaker-{name}", default=None)

    def __repr__(self) -> str:
        return f"<Breaker {self.name} {self.state()}>"

    # --- what it shows -------------------------------------------------------------------------
    @property
    def timeout(self) -> float:
        """Seconds that a call may take: give this to the client."""
        return self._local.policy.timeout

    def state(self) -> str:
        """CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, FORCED_CLOSED or METRICS_ONLY, as this process acts upon it."""
        return self._local.state(self._local.clock()).value

    def retry_after(self) -> float | None:
        """Seconds until it is worth asking again; None while calls are let through."""
        return self._local.retry_after(self._local.clock())

    # --- for an engine -------------------------------------------------------------------------
    def reserve(self, n: int) -> Reservation:
        """At most ``n`` permits, at once and without waiting.

        Closed: ``n``, cut by the ramp after closing. Open: none. Half-open: none, and a lease is asked for in
        the background; a later call gets one permit for it.
        """
        local = self._local
        if n <= 0:
            return Reservation(0, NoPermit(local, 0, taken=False))
        if local.gate:
            admission = local.admit(local.clock(), calls=0)
            if admission.lease is not None or admission.call is not None:
                return Reservation(1, permit_for(local, self._runtime, admission))
            if local.gate:
                self._ask_later(admission)
                return Reservation(0, NoPermit(local, 0, taken=False))
        count, era = local.take(n, local.clock())
        return Reservation(count, Permit(local, era, taken=True))

    def _ask_later(self, admission: Admission) -> None:
        if admission is ASK:
            self._runtime.ask(self._local)
        elif admission is LOADING:
            self._runtime.wake()
        elif admission is UNKNOWN:
            self._runtime.agent()

    # --- one call ------------------------------------------------------------------------------
    def enter(self) -> Permit:
        """Permission for one call; raises :class:`BreakerOpen`. May wait 0.25 s for a first view or a lease."""
        local = self._local
        admission = local.admit(local.clock())
        if admission is LOADING:
            self._runtime.wake()
            local.loaded.wait(WAIT_S)
            admission = local.admit(local.clock())
        if admission is ASK:
            self._runtime.ask(local)
            local.answered.wait(WAIT_S)
            admission = local.admit(local.clock())
        return self._permit(admission)

    async def aenter(self) -> Permit:
        """As :meth:`enter`, without blocking the loop."""
        local = self._local
        admission = local.admit(local.clock())
        if admission is LOADING:
            self._runtime.wake()
            await _wait_for(local.loaded.is_set)
            admission = local.admit(local.clock())
        if admission is ASK:
            self._runtime.ask(local)
            await _wait_for(local.answered.is_set)
            admission = local.admit(local.clock())
        return self._permit(admission)

    def _permit(self, admission: Admission) -> Permit:
        local = self._local
        if admission is LOADING:
            # Nobody knows yet, after a quarter of a second: go on, counting here.
            return Permit(local, local.era, taken=False)
        if admission is UNKNOWN:
            raise NotFound(
                f"There is no service {self.name!r}, so it has no breaker. "
                "Add it to config/services.yaml and run manage.py sync_services.",
                detail={"service": self.name},
            )
        if admission is REJECTED or admission is ASK:
            if admission is ASK:
                local.reject(local.clock())
            state, retry_after = local.refusal(local.clock())
            raise BreakerOpen(self.name, retry_after, state)
        return permit_for(local, self._runtime, admission)

    def report(
        self, permit: Permit | None, era: int, start: float, error: BaseException | None, ignore: Errors = ()
    ) -> None:
        """Tell how a call ended that began at ``start`` (seconds of the breaker's clock)."""
        now = self._local.clock()
        permit = permit or Permit(self._local, era, taken=False)
        if error is None:
            permit.success(now - start)
            return
        verdict = classify(error, ignore)
        if not verdict.counts:
            permit.ignore()
            return
        permit.failure(
            now - start,
            timed_out=verdict.timed_out,
            error_class=verdict.error_class,
            sample=context.request_id.get(),
        )

    # --- with ----------------------------------------------------------------------------------
    def __enter__(self) -> Breaker:
        local, calls = self._local, self._open_calls
        permit = self.enter() if local.gate else None
        calls.set((permit, local.era, local.clock(), calls.get()))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        local, calls = self._local, self._open_calls
        permit, era, start, before = calls.get()
        calls.set(before)
        if error is None and permit is None:
            now = local.clock()
            with local.lock:
                # LocalBreaker.succeeded without the cost of a call, in the case of nearly always.
                if now < local.bucket_end and now - start <= local.long_after and era == local.era:
                    local.ok += 1
                    return
            local.succeeded(era, now - start, now)
        else:
            self.report(permit, era, start, error)

    async def __aenter__(self) -> Breaker:
        local, calls = self._local, self._open_calls
        permit = await self.aenter() if local.gate else None
        calls.set((permit, local.era, local.clock(), calls.get()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, tb)

    # --- decorator -----------------------------------------------------------------------------
    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        return self.guarding(function)

    def guarding(
        self, function: Callable[P, R], fallback: Callable[..., Any] | None = None, ignore: Errors = ()
    ) -> Callable[P, R]:
        """``function`` behind this breaker; sync or async.

        ``fallback`` gets the same arguments when the call is rejected or has failed; ``sys.exception()`` tells it
        why. Errors that do not count as a failure are raised in any case.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: guard the call it makes with a with-block")
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", self._guarding_async(function, fallback, ignore))
        return self._guarding_sync(function, fallback, ignore)

    def _guarding_sync(
        self, function: Callable[P, R], fallback: Callable[..., Any] | None, ignore: Errors
    ) -> Callable[P, R]:
        local, clock = self._local, self._local.clock

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            permit = None
            if local.gate:
                try:
                    permit = self.enter()
                except BreakerOpen:
                    if fallback is None:
                        raise
                    return cast(R, fallback(*args, **kwargs))
            era, start = local.era, clock()
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self.report(permit, era, start, error, ignore)
                if fallback is None or not classify(error, ignore).counts:
                    raise
                return cast(R, fallback(*args, **kwargs))
            now = clock()
            if permit is not None:
                permit.success(now - start)
                return result
            with local.lock:
                # As in __exit__.
                if now < local.bucket_end and now - start <= local.long_after and era == local.era:
                    local.ok += 1
                    return result
            local.succeeded(era, now - start, now)
            return result

        return guarded

    def _guarding_async(
        self, function: Callable[..., Any], fallback: Callable[..., Any] | None, ignore: Errors
    ) -> Callable[..., Any]:
        local, clock = self._local, self._local.clock

        @wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            permit = None
            if local.gate:
                try:
                    permit = await self.aenter()
                except BreakerOpen:
                    if fallback is None:
                        raise
                    return await _maybe_await(fallback(*args, **kwargs))
            era, start = local.era, clock()
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                self.report(permit, era, start, error, ignore)
                if fallback is None or not classify(error, ignore).counts:
                    raise
                return await _maybe_await(fallback(*args, **kwargs))
            now = clock()
            if permit is None:
                local.succeeded(era, now - start, now)
            else:
                permit.success(now - start)
            return result

        return guarded


async def _wait_for(answered: Callable[[], bool]) -> None:
    """Wait for the agent's answer, at most 0.25 s."""
    for _ in range(round(WAIT_S / POLL_S)):
        if answered():
            return
        await asyncio.sleep(POLL_S)


async def _maybe_await(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


@overload
def breaker(name: str) -> Breaker: ...
@overload
def breaker(
    name: str, *, fallback: Callable[..., Any], ignore: Errors = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
@overload
def breaker(name: str, *, ignore: Errors) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def breaker(name: str, *, fallback: Callable[..., Any] | None = None, ignore: Errors = ()) -> Any:
    """The breaker of the service ``name``: process-wide, always the same object.

    With ``fallback`` (see :meth:`Breaker.guarding`) or ``ignore`` (exceptions that say nothing about the service)
    it is a decorator. An unknown service raises :class:`NotFound` when the first call is made.
    """
    found = _breaker(name)
    if fallback is None and not ignore:
        return found
    return lambda function: found.guarding(function, fallback, ignore)


@cache
def _breaker(name: str) -> Breaker:
    return Breaker(name)

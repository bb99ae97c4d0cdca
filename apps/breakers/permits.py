"""Permission to make calls, and the duty to say how they ended. Nothing here waits."""

from __future__ import annotations

from typing import Protocol

from apps.breakers.local import Admission, LocalBreaker
from apps.breakers.machine import Call, Outcome
from apps.breakers.records import Lease, ProbeResult


class Settler(Protocol):
    """Takes the result of a leased probe to the database, later; never raises."""

    def settle(self, breaker: LocalBreaker, lease: Lease, result: ProbeResult) -> None: ...

    def release(self, lease: Lease) -> None: ...


class Permit:
    """Permission for calls while closed; one permit serves all calls of a reservation.

    ``seconds`` is how long the call took. An outcome that comes after the breaker changed is dropped.
    """

    __slots__ = ("_breaker", "_era", "_taken")

    def __init__(self, breaker: LocalBreaker, era: int, *, taken: bool) -> None:
        self._breaker, self._era, self._taken = breaker, era, taken

    def success(self, seconds: float) -> None:
        self._over()
        self._breaker.succeeded(self._era, seconds, self._breaker.clock())

    def failure(self, seconds: float, *, timed_out: bool = False, error_class: str = "", sample: str = "") -> None:
        """``error_class`` and ``sample`` (a message or request id) become evidence if it opens."""
        self._over()
        self._breaker.failed(
            self._era, seconds, self._breaker.clock(), timed_out=timed_out, error_class=error_class, sample=sample
        )

    def ignore(self) -> None:
        """The call said nothing about the service: a business error, an interruption."""
        self._over()
        self._breaker.ignore(self._era, self._breaker.clock())

    def release(self) -> None:
        """The call was not made."""
        self._over()

    def _over(self) -> None:
        if self._taken:
            self._breaker.give_back(1)


class ProbePermit(Permit):
    """Permission for one probe while half-open, under a lease of the cluster or of this process's own machine.

    Only the first outcome counts.
    """

    __slots__ = ("_call", "_lease", "_settler")

    def __init__(self, breaker: LocalBreaker, settler: Settler, lease: Lease | None, call: Call | None) -> None:
        super().__init__(breaker, 0, taken=False)
        self._settler, self._lease, self._call = settler, lease, call

    def success(self, seconds: float) -> None:
        rule, late = self._breaker.rule, seconds > self._breaker.policy.timeout
        if late or rule.is_slow(seconds):
            self._end(Outcome.TIMEOUT if late else Outcome.FAILURE, seconds, "ran_over" if late else "slow", "")
        else:
            self._end(Outcome.SUCCESS, seconds, "", "")

    def failure(self, seconds: float, *, timed_out: bool = False, error_class: str = "", sample: str = "") -> None:
        self._end(Outcome.TIMEOUT if timed_out else Outcome.FAILURE, seconds, error_class, sample)

    def ignore(self) -> None:
        self._end(Outcome.IGNORED, 0.0, "", "")

    def release(self) -> None:
        self._end(Outcome.IGNORED, 0.0, "", "")

    def _end(self, outcome: Outcome, seconds: float, error_class: str, sample: str) -> None:
        lease, call = self._lease, self._call
        self._lease = self._call = None
        if call is not None:
            self._breaker.settle_alone(call, outcome, seconds, self._breaker.clock())
        elif lease is not None and outcome is Outcome.IGNORED:
            self._settler.release(lease)
        elif lease is not None:
            result = ProbeResult(outcome is Outcome.SUCCESS, seconds, error_class, sample)
            self._settler.settle(self._breaker, lease, result)


class Reservation:
    """``count`` permits that share one :attr:`permit`. Say how each call ended, or release it."""

    __slots__ = ("count", "permit")

    def __init__(self, count: int, permit: Permit) -> None:
        self.count, self.permit = count, permit

    def release(self, unused: int) -> None:
        """So many of the permits are not needed."""
        for _ in range(unused):
            self.permit.release()


class NoPermit(Permit):
    """What a reservation of nothing carries."""

    __slots__ = ()


def permit_for(breaker: LocalBreaker, settler: Settler, admission: Admission) -> Permit:
    """The permit of a call that :meth:`LocalBreaker.admit` let through."""
    if admission.lease is not None or admission.call is not None:
        return ProbePermit(breaker, settler, admission.lease, admission.call)
    return Permit(breaker, admission.era, taken=False)

"""What an exception of a guarded call says about the service. Pure.

The same rules as for deliveries (product.md, Classifying): 408, 425, 5xx, refused, reset and time-outs are
failures; 429 and other 3xx and 4xx are answers of a healthy service; an interrupted call says nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from billiard.exceptions import SoftTimeLimitExceeded

from apps.core.errors import PortalError

FAILING_4XX: Final = frozenset({408, 425})


class Verdict(NamedTuple):
    counts: bool
    timed_out: bool = False
    error_class: str = ""


IGNORE: Final = Verdict(False)


def classify(error: BaseException, ignore: tuple[type[BaseException], ...] = ()) -> Verdict:
    """Does ``error`` count as a failure, was it a time-out, and what is its class called?

    An exception may say so itself with ``counts_as_failure``, ``timed_out`` and ``error_class``
    (:class:`apps.channels.base.DeliveryError` does).
    """
    if isinstance(error, ignore) or not isinstance(error, Exception) or isinstance(error, SoftTimeLimitExceeded):
        return IGNORE
    says = getattr(error, "counts_as_failure", None)
    if says is not None:
        return Verdict(bool(says), bool(getattr(error, "timed_out", False)), str(getattr(error, "error_class", "")))
    if isinstance(error, PortalError):
        return Verdict(error.status >= 500 and error.code != "breaker_open", False, error.code)
    status = status_of(error)
    if status is not None:
        return Verdict(status >= 500 or status in FAILING_4XX, False, f"http_{status}")
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return Verdict(True, True, "timeout")
    return Verdict(True, False, type(error).__name__)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that requests, httpx, aiohttp and urllib hang on their exceptions."""
    for holder in (getattr(error, "response", None), error):
        for name in ("status_code", "status", "code"):
            value: Any = getattr(holder, name, None)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
                return value
    return None

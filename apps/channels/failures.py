"""What a failed exchange means: exceptions of the system and of aiohttp as :class:`DeliveryError`."""

from __future__ import annotations

import errno
import socket
import ssl

import aiohttp

from apps.channels.base import DeliveryError
from apps.channels.network import NoAddress

_CONNECT_CLASS = {
    errno.ECONNREFUSED: ("connection_refused", "refused the connection"),
    errno.ECONNRESET: ("connection_reset", "reset the connection"),
    errno.EHOSTUNREACH: ("unreachable", "cannot be reached: no route to it"),
    errno.ENETUNREACH: ("unreachable", "cannot be reached: no route to its network"),
    errno.ETIMEDOUT: ("unreachable", "does not answer connection attempts"),
}


def timed_out(seconds: float, *, sent: bool) -> DeliveryError:
    """The total time-out, in seconds, is over. After the whole message had left nobody knows."""
    known = "the message had been sent, so it may have arrived" if sent else "the message had not been sent"
    return DeliveryError(
        f"No complete answer within {seconds:g} s; {known}", error_class="timeout", ambiguous=sent, timed_out=True
    )


def address_refused(reason: str, setting: str) -> DeliveryError:
    """We refused to go there; the destination has done nothing."""
    return DeliveryError(
        f"Not sent: {reason}. Correct {setting}, or what its name resolves to",
        error_class="address_refused",
        permanent=True,
        counts_as_failure=False,
    )


def of_connect(error: OSError, where: str) -> DeliveryError:
    """A connection that could not be made; nothing was sent."""
    name, text = _CONNECT_CLASS.get(error.errno or 0, ("connect_failed", ""))
    text = text or f"could not be connected to ({error.strerror or type(error).__name__})"
    return DeliveryError(f"{where} {text}", error_class=name)


def of_lookup(where: str) -> DeliveryError:
    return DeliveryError(
        f"The name {where} could not be resolved: check it in the settings, and the name server", error_class="dns"
    )


def of_tls(error: Exception, where: str) -> DeliveryError:
    """A certificate or a handshake that failed; nothing was sent."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    reason = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or type(cause).__name__
    return DeliveryError(f"No secure connection to {where}: {reason}", error_class="tls")


def of_proxy(detail: str) -> DeliveryError:
    """Our own proxy stood in the way, which says nothing about the destination."""
    return DeliveryError(
        f"The proxy of this service failed ({detail}); the destination was not reached. Check settings.proxy",
        error_class="proxy",
        counts_as_failure=False,
    )


def lost(where: str, *, sent: bool, status: int | None = None) -> DeliveryError:
    """The connection ended before the answer did."""
    known = "; the message had been sent, so it may have arrived" if sent else "; the message had not been sent"
    what = "in the middle of its answer" if status else "without an answer"
    return DeliveryError(
        f"{where} closed the connection {what}{known}",
        error_class="broken_answer" if status else "connection_reset",
        ambiguous=sent,
        status_code=status,
    )


def not_http(where: str, *, sent: bool) -> DeliveryError:
    return DeliveryError(f"{where} answered something that is not HTTP", error_class="bad_answer", ambiguous=sent)


def of_connecting(error: OSError, where: str) -> DeliveryError:
    """Anything that can go wrong before a byte of the message is sent: look-up, connection, TLS."""
    match error:
        case socket.gaierror() | NoAddress():
            return of_lookup(where)
        case ssl.SSLError():
            return of_tls(error, where)
        case _:
            return of_connect(error, where)


def of_proxied(error: Exception, *, where: str, sent: bool) -> DeliveryError:
    """An exception of aiohttp on the way through a proxy."""
    match error:
        case aiohttp.ClientHttpProxyError():
            return of_proxy(f"it answered {error.status}")
        case aiohttp.ClientProxyConnectionError():
            return of_proxy("it could not be connected to")
        case aiohttp.ClientConnectorDNSError():
            return of_proxy("its name could not be resolved")
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return of_tls(error, where)
        case aiohttp.ClientConnectorError():
            return of_proxy("the connection through it failed")
        case aiohttp.ClientResponseError():
            return not_http(where, sent=sent)
        case _:
            return lost(where, sent=sent)

"""What a failed SMTP dialogue means (RFC 5321, 4.2): 4yz is worth another try, 5yz is not."""

from __future__ import annotations

import ssl
from enum import Enum

import aiosmtplib

from apps.channels import failures
from apps.channels.base import DeliveryError
from apps.channels.network import AddressRefused
from apps.channels.text import snippet


class Phase(Enum):
    """How far a dialogue got. ``LEFT``: the final dot was written, so the server may have the message."""

    CONNECTING = "greeting the server"
    LOGGING_IN = "logging in"
    SENDER = "naming the sender"
    RECIPIENTS = "naming the recipients"
    DATA = "starting the message"
    LEFT = "finishing the message"


# The dialogue is about the service rather than about this message.
_ABOUT_SERVICE = (Phase.CONNECTING, Phase.LOGGING_IN)


def of_reply(code: int, text: str, phase: Phase, about: str = "") -> DeliveryError:
    """A reply that is not the one hoped for. ``about`` names the field of the message it is about."""
    said = snippet(f"{code} {text}".strip(), 300)
    whom = f" {about}" if about else ""
    if phase is Phase.CONNECTING:
        # Not a verdict on this message: a server that turns us away today may be open tomorrow.
        return DeliveryError(
            f"The mail server turned us away: {said}", error_class="smtp_unavailable", status_code=code
        )
    permanent = code >= 500
    login = phase is Phase.LOGGING_IN or (permanent and code in (530, 535, 538))
    return DeliveryError(
        f"The mail server refused{whom} while {phase.value}: {said}",
        error_class="unauthorized" if login and permanent else "rejected" if permanent else "smtp_try_later",
        permanent=permanent,
        counts_as_failure=not permanent,
        status_code=code,
        response_excerpt=said,
        pauses_service=login and permanent,
    )


def of_error(error: Exception, *, phase: Phase, where: str) -> DeliveryError:
    """An exception of aiosmtplib or the system, by how far the dialogue had got."""
    match error:
        case AddressRefused():
            return failures.address_refused(str(error), "settings.host")
        case aiosmtplib.SMTPResponseException():
            return of_reply(error.code, error.message, phase)
        case ssl.SSLError():
            return failures.of_tls(error, where)
        case _ if isinstance(error.__cause__, ssl.SSLError):
            return failures.of_tls(error.__cause__, where)
        case aiosmtplib.SMTPException():
            return failures.lost(where, sent=phase is Phase.LEFT)
        case OSError() if phase is Phase.CONNECTING:
            return failures.of_connecting(error, where)
        case _:
            return failures.lost(where, sent=phase is Phase.LEFT)

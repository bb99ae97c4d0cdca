"""WhatsApp's Cloud API: ``POST /v21.0/{phone number id}/messages`` (developers.facebook.com, "Cloud API").

Numbers that begin with 62800 are not on WhatsApp: the API refuses them for good with error 131026.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from apps.sandbox.providers.base import Answer, Incoming, body_excerpt, header_key

PATH: Final = re.compile(r"/v\d{1,3}\.\d{1,2}/[0-9A-Za-z_-]+/messages\Z")
NOT_ON_WHATSAPP: Final = "62800"
UNDELIVERABLE: Final = (131026, "Message undeliverable", "The recipient's number is not on WhatsApp.")
_CODES: Final = {
    "error": (131016, "Service unavailable", "A service is temporarily unavailable."),
    "rate_limit": (130429, "Rate limit hit", "Cloud API message throughput has been reached."),
    "gone": (131009, "Parameter value is not valid", "This version of the API no longer exists."),
    "reject": UNDELIVERABLE,
    "unauthorized": (190, "Access token invalid", "Send the access token as Authorization: Bearer TOKEN."),
    "invalid": (131008, "Required parameter is missing", "messaging_product, to and type are required."),
}


class Whatsapp:
    name = "whatsapp"
    title = "Texts, the way WhatsApp's Cloud API takes them"
    endpoint = "POST /v21.0/PHONE_NUMBER_ID/messages"
    reject_status = 400

    def takes(self, incoming: Incoming) -> bool:
        return incoming.method == "POST" and PATH.match(incoming.path) is not None

    def key(self, incoming: Incoming) -> str:
        """The Cloud API knows no idempotency key; the portal's own name of the message stands for it."""
        return header_key(incoming) or str(incoming.object().get("biz_opaque_callback_data") or "")

    def excerpt(self, incoming: Incoming) -> str:
        message = incoming.object()
        text = message.get("text")
        words = text.get("body") if isinstance(text, dict) else message.get("type")
        return f"To +{message['to']}: {words}" if message.get("to") else body_excerpt(incoming)

    def signature(self, incoming: Incoming) -> str:
        return ""

    def answer(self, incoming: Incoming) -> Answer:
        message = incoming.object()
        if not incoming.headers.get("Authorization", "").startswith("Bearer "):
            return self.refuse(incoming, 401, "no access token", "unauthorized")
        number = str(message.get("to") or "").removeprefix("+")
        if message.get("messaging_product") != "whatsapp" or not number:
            return self.refuse(incoming, 400, "messaging_product or to is missing", "invalid")
        if number.startswith(NOT_ON_WHATSAPP):
            return self.refuse(incoming, 400, f"{number} is not on WhatsApp", "reject")
        return Answer(
            200,
            {
                "messaging_product": "whatsapp",
                "contacts": [{"input": message["to"], "wa_id": number}],
                "messages": [{"id": f"wamid.{_short(self.key(incoming) or number)}"}],
            },
        )

    def refuse(self, incoming: Incoming, status: int, text: str, code: str) -> Answer:
        number, title, details = _CODES[code]
        error: dict[str, Any] = {
            "message": f"(#{number}) {title}",
            "type": "OAuthException",
            "code": number,
            "error_data": {"messaging_product": "whatsapp", "details": details},
            "fbtrace_id": _short(self.key(incoming))[:11],
        }
        return Answer(status, {"error": error}, f"error {number}: {text if code != 'reject' else title}")


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=15).hexdigest().upper()

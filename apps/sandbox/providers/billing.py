"""A partner that takes webhooks and trusts only signed ones: ``POST /hooks/billing``."""

from __future__ import annotations

from typing import Final

from apps.sandbox import signatures
from apps.sandbox.providers.base import Answer, Incoming, body_excerpt, header_key

PATH: Final = "/hooks/billing"


class BillingWebhook:
    name = "billing-webhook"
    title = "A partner's webhook that checks signatures"
    endpoint = f"POST {PATH}"
    reject_status = 422

    def __init__(self, secret: str = "") -> None:
        self._secret = secret

    def takes(self, incoming: Incoming) -> bool:
        return incoming.method == "POST" and incoming.path == PATH

    def key(self, incoming: Incoming) -> str:
        return header_key(incoming)

    def excerpt(self, incoming: Incoming) -> str:
        return body_excerpt(incoming)

    def signature(self, incoming: Incoming) -> str:
        return signatures.check(self._secret, incoming.headers, incoming.body, now=incoming.at)

    def answer(self, incoming: Incoming) -> Answer:
        verdict = self.signature(incoming)
        if verdict not in (signatures.VERIFIED, signatures.NOT_CHECKED):
            return self.refuse(incoming, 401, f"signature: {verdict}", "unauthorized")
        if incoming.json() is None:
            return self.refuse(incoming, 422, "the body is not JSON", "invalid")
        return Answer(202, {"received": True, "id": self.key(incoming)})

    def refuse(self, incoming: Incoming, status: int, text: str, code: str) -> Answer:
        return Answer(status, {"error": code, "message": text}, text if code in ("unauthorized", "invalid") else "")

"""Midtrans' Core API as far as a shop meets it: ``POST /v2/charge`` (docs.midtrans.com, "Charge API").

Midtrans puts the real status into ``status_code`` of the body, as text; the HTTP status says the same here.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from apps.sandbox.providers.base import Answer, Incoming, body_excerpt, header_key

PATH: Final = "/v2/charge"


class Midtrans:
    name = "midtrans"
    title = "Payments, the way Midtrans takes them"
    endpoint = f"POST {PATH}"
    reject_status = 400

    def takes(self, incoming: Incoming) -> bool:
        return incoming.method == "POST" and incoming.path == PATH

    def key(self, incoming: Incoming) -> str:
        return header_key(incoming)

    def excerpt(self, incoming: Incoming) -> str:
        charge = incoming.object()
        if problems(charge):
            return body_excerpt(incoming)
        details, items = charge["transaction_details"], charge.get("item_details")
        item = items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}
        return f"{details['order_id']}: {details['gross_amount']:,} IDR {item.get('name', '')}"

    def signature(self, incoming: Incoming) -> str:
        return ""

    def answer(self, incoming: Incoming) -> Answer:
        charge = incoming.object()
        wrong = problems(charge)
        if wrong:
            text = "One or more parameters in the payload is invalid."
            return Answer(400, {**_head("400", text), "validation_messages": wrong}, wrong[0])
        details = charge["transaction_details"]
        return Answer(
            200,
            {
                **_head("201", "Success, transaction is created"),
                "transaction_id": _id_of(str(details["order_id"])),
                "order_id": details["order_id"],
                "gross_amount": f"{details['gross_amount']}.00",
                "currency": "IDR",
                "payment_type": charge["payment_type"],
                "transaction_status": "pending",
                "fraud_status": "accept",
            },
        )

    def refuse(self, incoming: Incoming, status: int, text: str, code: str) -> Answer:
        return Answer(status, _head(str(status), text), "")


def problems(charge: dict[str, Any]) -> list[str]:
    """What Midtrans would not take, in its own words."""
    details = charge.get("transaction_details")
    if not isinstance(details, dict):
        return ["transaction_details is required"]
    found = []
    if not charge.get("payment_type"):
        found.append("payment_type is required")
    if not details.get("order_id"):
        found.append("transaction_details.order_id is required")
    amount = details.get("gross_amount")
    if not isinstance(amount, int) or isinstance(amount, bool):
        found.append("transaction_details.gross_amount must be a number")
    elif amount < 1:
        found.append("transaction_details.gross_amount must be equal or greater than 0.01")
    return found


def _head(code: str, text: str) -> dict[str, Any]:
    return {"status_code": code, "status_message": text}


def _id_of(order: str) -> str:
    """The same order has the same transaction, however often it is asked for."""
    digest = hashlib.blake2b(order.encode(), digest_size=16).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))

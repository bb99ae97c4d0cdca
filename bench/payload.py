"""What every contender sends: the same 490 bytes, under an id of its own.

Standard library only: the peers import this from their own virtual environment.
"""

from __future__ import annotations

import json
from typing import Final

BYTES: Final = 490


def _body() -> str:
    order = {
        "event": "order.paid",
        "order_id": "ORD-2026-000042",
        "amount": "125000.00",
        "currency": "IDR",
        "customer": {"name": "Siti Rahayu", "email": "siti@example.com"},
        "items": [{"sku": "SKU-1", "quantity": 2}, {"sku": "SKU-7", "quantity": 1}],
        "note": "",
    }
    order["note"] = "x" * (BYTES - len(json.dumps(order, separators=(",", ":"))))
    return json.dumps(order, separators=(",", ":"))


BODY: Final = _body()
CONTENT_TYPE: Final = "application/json"


def wire_id(number: int) -> str:
    """The id of a peer's message. The engine makes its own."""
    return f"msg_{number:032x}"


def headers(identity: str) -> dict[str, str]:
    """The headers a contender adds to the POST: the sink counts by ``webhook-id``."""
    return {"Content-Type": CONTENT_TYPE, "webhook-id": identity}

"""What three small shops have to tell the world: orders, texts, receipts, codes, invoices. Pure.

Some of it is wrong on purpose, as it is in life: orders over nothing, numbers that are not on WhatsApp,
mailboxes that do not exist. These end as dead letters.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

TENANTS: Final = ("toko-sari", "warung-88", "kopi-aceh")
CUSTOMERS: Final = (
    "Ayu Lestari", "Budi Santoso", "Citra Dewi", "Dimas Pratama", "Eka Wulandari", "Fajar Nugroho",
    "Gita Permata", "Hendra Wijaya", "Intan Sari", "Joko Susilo", "Kartika Putri", "Lukman Hakim",
)  # fmt: skip
GOODS: Final = (("Kopi Gayo 250 g", 68_000), ("Sambal bajak", 32_500), ("Keripik tempe", 18_000), ("Batik", 245_000))
RECEIPT: Final = (
    "Halo {{ name }},\n\nthank you for your order {{ order }}.\n"
    "{% for item in items %}- {{ item.name }}: {{ item.price }} IDR\n{% endfor %}\n"
    "Total: {{ total }} IDR\n\n{{ shop }}\n"
)
TEXT: Final = "Halo {{ name }}, your order {{ order }} from {{ shop }} is on its way."
CODE: Final = "{{ code }} is your code for {{ shop }}. It is valid for {{ seconds }} seconds."
CODE_LIFE_S: Final = 45
WRONG_SHARE: Final = 0.05
ORDERED_SHARE: Final = 0.3
BATCH_SHARE: Final = 0.04
BATCH_SIZES: Final = (4, 9)

Message = dict[str, Any]


class Shop:
    """Makes messages as the API takes them. The same ``seed`` makes the same shop, but for times and ids."""

    def __init__(self, now: Callable[[], datetime], *, seed: int | None = None) -> None:
        self._now = now
        self._random = random.Random(seed)  # noqa: S311  # make-believe customers, not secrets
        self._order = 1000
        self._kinds: tuple[tuple[Callable[[], Message], float], ...] = (
            (self.charge, 0.40),
            (self.text, 0.20),
            (self.receipt, 0.18),
            (self.code, 0.08),
            (self.invoice, 0.14),
        )

    def job(self) -> list[Message]:
        """What is posted next: one message, now and then a batch."""
        size = self._random.randint(*BATCH_SIZES) if self._random.random() < BATCH_SHARE else 1
        return [self.message() for _ in range(size)]

    def message(self) -> Message:
        kinds, weights = zip(*self._kinds, strict=True)
        make: Callable[[], Message] = self._random.choices(kinds, weights)[0]
        key = uuid.UUID(int=self._random.getrandbits(128), version=4)
        return {**make(), "tenant_id": self._tenant, "idempotency_key": str(key)}

    def charge(self) -> Message:
        """An order to pay. Sometimes the customer's orders must arrive in order; some are over nothing."""
        number, name = self._new_order(), self._customer()
        item, price = self._random.choice(GOODS)
        amount = 0 if self._is_wrong() else price * self._random.randint(1, 3)
        charge = {
            "payment_type": "bank_transfer",
            "transaction_details": {"order_id": number, "gross_amount": amount},
            "item_details": [{"name": item, "price": price, "quantity": 1}],
            "customer_details": {"first_name": name.split()[0], "last_name": name.split()[1]},
            "bank_transfer": {"bank": "bca"},
        }
        message: Message = {"service": "midtrans", "json": charge, "priority": 7}
        if self._random.random() < ORDERED_SHARE:
            message["ordering_key"] = f"customer:{CUSTOMERS.index(name) + 1}"
        return message

    def text(self) -> Message:
        """News of an order by WhatsApp; numbers that begin with 62800 do not exist."""
        start = "+62800" if self._is_wrong() else "+62812"
        number = f"{start}{self._random.randint(10_000_000, 99_999_999)}"
        data = {"name": self._customer().split()[0], "order": self._new_order(), "shop": self._tenant}
        return {"service": "whatsapp", "recipient": number, "body_template": TEXT, "body_data": data}

    def receipt(self) -> Message:
        """A receipt by e-mail; nobody@ does not exist."""
        name, number = self._customer(), self._new_order()
        goods = self._random.sample(GOODS, 2)
        items = [{"name": item, "price": price} for item, price in goods]
        total = sum(price for _, price in goods)
        data = {"name": name, "order": number, "items": items, "total": total, "shop": self._tenant}
        return {
            "service": "smtp",
            "recipient": self._address(name),
            "subject": f"Your order {number}",
            "body_template": RECEIPT,
            "body_data": data,
        }

    def code(self) -> Message:
        """A one-time code, worthless when it comes late: it expires rather than arriving then."""
        data = {"code": f"{self._random.randint(0, 999_999):06}", "shop": self._tenant, "seconds": CODE_LIFE_S}
        expires = self._now() + timedelta(seconds=CODE_LIFE_S)
        message: Message = {"body_template": CODE, "body_data": data, "priority": 9, "expires_at": expires.isoformat()}
        if self._random.random() < 0.5:
            number = f"+62813{self._random.randint(10_000_000, 99_999_999)}"
            return {"service": "whatsapp", "recipient": number, **message}
        return {"service": "smtp", "recipient": self._address(self._customer()), "subject": "Your code", **message}

    def invoice(self) -> Message:
        """An event for the partner's webhook, as ready text: its bytes are what is signed."""
        number = self._new_order()
        amount = self._random.choice(GOODS)[1]
        payload = f'{{"event": "invoice.paid", "order": "{number}", "amount": {amount}.00, "currency": "IDR"}}'
        return {"service": "billing-webhook", "payload": payload, "content_type": "application/json"}

    @property
    def _tenant(self) -> str:
        """The shop of the order at hand."""
        return TENANTS[self._order % len(TENANTS)]

    def _new_order(self) -> str:
        self._order += 1
        return f"{self._tenant.upper()}-{self._now():%y%m%d}-{self._order}"

    def _customer(self) -> str:
        return self._random.choice(CUSTOMERS)

    def _address(self, name: str) -> str:
        local = "nobody" if self._is_wrong() else name.lower().replace(" ", ".")
        return f"{local}@example.com"

    def _is_wrong(self) -> bool:
        return self._random.random() < WRONG_SHARE

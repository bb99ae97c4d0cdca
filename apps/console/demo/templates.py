"""Named templates of a shop, in English and Indonesian, and the messages that take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from apps.outbox.models import Message, MessageTemplate

ORDER: Final = {"name": "Sari", "order": {"id": "A-48213", "total": "Rp 125.000"}}
INVOICE: Final = {
    "name": "Budi",
    "number": "INV-2026-1187",
    "due": "30 November 2026",
    "lines": ["2 × Kopi Gayo 250 g"],
}
HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
EDITOR: Final = "lead@example.com"


@dataclass(frozen=True, slots=True)
class Text:
    """The versions of one line, oldest first. ``using`` is the one in use, the newest unless given."""

    name: str
    channel: str
    language: str
    bodies: tuple[str, ...]
    sample: Mapping[str, Any]
    about: str
    subject: str = ""
    content_type: str = "text/plain; charset=utf-8"
    using: int = 0
    draft: bool = False
    archived: bool = False
    days: tuple[int, ...] = field(default=(21, 6, 1))


PAID_EN: Final = "Dear {{ name }},\n\nwe have received {{ order.total }} for your order {{ order.id }}.\n"
PAID_TODAY: Final = PAID_EN + "\nIt leaves our warehouse today.\n"
VOUCHER: Final = "{% if order.voucher is defined %}Your voucher: {{ order.voucher }}\n{% endif %}"
PAID_ID: Final = "Halo {{ name }},\n\npembayaran {{ order.total }} untuk pesanan {{ order.id }} sudah kami terima.\n"
TEXTS: Final = (
    Text(
        "order-paid",
        "email",
        "en",
        (
            PAID_EN,
            PAID_EN + "\nIt leaves our warehouse within one working day.\n",
            PAID_TODAY + VOUCHER,
        ),
        ORDER,
        "after a payment has settled",
        subject="Your order {{ order.id }} is paid",
        using=2,
    ),
    Text(
        "order-paid",
        "email",
        "id",
        (PAID_ID, PAID_ID + "\nPesanan dikirim dalam satu hari kerja.\n"),
        ORDER,
        "after a payment has settled",
        subject="Pesanan {{ order.id }} sudah dibayar",
    ),
    Text(
        "order-paid", "whatsapp", "en", ("Paid: {{ order.id }}, {{ order.total }}. Thank you, {{ name }}!",), ORDER, ""
    ),
    Text(
        "order-paid",
        "whatsapp",
        "id",
        ("Lunas: {{ order.id }}, {{ order.total }}. Terima kasih, {{ name }}!",),
        ORDER,
        "",
    ),
    Text(
        "otp",
        "whatsapp",
        "en",
        ("{{ code }} is your code. It is good for 5 minutes.",),
        {"code": "482 913"},
        "log-in codes",
    ),
    Text(
        "otp", "whatsapp", "id", ("{{ code }} adalah kode Anda, berlaku 5 menit.",), {"code": "482 913"}, "log-in codes"
    ),
    Text(
        "invoice",
        "email",
        "en",
        (
            "<h1>Invoice {{ number }}</h1>\n<p>Dear {{ name }}, please pay by {{ due }}.</p>\n"
            "<ul>{% for line in lines %}<li>{{ line }}</li>{% endfor %}</ul>\n",
        ),
        INVOICE,
        "monthly invoices of wholesale customers",
        subject="Invoice {{ number }}",
        content_type=HTML,
    ),
    Text(
        "refund-approval",
        "slack",
        "en",
        ('{"text": {{ ("Refund of " ~ order.id) | tojson }}, "blocks": [{"type": "divider"}]}',),
        ORDER,
        "asks the finance channel",
        content_type=JSON,
        draft=True,
    ),
    Text(
        "welcome", "email", "en", ("Welcome, {{ name }}!\n",), ORDER, "until the shop moved", "Welcome", archived=True
    ),
)


def make_templates(moment: datetime) -> None:
    """The versions, written over the last three weeks."""
    for text in TEXTS:
        newest = len(text.bodies)
        for number, body in enumerate(text.bodies, start=1):
            MessageTemplate.objects.create(
                name=text.name,
                channel=text.channel,
                language=text.language,
                version=number,
                subject=text.subject,
                body=body,
                content_type=text.content_type,
                description=text.about,
                sample_data=dict(text.sample),
                draft=text.draft,
                active=number == (text.using or newest) and not text.draft,
                archived_at=moment - timedelta(days=2) if text.archived else None,
                created_at=moment - timedelta(days=text.days[number - 1], hours=number),
                created_by=EDITOR,
            )


def use_templates() -> None:
    """Let what goes by mail and WhatsApp take them: the older half an older version, where there is one."""
    for service, channel in (("smtp", "email"), ("whatsapp", "whatsapp")):
        versions = list(MessageTemplate.objects.filter(name="order-paid", channel=channel, version__lte=2))
        versions.sort(key=lambda row: (row.version, row.language))
        ids = list(Message.objects.filter(service_id=service).order_by("pk").values_list("pk", flat=True))
        for position, version in enumerate(versions):
            share = ids[position * len(ids) // len(versions) : (position + 1) * len(ids) // len(versions)]
            for start in range(0, len(share), 500):
                Message.objects.filter(pk__in=share[start : start + 500]).update(
                    template=version.name,
                    template_version=version.version,
                    template_id=version.pk,
                    body_template="",
                    body_data=dict(ORDER),
                )

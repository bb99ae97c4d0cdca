"""With a month of use behind it no page asks much, and none reads a big table from end to end."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import Resolver404, resolve

from apps.accounts.models import User
from tests.console.conftest import make_person
from tests.console.places import DIALOGS, PAGES, places
from tests.scale.plans import big_tables, captured, scans

pytestmark = [pytest.mark.scale, pytest.mark.django_db, pytest.mark.timeout(600)]

MOST_QUERIES = 15
SEARCHES = (
    "/outbox?status=sent",
    "/outbox?status=dlq",
    "/outbox?status=expired",
    "/outbox?status=sending",
    "/outbox?service=slack",
    "/outbox?service=midtrans&status=waiting",
    "/outbox?tenant=tenant-7",
    "/outbox?tenant=nobody-at-all&since=7d",
    "/outbox?since=24h",
    "/outbox?channel=email",
    "/outbox?key=cart-9",
    "/outbox?error=answered+503",
    "/outbox?q=customer-8",
    "/outbox?q=CUSTOMER-8888@example.com",
    "/outbox?recipient=%2B6281210",
    "/outbox?q=order-4711",
    "/outbox?q=msg_00000000000040008000000000000000",
    "/outbox?q=nothing+like+it",
    "/outbox?cursor=150000&status=cancelled",
)
FINDS = tuple(
    f"/find?q={text}" for text in ("order-4711", "customer-8888", "midtrans", "100", "503", "nothing+like+it")
)

# The living page of components shows made-up rows only.
FOR_ADMINS = ("/components",)


def addresses() -> list[str]:
    """Every page and every dialog; the global search once it is there."""
    known = places()
    found = [path.format(**known) for path in (*PAGES, *DIALOGS) if path not in FOR_ADMINS]
    try:
        resolve("/find")
    except Resolver404:
        return [*found, *SEARCHES]
    return [*found, *SEARCHES, *FINDS]


@pytest.fixture
def lead_browser(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.filter(role="lead").first() or make_person("lead"))
    return client


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_every_page_asks_little_and_scans_nothing_big(month: None, lead_browser: Client, warm: bool) -> None:
    big, offences = big_tables(), []
    assert {"notification_outbox", "dead_letter", "delivery_attempt"} <= big
    for path in addresses():
        if warm:
            lead_browser.get(path)
        else:
            cache.clear()
        with captured() as statements:
            response = lead_browser.get(path)
        if response.status_code != 200:
            offences.append(f"{path}: answered {response.status_code}")
        if statements.count > MOST_QUERIES:
            offences.append(f"{path}: {statements.count} queries")
        for sql, params in statements.reads:
            offences += [
                f"{path}: scans {table}\n    {sql[:700]}\n    {params!r:.300}" for table in scans(sql, params, big)
            ]
    assert not offences, "\n" + "\n".join(dict.fromkeys(offences))

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
# When nobody has looked for a second, the frame of the page (breakers, workers, letters, alerts) is looked up as well.
MOST_QUERIES_COLD = 26
# A page of an incident ranks its suspects then as well, which is kept for a quarter of a minute.
RANKING = 5
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


def addresses() -> list[str]:
    """Every page and every dialog; the global search once it is there."""
    known = places()
    found = [path.format(**known) for path in (*PAGES, *DIALOGS)]
    try:
        resolve("/find")
    except Resolver404:
        return [*found, *SEARCHES]
    return [*found, *SEARCHES, *FINDS]


@pytest.fixture
def browser(db: None) -> Client:
    """An admin's, who may look at everything."""
    client = Client()
    client.force_login(User.objects.filter(role="admin").first() or make_person("admin"))
    return client


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a second is over between two requests."""
    monkeypatch.setattr("apps.console.selectors.vitals.SECONDS", 60)
    monkeypatch.setattr("apps.outbox.figures.BACKLOG_SECONDS", 60)


@pytest.mark.usefixtures("slow_clock")
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_every_page_asks_little_and_scans_nothing_big(month: None, browser: Client, warm: bool) -> None:
    big, offences = big_tables(), []
    assert {"notification_outbox", "dead_letter", "delivery_attempt"} <= big
    for path in addresses():
        if warm:
            browser.get(path)
        else:
            cache.clear()
        with captured() as statements:
            response = browser.get(path)
        if response.status_code != 200:
            offences.append(f"{path}: answered {response.status_code}")
        ranking = RANKING if path.startswith("/incidents/") else 0
        if statements.count > (MOST_QUERIES if warm else MOST_QUERIES_COLD + ranking):
            offences.append(f"{path}: {statements.count} queries")
        for sql, params in statements.reads:
            offences += [
                f"{path}: scans {table}\n    {sql[:700]}\n    {params!r:.300}" for table in scans(sql, params, big)
            ]
    assert not offences, "\n" + "\n".join(dict.fromkeys(offences))

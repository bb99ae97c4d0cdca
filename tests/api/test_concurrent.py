"""Many clients use one idempotency key at the same time, over HTTP."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from apps.outbox.models import Message
from tests.api.conftest import ORDER_BODY, ApiClient, MakeClient
from tests.conftest import make_service

CLIENTS = 16


@pytest.mark.django_db(transaction=True)
def test_one_message_however_many_ask(make_client: MakeClient) -> None:
    make_service("midtrans")
    headers = make_client().headers
    start = threading.Barrier(CLIENTS)

    def ask(_: int) -> tuple[int, int | None]:
        client = ApiClient()
        client.headers = headers
        start.wait(30)
        try:
            response = client.post("/api/v1/messages", ORDER_BODY, Idempotency_Key="k")
            return response.status_code, response.json().get("id")
        finally:
            connection.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(ask, range(CLIENTS)))
    met = Counter(status for status, _ in answers)
    assert met[202] == 1
    assert met[200] + met[409] == CLIENTS - 1
    assert {number for _, number in answers if number} == {Message.objects.get().pk}

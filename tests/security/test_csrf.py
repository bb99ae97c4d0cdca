"""Every change that a session could make needs the CSRF token."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.audit.models import AuditEntry
from tests.security.matrix import OPERATIONS
from tests.security.portal import Portal
from tests.security.walk import addresses

CHANGES = ("post", "put", "patch", "delete")


@pytest.mark.parametrize("method", CHANGES)
def test_no_address_takes_a_change_without_the_token(portal: Portal, method: str) -> None:
    """Pages answer 403; the API does not take a session for a change at all: 401, or 405 where there is none."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(portal["admin"])
    known, before = portal.known["admin"], AuditEntry.objects.count()
    for found in addresses():
        path = found.path(known)
        answer = getattr(client, method)(path)
        allowed = (401, 403, 404, 405) if path.startswith(("/api/v1/", "/stats/")) else (403,)
        if found.name == "api:api-root":
            allowed = (403, 405)
        if path.startswith("/webhooks/"):  # a session opens nothing there
            allowed = (401, 405)
        assert answer.status_code in allowed, (method, found.name, path, answer.status_code)
    assert AuditEntry.objects.count() == before


def test_a_wrong_token_and_a_foreign_origin_are_refused(portal: Portal) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(portal["admin"])
    client.get("/services/midtrans/pause")
    token = client.cookies["opsportal_csrf"].value
    send = {"reason": "x", "csrfmiddlewaretoken": token}
    assert client.post("/services/midtrans/pause", {**send, "csrfmiddlewaretoken": "0" * 64}).status_code == 403
    foreign = {"Origin": "https://evil.example"}
    assert client.post("/services/midtrans/pause", send, headers=foreign).status_code == 403
    assert client.post("/services/midtrans/pause", send).status_code == 302


def test_the_table_of_operations_says_which_ones_change() -> None:
    assert any(name.startswith("POST ") for name in OPERATIONS)

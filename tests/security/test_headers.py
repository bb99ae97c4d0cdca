"""What every answer tells the browser."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.outbox.models import Message
from tests.security.matrix import NOBODY, PAGES, PROBES
from tests.security.portal import Portal
from tests.security.walk import pages, query_of

ON_EVERY_ANSWER = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def test_every_page_carries_the_headers(portal: Portal) -> None:
    known, client = portal.known["admin"], Client()
    client.force_login(portal["admin"])
    for page in pages():
        rule = PAGES.get(page.name)
        if rule is None or rule.get == NOBODY:
            continue
        answer = client.get(page.path(known) + query_of(rule, known))
        for name, value in ON_EVERY_ANSWER.items():
            assert answer.headers.get(name) == value, (page.name, name)
        # A link that sets a password tells nobody its own address.
        told = "no-referrer" if page.name == "password-link" else "same-origin"
        assert answer.headers["Referrer-Policy"] == told, page.name
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, page.name
        assert "frame-ancestors 'none'" in policy, page.name
        assert "unsafe" not in policy, page.name
        assert "camera=()" in answer.headers["Permissions-Policy"], page.name


@pytest.mark.parametrize("path", ["/nowhere", "/services/nope", "/login", "/outbox/1", *PROBES, "/api/v1/nothing"])
def test_errors_and_probes_carry_them_too(db: None, path: str) -> None:
    answer = Client().get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in answer.headers["Permissions-Policy"]


def test_pages_with_what_people_are_called_are_not_kept(portal: Portal) -> None:
    client = Client()
    client.force_login(portal["operator"])
    number = Message.objects.filter(status="RETRYING").values_list("pk", flat=True).first()
    for headers in ({}, {"HX-Request": "true"}):
        answer = client.post(f"/outbox/{number}/reveal", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "private, no-store"
    for path in ("/", "/outbox", "/audit"):
        assert client.get(path).headers["Cache-Control"].startswith("private"), path

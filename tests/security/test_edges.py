"""What somebody outside could try: another place, a host of their own, a session they know, a page that talks."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from django.test import Client

from tests.security.portal import OTHER, PASSWORD, Portal

ELSEWHERE = (
    "https://evil.example/x",
    "//evil.example",
    "/\\evil.example",
    "javascript:alert(1)",
    "http:///evil.example",
)


@pytest.mark.parametrize("target", ELSEWHERE)
@pytest.mark.parametrize("path", ["/theme", "/language"])
def test_nothing_leads_elsewhere(db: None, path: str, target: str) -> None:
    answer = Client().post(path, {"next": target, "theme": "dark", "language": "id"})
    assert answer.status_code == 302
    assert "evil" not in answer.headers["Location"]
    assert answer.headers["Location"].startswith("/")


@pytest.mark.parametrize("target", ELSEWHERE)
def test_logging_in_leads_nowhere_else(portal: Portal, target: str) -> None:
    answer = Client().post(f"/login?next={target}", {"login": OTHER, "password": PASSWORD, "next": target})
    assert answer.status_code == 302, answer.content[:500]
    assert answer.headers["Location"] == "/"


def test_a_session_known_before_is_another_after_logging_in(portal: Portal) -> None:
    client = Client()
    session = client.session
    session["planted"] = "x"
    session.save()
    client.cookies["opsportal_session"] = session.session_key
    client.post("/login", {"login": OTHER, "password": PASSWORD})
    assert "_auth_user_id" in client.session
    assert client.session.session_key != session.session_key
    stranger = Client()
    stranger.cookies["opsportal_session"] = session.session_key
    assert stranger.get("/").status_code == 302


def test_a_host_that_is_not_ours_is_refused(db: None, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["portal.example"]
    assert Client().get("/login", headers={"Host": "evil.example"}).status_code == 400
    assert Client().get("/login", headers={"Host": "portal.example"}).status_code == 200


def test_a_page_that_fails_tells_nothing(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr("apps.console.views.audit.audit_page", fail)
    client = portal.browser("lead")
    client.raise_request_exception = False
    answer = client.get("/audit")
    page = answer.content.decode()
    assert answer.status_code == 500
    for leak in ("secret of the house", "Traceback", "RuntimeError", "views/audit.py"):
        assert leak not in page


def test_cookies_keep_to_https_when_the_portal_does() -> None:
    code = (
        "import django; django.setup(); from django.conf import settings as s; "
        "print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SESSION_COOKIE_HTTPONLY, s.CSRF_COOKIE_HTTPONLY, "
        "s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS > 0, s.SESSION_COOKIE_SAMESITE)"
    )
    environment = {**os.environ, "HTTPS": "1", "DJANGO_SETTINGS_MODULE": "opsportal.settings"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True"] * 6 + ["Lax"]


def test_a_form_larger_than_is_read_is_refused(portal: Portal, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = portal.browser("lead").post("/services/smtp/pause", {"reason": "x" * 2000})
    assert answer.status_code in (400, 413)

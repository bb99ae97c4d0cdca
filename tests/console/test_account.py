"""Log-in, its throttle, log-out and the theme."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as CacheAway

from apps.accounts import throttle
from tests.console.conftest import make_person


def log_in(client: Client, password: str, email: str = "lead@example.com", **extra: Any) -> Any:
    return client.post("/login", {"login": email, "password": password}, **extra)


def test_logging_in_and_out(client: Client, db: None) -> None:
    make_person("lead")
    answer = client.post(
        "/login?next=/outbox", {"login": "Lead@Example.com", "password": "right-password", "next": "/outbox"}
    )
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/outbox"
    assert client.get("/").status_code == 200
    assert client.post("/logout").status_code == 302
    assert client.get("/").status_code == 302


def test_next_leads_nowhere_else(client: Client, db: None) -> None:
    make_person("lead")
    answer = client.post(
        "/login", {"login": "lead@example.com", "password": "right-password", "next": "https://evil.example/"}
    )
    assert answer.headers["Location"] == "/"


def test_a_wrong_password_is_said_so(client: Client, db: None) -> None:
    make_person("lead")
    answer = log_in(client, "wrong")
    assert answer.status_code == 422
    assert b"do not belong together" in answer.content


def test_ten_failures_are_enough_for_fifteen_minutes(client: Client, db: None) -> None:
    make_person("lead")
    for _ in range(10):
        assert log_in(client, "wrong").status_code == 422
    answer = log_in(client, "right-password")
    assert answer.status_code == 429
    assert re.search(rb"Too many failures. Try again in 14 min 5\d s", answer.content)
    assert log_in(client, "right-password", REMOTE_ADDR="10.0.0.9").status_code == 302


def test_another_person_at_the_same_address_is_not_locked_out(client: Client, db: None) -> None:
    make_person("lead")
    make_person("viewer")
    for _ in range(10):
        log_in(client, "wrong")
    assert log_in(client, "right-password", "viewer@example.com").status_code == 302


def test_success_starts_over(client: Client, db: None) -> None:
    make_person("lead")
    for _ in range(9):
        log_in(client, "wrong")
    assert log_in(client, "right-password").status_code == 302
    client.logout()
    for _ in range(9):
        assert log_in(client, "wrong").status_code == 422


def test_without_the_cache_people_still_log_in(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise CacheAway("the broker is being restarted")

    make_person("lead")
    for name in ("get_many", "add", "incr", "delete_many"):
        monkeypatch.setattr(cache, name, away, raising=False)
    assert log_in(client, "wrong").status_code == 422
    assert log_in(client, "right-password").status_code == 302


def test_a_window_that_ends_between_two_calls_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise ValueError("Key not found")

    monkeypatch.setattr(cache, "incr", gone, raising=False)
    throttle.LOG_IN.count("10.0.0.1", "a@example.com")
    assert throttle.LOG_IN.blocked_for("10.0.0.1", "a@example.com") == 0


def test_the_theme_is_remembered_and_can_be_forgotten(client: Client, db: None) -> None:
    client.force_login(make_person("viewer"))
    answer = client.post("/theme", {"theme": "dark", "next": "/outbox"})
    assert answer.headers["Location"] == "/outbox"
    assert b'data-theme="dark"' in client.get("/").content
    client.post("/theme", {"theme": "", "next": "//evil.example"})
    assert b"data-theme=" not in client.get("/").content.split(b"<body")[0]


def test_a_theme_there_is_none_of_is_ignored(client: Client, db: None) -> None:
    client.force_login(make_person("viewer"))
    client.cookies["opsportal_theme"] = '"><script>'
    assert b"<script>" not in client.get("/").content
    assert client.post("/theme", {"theme": "neon", "next": "//evil.example"}).headers["Location"] == "/"


def test_who_may_no_longer_log_in_is_told_nothing_more(client: Client, db: None) -> None:
    person = make_person("lead")
    person.is_active = False
    person.save()
    assert log_in(client, "right-password").status_code == 422

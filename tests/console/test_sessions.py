"""Where one is logged in: seen, ended, and ended at once when something about a person changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.test import Client

from apps.accounts import people, sessions
from apps.accounts.models import PersonSession, User
from apps.accounts.services import change_person
from apps.audit.models import AuditEntry
from apps.core import clock
from apps.core.actor import SYSTEM
from tests.console.conftest import make_person

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1 Version/19.0 Mobile Safari/604.1"


def browser(email: str, agent: str = FIREFOX, ip: str = "10.0.0.1") -> Client:
    client = Client(headers={"User-Agent": agent}, REMOTE_ADDR=ip)
    assert client.post("/login", {"login": email, "password": "right-password"}).status_code == 302
    assert client.get("/settings/sessions").status_code == 200
    return client


@pytest.fixture
def two(db: None) -> tuple[Client, Client]:
    """A lead on a desk and on a phone."""
    make_person("lead")
    return browser("lead@example.com"), browser("lead@example.com", IPHONE, "10.0.0.2")


def test_everyone_sees_their_own(two: tuple[Client, Client]) -> None:
    make_person("viewer")
    browser("viewer@example.com", ip="10.0.0.3")
    page = two[0].get("/settings/sessions").content.decode()
    assert "Firefox, Linux" in page
    assert "Safari, iPhone" in page
    assert "10.0.0.2" in page
    assert "10.0.0.3" not in page
    assert page.count("This one") == 1


def test_one_can_be_ended(two: tuple[Client, Client]) -> None:
    phone = PersonSession.objects.get(ip="10.0.0.2")
    assert two[0].post(f"/settings/sessions/{phone.pk}/end").status_code == 302
    assert two[1].get("/").headers["Location"].startswith("/login")
    assert two[0].get("/").status_code == 200
    entry = AuditEntry.objects.get(action="person.session_ended")
    assert entry.before == {"ip": "10.0.0.2", "device": "Safari, iPhone"}
    again = two[0].post(f"/settings/sessions/{phone.pk}/end", follow=True)
    assert b"has ended already" in again.content


def test_nobody_ends_somebody_elses(two: tuple[Client, Client]) -> None:
    make_person("viewer")
    theirs = browser("viewer@example.com")
    row = PersonSession.objects.get(ip="10.0.0.2")
    theirs.post(f"/settings/sessions/{row.pk}/end")
    assert two[1].get("/").status_code == 200


def test_all_others_can_be_ended(two: tuple[Client, Client]) -> None:
    third = browser("lead@example.com", ip="10.0.0.9")
    assert two[0].post("/settings/sessions/end-others").status_code == 302
    assert [client.get("/").status_code for client in (*two, third)] == [200, 302, 302]
    assert AuditEntry.objects.get(action="person.sessions_ended").after == {"sessions_ended": 2}


def test_logging_out_takes_the_row_with_it(two: tuple[Client, Client]) -> None:
    two[1].post("/logout")
    assert [row.ip for row in PersonSession.objects.all()] == ["10.0.0.1"]
    assert AuditEntry.objects.filter(action="person.logged_out").count() == 1


def test_a_session_that_is_over_is_not_listed(two: tuple[Client, Client]) -> None:
    Session.objects.filter(session_key=PersonSession.objects.get(ip="10.0.0.2").session_key).update(
        expire_date=clock.now() - timedelta(seconds=1)
    )
    assert b"10.0.0.2" not in two[0].get("/settings/sessions").content


def test_last_seen_is_written_once_a_minute(two: tuple[Client, Client], django_assert_num_queries: Any) -> None:
    before = PersonSession.objects.get(ip="10.0.0.1").last_seen_at
    two[0].get("/settings/sessions")
    assert PersonSession.objects.get(ip="10.0.0.1").last_seen_at == before
    sessions._seen._at.clear()
    with time_machine.travel(before + timedelta(minutes=5), tick=False):
        two[0].get("/settings/sessions", REMOTE_ADDR="10.0.0.77")
    row = PersonSession.objects.get(ip="10.0.0.77")
    assert row.last_seen_at == before + timedelta(minutes=5)


def test_locking_somebody_out_ends_their_sessions_at_once(two: tuple[Client, Client]) -> None:
    change_person(email="lead@example.com", changes={"is_active": False}, actor=SYSTEM)
    assert all(client.get("/").status_code == 302 for client in two)
    assert not PersonSession.objects.exists()
    change_person(email="lead@example.com", changes={"is_active": True}, actor=SYSTEM)
    assert all(client.get("/").status_code == 302 for client in two)


def test_a_role_holds_from_the_next_press(two: tuple[Client, Client]) -> None:
    assert two[0].get("/settings/keys").status_code == 200
    change_person(email="lead@example.com", changes={"role": "viewer"}, actor=SYSTEM)
    assert all(client.get("/settings/keys").status_code == 403 for client in two)
    assert all(client.get("/").status_code == 200 for client in two)


def test_a_new_password_logs_out_everywhere_else(two: tuple[Client, Client]) -> None:
    fields = {"oldpassword": "right-password", "password1": "staple-battery-horse", "password2": "staple-battery-horse"}
    assert two[0].post("/settings/security/password", fields).headers["Location"] == "/settings/security"
    assert two[0].get("/").status_code == 200
    assert two[1].get("/").status_code == 302
    assert User.objects.get().check_password("staple-battery-horse")
    assert [row.session.ip for row in sessions.sessions_of(User.objects.get())] == ["10.0.0.1"]
    assert AuditEntry.objects.filter(action="person.password_changed").count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"oldpassword": "wrong"}, "not your current password"),
        ({"password2": "something-else-here"}, "not the same"),
        ({"password1": "short", "password2": "short"}, "at least 12 characters"),
        ({"password1": "lead@example.com", "password2": "lead@example.com"}, "too similar"),
        ({"password1": "password1234", "password2": "password1234"}, "too common"),
    ],
)
def test_a_bad_new_password_is_refused(two: tuple[Client, Client], fields: dict[str, str], said: str) -> None:
    good = {"oldpassword": "right-password", "password1": "staple-battery-horse", "password2": "staple-battery-horse"}
    answer = two[0].post("/settings/security/password", {**good, **fields})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert User.objects.get().check_password("right-password")
    assert two[1].get("/").status_code == 200


def test_an_admin_ends_somebodys_sessions(two: tuple[Client, Client], person: Callable[[str], Client]) -> None:
    admin, target = person("admin"), User.objects.get(role="lead")
    page = admin.get(f"/settings/people/{target.pk}").content.decode()
    assert "10.0.0.1" in page
    assert admin.post(f"/settings/people/{target.pk}/sessions", {"reason": "laptop lost"}).status_code == 302
    assert all(client.get("/").status_code == 302 for client in two)
    entry = AuditEntry.objects.get(action="person.sessions_ended")
    assert (entry.after, entry.reason, entry.actor) == ({"sessions_ended": 2}, "laptop lost", "admin@example.com")


def test_old_rows_and_links_are_forgotten(two: tuple[Client, Client]) -> None:
    people.make_password_link(email="lead@example.com", actor=SYSTEM)
    assert sessions.clean_sessions() == 0
    with time_machine.travel(clock.now() + timedelta(days=2), tick=False):
        assert sessions.clean_sessions() == 2
    assert not PersonSession.objects.exists()
    assert not Session.objects.exists()
    assert not hasattr(User.objects.get(), "password_link")


@pytest.mark.parametrize(("agent", "said"), [("", ""), ("curl/8.1", "curl"), ("x" * 400, "x" * 60)])
def test_devices_that_say_little(agent: str, said: str) -> None:
    assert sessions.device(agent) == said


def test_a_strange_address_is_no_reason_to_fail(db: None) -> None:
    make_person("lead")
    browser("lead@example.com", ip="")
    assert PersonSession.objects.get().ip == ""

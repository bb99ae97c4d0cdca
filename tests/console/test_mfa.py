"""A second factor: set up, asked for, used once, lost, demanded; and passkeys in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as CacheAway

from apps.accounts import people, second_factor
from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM
from tests.console.conftest import make_person

NOON = datetime(2031, 5, 5, 12, 0, 10, tzinfo=UTC)
SECRET = re.compile(r'<code class="secret">([A-Z2-7=]+)</code>')
CODES = re.compile(r"<li><code>(\d{8})</code></li>")
PASSWORD = "right-password"


def code_at(secret: str, at: datetime) -> str:
    return str(format_hotp_value(hotp_value(secret, int(at.timestamp()) // 30)))


def log_in(client: Client, email: str = "lead@example.com") -> Any:
    return client.post("/login", {"login": email, "password": PASSWORD})


def confirm(client: Client) -> None:
    assert client.post("/account/confirm", {"password": PASSWORD}).status_code == 302


def set_up(client: Client, at: datetime = NOON) -> tuple[str, list[str]]:
    """Set up an app; the secret and the recovery codes that were shown."""
    confirm(client)
    secret = SECRET.search(client.get("/settings/security/app").content.decode())
    assert secret is not None
    answer = client.post("/settings/security/app", {"code": code_at(secret[1], at)})
    assert answer.headers["Location"] == "/settings/security/recovery-codes"
    return secret[1], CODES.findall(client.get("/settings/security/recovery-codes").content.decode())


@pytest.fixture
def lead(db: None) -> User:
    return make_person("lead")


@pytest.fixture
def noon() -> Any:
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


@pytest.fixture
def protected(lead: User, noon: Any) -> tuple[str, list[str]]:
    """A lead with an app, logged out everywhere, half an hour later."""
    client = Client()
    log_in(client)
    found = set_up(client)
    client.post("/logout")
    noon.shift(timedelta(minutes=30))
    return found


LATER = NOON + timedelta(minutes=30)


def test_the_password_alone_is_not_enough(protected: tuple[str, list[str]], client: Client) -> None:
    assert log_in(client).headers["Location"] == "/login/code"
    for path in ("/", "/outbox", "/settings/keys", "/api/v1/messages"):
        assert client.get(path).status_code in (302, 401), path
    page = client.get("/login/code")
    assert b"six digits" in page.content
    assert client.post("/login/code", {"code": code_at(protected[0], LATER)}).headers["Location"] == "/"
    assert client.get("/").status_code == 200


def test_where_one_wanted_to_go_is_kept(protected: tuple[str, list[str]], client: Client) -> None:
    client.post("/login", {"login": "lead@example.com", "password": PASSWORD, "next": "/outbox?status=waiting"})
    answer = client.post("/login/code", {"code": code_at(protected[0], LATER)})
    assert answer.headers["Location"] == "/outbox?status=waiting"


@pytest.mark.parametrize("away", [False, True])
def test_a_code_is_taken_once_with_or_without_the_cache(
    protected: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, away: bool
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise CacheAway("the broker is being restarted")

    if away:
        for name in ("get_many", "add", "incr", "delete_many"):
            monkeypatch.setattr(cache, name, gone, raising=False)
    code = code_at(protected[0], LATER)
    first, second = Client(), Client()
    for client in (first, second):
        log_in(client)
    assert first.post("/login/code", {"code": code}).status_code == 302
    assert second.post("/login/code", {"code": code}).status_code == 422
    assert second.get("/").status_code == 302


def test_an_older_code_than_one_that_was_taken_is_refused(protected: tuple[str, list[str]]) -> None:
    person = User.objects.get()
    assert second_factor.use_code(person, code_at(protected[0], LATER)) is not None
    assert second_factor.use_code(person, code_at(protected[0], LATER - timedelta(seconds=30))) is None
    assert second_factor.use_code(person, code_at(protected[0], LATER + timedelta(seconds=30))) is not None


def test_the_code_of_setting_up_is_used_up(lead: User, noon: Any, client: Client) -> None:
    log_in(client)
    secret, _ = set_up(client)
    assert second_factor.use_code(lead, code_at(secret, NOON)) is None


@pytest.mark.parametrize(("drift", "taken"), [(-60, False), (-30, True), (30, True), (60, False)])
def test_a_clock_may_be_half_a_minute_off(protected: tuple[str, list[str]], drift: int, taken: bool) -> None:
    code = code_at(protected[0], LATER + timedelta(seconds=drift))
    assert (second_factor.use_code(User.objects.get(), code) is not None) == taken


def test_ten_wrong_codes_are_enough(protected: tuple[str, list[str]], client: Client, noon: Any) -> None:
    log_in(client)
    for _ in range(10):
        assert client.post("/login/code", {"code": "000000"}).status_code == 422
    refused = client.post("/login/code", {"code": code_at(protected[0], LATER)})
    assert refused.status_code == 429
    assert b"Too many failures" in refused.content
    assert AuditEntry.objects.filter(action="person.login_failed").count() == 10
    noon.shift(timedelta(minutes=16))
    code = code_at(protected[0], LATER + timedelta(minutes=16))
    assert client.post("/login/code", {"code": code}).status_code == 302


def test_a_recovery_code_stands_in_once(protected: tuple[str, list[str]]) -> None:
    codes = protected[1]
    assert len(codes) == len(set(codes)) == 10
    for expected in (302, 422):
        client = Client()
        log_in(client)
        assert client.post("/login/code", {"code": codes[3]}).status_code == expected
    client = Client()
    log_in(client)
    assert client.post("/login/code", {"code": codes[4]}).status_code == 302
    assert b"8 are left" in client.get("/settings/security").content


def test_recovery_codes_are_shown_once_and_can_be_made_anew(lead: User, noon: Any, client: Client) -> None:
    log_in(client)
    _, codes = set_up(client)
    again = client.get("/settings/security/recovery-codes").content.decode()
    assert not any(code in again for code in codes)
    assert "not shown again" in again
    assert client.post("/settings/security/recovery-codes/new").status_code == 302
    fresh = CODES.findall(client.get("/settings/security/recovery-codes").content.decode())
    assert len(fresh) == 10
    assert second_factor.use_code(lead, codes[0]) is None
    assert second_factor.use_code(lead, fresh[0]) is not None


def test_secrets_are_encrypted_in_the_tables_and_in_the_session(lead: User, noon: Any, client: Client) -> None:
    log_in(client)
    confirm(client)
    page = client.get("/settings/security/app").content.decode()
    secret = SECRET.search(page)
    assert secret is not None
    assert secret[1] not in str(dict(client.session.items()))
    client.post("/settings/security/app", {"code": code_at(secret[1], NOON)})
    codes = CODES.findall(client.get("/settings/security/recovery-codes").content.decode())
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret[1] not in stored
    assert not any(code in stored for code in codes)
    trail = str(list(AuditEntry.objects.values()))
    assert secret[1] not in trail
    assert not any(code in trail for code in codes)


def test_a_wrong_first_code_keeps_the_key(lead: User, noon: Any, client: Client) -> None:
    log_in(client)
    confirm(client)
    secret = SECRET.search(client.get("/settings/security/app").content.decode())
    refused = client.post("/settings/security/app", {"code": "123"})
    assert refused.status_code == 422
    assert secret is not None
    assert secret[1] in refused.content.decode()
    assert not Authenticator.objects.exists()


PLACES = (
    "/settings/security/app",
    "/settings/security/passkeys/new",
    "/settings/security/app/remove",
    "/settings/security/recovery-codes",
    "/settings/security/recovery-codes/new",
)


def test_security_is_changed_only_by_who_proved_it_again(protected: tuple[str, list[str]], noon: Any) -> None:
    client = Client()
    log_in(client)
    client.post("/login/code", {"code": code_at(protected[0], LATER)})
    for path in PLACES[1:]:
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/account/confirm/code?next="), path
    client.post("/settings/security/app/remove")
    assert Authenticator.objects.filter(type="totp").exists()


def test_who_has_a_second_factor_cannot_confirm_with_the_password(protected: tuple[str, list[str]]) -> None:
    client = Client()
    log_in(client)
    client.post("/login/code", {"code": code_at(protected[0], LATER)})
    answer = client.post("/account/confirm", {"password": PASSWORD})
    assert answer.headers["Location"].startswith("/account/confirm/code")
    assert client.get("/settings/security/app/remove").status_code == 302


def test_an_app_can_be_removed_and_its_codes_go_with_it(protected: tuple[str, list[str]], noon: Any) -> None:
    client = Client()
    log_in(client)
    client.post("/login/code", {"code": code_at(protected[0], LATER)})
    noon.shift(timedelta(minutes=2))
    client.post("/account/confirm/code", {"code": code_at(protected[0], LATER + timedelta(minutes=2))})
    assert client.post("/settings/security/app/remove").headers["Location"] == "/settings/security"
    assert not Authenticator.objects.exists()
    actions = list(AuditEntry.objects.values_list("action", flat=True))
    assert actions.count("person.factor_removed") == 2
    assert log_in(Client()).headers["Location"] == "/"


def test_confirming_holds_for_ten_minutes(lead: User, noon: Any, client: Client) -> None:
    log_in(client)
    confirm(client)
    assert client.get("/settings/security/app").status_code == 200
    noon.shift(timedelta(minutes=11))
    assert client.get("/settings/security/app").status_code == 302


def test_a_wrong_password_does_not_confirm_and_is_counted(lead: User, client: Client) -> None:
    log_in(client)
    for _ in range(10):
        assert client.post("/account/confirm", {"password": "wrong"}).status_code == 422
    assert client.post("/account/confirm", {"password": PASSWORD}).status_code == 429
    assert client.get("/settings/security/app").status_code == 302


def test_an_admin_helps_who_lost_everything(protected: tuple[str, list[str]]) -> None:
    people.reset_second_factor(email="lead@example.com", actor=SYSTEM, reason="phone fell into the sea")
    assert log_in(Client()).headers["Location"] == "/"
    entry = AuditEntry.objects.get(action="person.factors_reset")
    assert entry.before == {"factors": ["recovery_codes", "totp"]}
    assert entry.reason == "phone fell into the sea"


# --- demanded of a role --------------------------------------------------------------------------
DEEP = ("/", "/outbox", "/settings", "/settings/keys", "/settings/profile", "/admin/", "/services/nope")


@pytest.fixture
def demanded(settings: Any) -> None:
    settings.REQUIRE_MFA_FOR = ["lead", "admin"]


def test_without_one_only_setting_up_is_open(lead: User, demanded: None, client: Client, noon: Any) -> None:
    log_in(client)
    for path in DEEP:
        assert client.get(path).headers["Location"] == "/settings/security", path
        assert client.post(path).headers["Location"] == "/settings/security", path
    assert client.get("/api/v1/messages").status_code == 401
    assert b"Your role needs a second factor" in client.get("/settings/security").content
    set_up(client)
    for path in DEEP[:5]:
        assert client.get(path).status_code == 200, path
    assert client.get("/api/v1/messages").status_code == 200


def test_other_roles_are_let_be(db: None, demanded: None, client: Client) -> None:
    make_person("operator")
    log_in(client, "operator@example.com")
    assert client.get("/").status_code == 200


def test_a_session_from_before_must_prove_it(protected: tuple[str, list[str]], demanded: None, client: Client) -> None:
    client.force_login(User.objects.get())
    answer = client.get("/outbox?status=waiting")
    assert answer.headers["Location"] == "/account/confirm/code?next=%2Foutbox%3Fstatus%3Dwaiting"
    # Nor may it be removed, replaced or set up anew instead.
    for path in ("/settings/security", *PLACES, "/settings/security/password", "/account/confirm"):
        assert client.get(path).headers["Location"].startswith("/account/confirm/code"), path
    code = code_at(protected[0], LATER)
    assert client.post("/account/confirm/code?next=/outbox", {"code": code}).headers["Location"] == "/outbox"
    assert client.get("/outbox").status_code == 200


def test_a_new_role_is_asked_at_the_next_press(db: None, demanded: None, client: Client) -> None:
    make_person("operator")
    log_in(client, "operator@example.com")
    assert client.get("/outbox").status_code == 200
    User.objects.update(role="lead")
    assert client.get("/outbox").headers["Location"] == "/settings/security"


def test_djangos_own_log_in_is_no_way_around(protected: tuple[str, list[str]], client: Client) -> None:
    User.objects.update(role="admin")
    answer = client.post("/admin/login/?next=/admin/", {"username": "lead@example.com", "password": PASSWORD})
    assert answer.headers["Location"].startswith("/login?next=")
    assert client.get("/admin/").status_code == 302


def test_who_may_not_see_the_admin_is_told_so(db: None, person: Callable[[str], Client]) -> None:
    client = person("lead")
    assert client.get("/admin/", follow=True).status_code == 403
    assert person("admin").get("/admin/").status_code == 200


def test_the_admin_offers_no_way_to_change_log_ins(person: Callable[[str], Client]) -> None:
    page = person("admin").get("/admin/").content.decode()
    assert "Periodic tasks" in page
    for word in ("Authenticators", "Social", "Email addresses"):
        assert word not in page, word

"""People and roles: invited, changed, locked out, helped; and the links that passwords are set with."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.test import Client

from apps.accounts import people
from apps.accounts.models import PasswordLink, User
from apps.accounts.roles import ROLE_PERMISSIONS, Role
from apps.accounts.services import change_person
from apps.audit.models import AuditEntry
from apps.console.selectors.installation import TASK_WORDS
from apps.core import clock
from apps.core.actor import ALL_PERMISSIONS, SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from opsportal.schedule import SCHEDULE
from tests.console.conftest import make_person

Person = Callable[[str], Client]
LINK = re.compile(r"http://testserver(/login/link/[\w-]{43})")
NEW = {"password1": "staple-battery-horse", "password2": "staple-battery-horse"}
HTMX = {"HX-Request": "true"}


def invite(admin: Client, email: str = "New@Example.com", role: str = "operator", **headers: Any) -> Any:
    return admin.post("/settings/people/invite", {"email": email, "name": "Nia", "role": role}, **headers)


def link_in(answer: Any) -> str:
    found = LINK.search(answer.content.decode())
    assert found is not None
    return found[1]


@pytest.mark.parametrize("headers", [{}, HTMX])
def test_inviting_shows_a_link_once(person: Person, headers: dict[str, str]) -> None:
    admin = person("admin")
    answer = invite(admin, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "private, no-store"
    path = link_in(answer)
    new = User.objects.get(email="new@example.com")
    assert (new.role, new.name, new.has_usable_password()) == ("operator", "Nia", False)
    token = path.rsplit("/", 1)[1]
    assert token not in str(list(PasswordLink.objects.values()))
    assert token not in str(list(AuditEntry.objects.values()))
    assert token not in str(dict(admin.session.items()))
    assert token not in admin.get(f"/settings/people/{new.pk}").content.decode()
    assert b"Invited" in admin.get("/settings/people").content


def test_a_link_sets_a_password_once(person: Person, client: Client) -> None:
    path = link_in(invite(person("admin")))
    page = client.get(path)
    assert b"new@example.com" in page.content
    assert page.headers["Cache-Control"] == "private, no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert client.post(path, NEW).headers["Location"] == "/login"
    assert client.get(path).status_code == client.post(path, NEW).status_code == 404
    answer = client.post("/login", {"login": "new@example.com", "password": NEW["password1"]})
    assert answer.headers["Location"] == "/"
    entry = AuditEntry.objects.get(action="person.password_set")
    assert entry.after == {"by": "link", "link_made_by": "admin@example.com", "sessions_ended": 0}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password2": "other-than-the-first"}, "not the same"),
        ({"password1": "short", "password2": "short"}, "at least 12 characters"),
        ({"password1": "new@example.com", "password2": "new@example.com"}, "too similar"),
        ({"password1": ""}, "required"),
    ],
)
def test_a_bad_password_leaves_the_link_alive(
    person: Person, client: Client, fields: dict[str, str], said: str
) -> None:
    path = link_in(invite(person("admin")))
    answer = client.post(path, {**NEW, **fields})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert client.post(path, NEW).status_code == 302


def test_a_link_dies_after_a_day(person: Person, client: Client) -> None:
    path = link_in(invite(person("admin")))
    with time_machine.travel(clock.now() + timedelta(hours=24, seconds=1), tick=False):
        answer = client.get(path)
        assert answer.status_code == 404
        assert b"used, has expired or was replaced" in answer.content
        assert client.post(path, NEW).status_code == 404
    assert not User.objects.get(email="new@example.com").has_usable_password()


def test_a_newer_link_ends_the_one_before(person: Person, client: Client) -> None:
    admin = person("admin")
    first = link_in(invite(admin))
    new = User.objects.get(email="new@example.com")
    second = link_in(admin.post(f"/settings/people/{new.pk}/link"))
    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200


def test_locking_out_ends_the_link(person: Person, client: Client) -> None:
    path = link_in(invite(person("admin")))
    change_person(email="new@example.com", changes={"is_active": False}, actor=SYSTEM)
    change_person(email="new@example.com", changes={"is_active": True}, actor=SYSTEM)
    assert client.get(path).status_code == 404


def test_a_used_link_ends_every_session(person: Person, client: Client) -> None:
    make_person("viewer")
    theirs = Client()
    theirs.post("/login", {"login": "viewer@example.com", "password": "right-password"})
    theirs.get("/")
    link = people.make_password_link(email="viewer@example.com", actor=SYSTEM)
    assert theirs.get("/").status_code == 200
    client.post(f"/login/link/{link.token}", NEW)
    assert theirs.get("/").status_code == 302


def test_guessing_links_is_slowed_down(person: Person, client: Client) -> None:
    path = link_in(invite(person("admin")))
    for number in range(30):
        assert client.get(f"/login/link/guess-{number}").status_code == 404
    answer = client.get(path)
    assert answer.status_code == 404
    assert b"Too many links" in answer.content
    assert client.get(path, REMOTE_ADDR="10.0.0.9").status_code == 200


def test_the_link_of_somebody_locked_out_is_refused(db: None) -> None:
    make_person("viewer")
    change_person(email="viewer@example.com", changes={"is_active": False}, actor=SYSTEM)
    with pytest.raises(Conflict, match="may not log in"):
        people.make_password_link(email="viewer@example.com", actor=SYSTEM)
    with pytest.raises(NotFound):
        people.use_password_link(token="nothing", password=NEW["password1"])


def test_what_is_wrong_with_an_invitation_is_said(person: Person) -> None:
    admin = person("admin")
    assert invite(admin, "not-an-address").status_code == 422
    assert invite(admin, role="boss").status_code == 422
    answer = invite(admin, "ADMIN@example.com")
    assert answer.status_code == 422
    assert b"already an operator" in answer.content
    assert User.objects.count() == 1


# --- changing somebody ---------------------------------------------------------------------------
def test_a_role_is_changed_with_before_and_after(person: Person) -> None:
    admin, target = person("admin"), make_person("viewer")
    answer = admin.post(f"/settings/people/{target.pk}/role", {"role": "lead", "reason": "new team"})
    assert answer.status_code == 302
    entry = AuditEntry.objects.get(action="person.changed")
    assert (entry.before, entry.after, entry.reason) == ({"role": "viewer"}, {"role": "lead"}, "new team")
    assert entry.actor == "admin@example.com"
    page = admin.get(f"/settings/people/{target.pk}").content.decode()
    assert "person.changed" in page
    assert "new team" in page


def test_the_last_admin_stays(person: Person) -> None:
    admin, me = person("admin"), User.objects.get(role="admin")
    for path, fields in (("role", {"role": "viewer"}), ("access", {})):
        answer = admin.post(f"/settings/people/{me.pk}/{path}", fields)
        assert answer.status_code == 422, path
        assert b"last active admin" in answer.content, path
    assert admin.get("/settings/people").status_code == 200


def test_locked_out_and_let_in_again(person: Person, client: Client) -> None:
    admin, target = person("admin"), make_person("viewer")
    assert b"may not log in any more" in admin.post(f"/settings/people/{target.pk}/access", follow=True).content
    assert b"Locked out" in admin.get("/settings/people").content
    assert client.post("/login", {"login": "viewer@example.com", "password": "right-password"}).status_code == 422
    assert b"Let in again" in admin.get(f"/settings/people/{target.pk}").content
    admin.post(f"/settings/people/{target.pk}/access")
    assert client.post("/login", {"login": "viewer@example.com", "password": "right-password"}).status_code == 302


def test_resetting_what_there_is_not(person: Person) -> None:
    admin, target = person("admin"), make_person("viewer")
    answer = admin.post(f"/settings/people/{target.pk}/second-factor")
    assert answer.status_code == 422
    assert b"has no second factor" in answer.content
    Authenticator.objects.create(user=target, type="totp", data={"secret": "x"})
    assert b"app" in admin.get("/settings/people").content
    assert admin.post(f"/settings/people/{target.pk}/second-factor").status_code == 302
    assert not Authenticator.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator", "lead"])
def test_only_admins_may(person: Person, role: str) -> None:
    target = make_person("admin")
    client = person(role)
    base = f"/settings/people/{target.pk}"
    for path in ("", "/role", "/access", "/link", "/second-factor", "/sessions"):
        assert client.get(base + path).status_code == 403, path
        assert client.post(base + path, {"role": "viewer"}).status_code in (403, 405), path
    assert client.get("/settings/people").status_code == 403
    assert invite(client).status_code == 403
    assert not AuditEntry.objects.exists()
    assert b"People and roles" not in client.get("/settings").content


@pytest.mark.parametrize(
    "verb",
    [
        lambda who: people.invite(email="a@example.com", role="viewer", actor=who),
        lambda who: people.make_password_link(email="viewer@example.com", actor=who),
        lambda who: people.reset_second_factor(email="viewer@example.com", actor=who),
        lambda who: people.end_sessions_of(email="viewer@example.com", actor=who),
    ],
)
def test_the_service_layer_checks_too(db: None, verb: Callable[[Actor], Any]) -> None:
    make_person("viewer")
    with pytest.raises(Forbidden):
        verb(Actor("person", "lead@example.com", ROLE_PERMISSIONS[Role.LEAD]))


def test_the_matrix_is_the_table_that_is_enforced(person: Person) -> None:
    page = person("admin").get("/settings/people").content.decode()
    rows = dict(re.findall(r'<th scope="row"><span class="mono">([\w.]+)</span>.*?</th>(.*?)</tr>', page, re.DOTALL))
    assert set(rows) == set(ALL_PERMISSIONS)
    for permission, cells in rows.items():
        held = [said == "yes" for said in re.findall(r'visually-hidden">(yes|no)<', cells)]
        assert held == [permission in ROLE_PERMISSIONS[role] for role in Role.values], permission


def test_people_who_are_not_there(person: Person) -> None:
    assert person("admin").get("/settings/people/999").status_code == 404


def test_the_list_asks_little_however_many(person: Person, django_assert_max_num_queries: Any) -> None:
    admin = person("admin")
    for number in range(30):
        make_person("viewer", f"v{number}@example.com")
    admin.get("/settings/people")
    with django_assert_max_num_queries(13):
        assert admin.get("/settings/people").content.count(b"@example.com</a>") == 31


# --- oneself -------------------------------------------------------------------------------------
def test_a_profile_is_saved_and_written_down(person: Person) -> None:
    client = person("viewer")
    fields = {"name": "Vera", "language": "id", "time_zone": "Asia/Jakarta"}
    assert client.post("/settings/profile", fields).headers["Location"] == "/settings/profile"
    me = User.objects.get()
    assert (me.name, me.language, me.time_zone) == ("Vera", "id", "Asia/Jakarta")
    client.post("/settings/profile", fields)
    entry = AuditEntry.objects.get(action="person.profile_changed")
    assert entry.before == {"name": "", "language": "", "time_zone": ""}


def test_a_profile_takes_only_what_there_is(person: Person) -> None:
    client = person("viewer")
    for fields in ({"language": "xx"}, {"time_zone": "Mars/Olympus"}, {"name": "x" * 101}):
        assert client.post("/settings/profile", fields).status_code == 422
    client.post("/settings/profile", {"name": "V", "role": "admin", "email": "x@example.com", "is_superuser": "1"})
    me = User.objects.get()
    assert (me.role, me.email, me.is_superuser) == ("viewer", "viewer@example.com", False)
    with pytest.raises(Invalid):
        people.update_profile(person=me, changes={"role": "admin"})


@pytest.mark.parametrize("role", Role.values)
def test_settings_show_what_one_may_open(person: Person, role: str) -> None:
    client = person(role)
    page = client.get("/settings").content.decode()
    for name, path in (("API keys", "/settings/keys"), ("People and roles", "/settings/people")):
        assert (name in page) == (client.get(path).status_code == 200), path
    assert ("/admin/" in page) == (role == "admin")
    for path in ("/settings/channels", "/settings/schedules", "/settings/security", "/settings/sessions"):
        assert client.get(path).status_code == 200, path


def test_channels_and_schedules_say_what_there_is(night: None, person: Person) -> None:
    client = person("viewer")
    channels = client.get("/settings/channels").content.decode()
    assert '<a href="/services/midtrans">midtrans</a>' in channels
    assert "PagerDuty, Events API v2." in channels
    schedules = client.get("/settings/schedules").content.decode()
    assert "outbox.deliver" in schedules
    assert "Not run yet" in schedules
    assert "/admin/" not in schedules
    assert "/admin/django_celery_beat/periodictask/" in person("admin").get("/settings/schedules").content.decode()


def test_everything_the_portal_does_by_itself_is_said_in_words_that_can_be_translated() -> None:
    assert {beat.task for beat in SCHEDULE} == set(TASK_WORDS)
    assert [beat.task for beat in SCHEDULE if str(TASK_WORDS[beat.task]) != beat.why] == []

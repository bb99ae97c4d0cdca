from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.accounts.durations import parse_duration
from apps.accounts.models import ApiKey, User
from apps.accounts.people import use_password_link
from apps.accounts.services import change_person, create_person
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, Invalid


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
class TestOperatorCommand:
    def test_create_prints_the_password_once(self) -> None:
        said = run("operator", "create", "Ann@Example.com", "--role", "lead")
        user = User.objects.get(email="ann@example.com")
        password = said.split()[-1]
        assert user.role == "lead"
        assert user.check_password(password)
        assert password not in str(list(AuditEntry.objects.values()))

    def test_quiet_prints_the_password_alone(self) -> None:
        password = run("operator", "create", "ann@example.com", "--quiet")
        assert User.objects.get().check_password(password.strip())
        assert password.count("\n") == 1

    def test_a_password_from_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", StringIO("correct horse\n"))
        assert run("operator", "create", "ann@example.com", "--password-stdin", "--quiet") == ""
        assert User.objects.get().check_password("correct horse")

    def test_errors_are_one_clear_line(self) -> None:
        with pytest.raises(CommandError, match=r"'boss' is not a role\. Known: viewer, operator, lead, admin"):
            run("operator", "create", "ann@example.com", "--role", "boss")
        with pytest.raises(CommandError, match="not an e-mail address"):
            run("operator", "create", "ann")
        run("operator", "create", "ann@example.com")
        with pytest.raises(CommandError, match="already an operator"):
            run("operator", "create", "ANN@example.com")
        assert User.objects.count() == 1

    def test_list_and_role(self) -> None:
        assert "Nobody can log in yet" in run("operator", "list")
        run("operator", "create", "ann@example.com", "--quiet")
        run("operator", "role", "ann@example.com", "viewer")
        assert json.loads(run("operator", "list", "--json"))[0]["role"] == "viewer"
        assert "ann@example.com  viewer" in run("operator", "list")

    def test_help_for_who_is_locked_out(self) -> None:
        run("operator", "create", "ann@example.com", "--role", "admin", "--quiet")
        path = run("operator", "password-link", "ann@example.com").splitlines()[-1]
        assert path.startswith("/login/link/")
        use_password_link(token=path.rsplit("/", 1)[1], password="staple-battery-horse")
        assert User.objects.get().check_password("staple-battery-horse")
        for verb, said in (("reset-second-factor", "no second factor"), ("unlink", "never logged in through")):
            with pytest.raises(CommandError, match=said):
                run("operator", verb, "ann@example.com")
        with pytest.raises(CommandError, match="no operator"):
            run("operator", "password-link", "bob@example.com")


@pytest.mark.django_db
class TestPeople:
    def test_only_who_may_manage_people(self) -> None:
        with pytest.raises(Forbidden):
            create_person(email="ann@example.com", role="viewer", actor=Actor("person", "lead"))

    def test_the_last_admin_stays(self) -> None:
        create_person(email="root@example.com", role="admin", actor=SYSTEM)
        for changes in ({"role": "viewer"}, {"is_active": False}):
            with pytest.raises(Conflict, match="last active admin"):
                change_person(email="root@example.com", changes=changes, actor=SYSTEM)
        create_person(email="two@example.com", role="admin", actor=SYSTEM)
        change_person(email="root@example.com", changes={"role": "viewer"}, actor=SYSTEM)
        entry = AuditEntry.objects.filter(action="person.changed").get()
        assert (entry.before, entry.after) == ({"role": "admin"}, {"role": "viewer"})

    def test_only_some_fields_change(self) -> None:
        create_person(email="ann@example.com", role="viewer", actor=SYSTEM)
        with pytest.raises(Invalid, match="is_superuser"):
            change_person(email="ann@example.com", changes={"is_superuser": True}, actor=SYSTEM)
        with pytest.raises(Invalid, match="8 characters"):
            create_person(email="two@example.com", role="viewer", actor=SYSTEM, password="short")


@pytest.mark.django_db
class TestApikeyCommand:
    def test_quiet_prints_the_key_alone(self) -> None:
        raw = run("apikey", "create", "shop", "--scope", "messages:write", "--quiet")
        assert raw.startswith("opk_")
        assert raw.count("\n") == 1

    def test_options_reach_the_key(self) -> None:
        run("apikey", "create", "a", "--scope", "messages:read", "--tenant", "t", "--expires", "90d", "--rate", "5")
        key = ApiKey.objects.get()
        assert (key.tenant_id, key.rate_per_minute, key.scopes) == ("t", 5, ["messages:read"])
        assert key.expires_at is not None

    def test_list_revoke_and_json(self) -> None:
        assert "There is no API key yet" in run("apikey", "list")
        made = json.loads(run("apikey", "create", "shop", "--scope", "messages:write", "--json"))
        assert made["key"].startswith(made["prefix"])
        assert "active" in run("apikey", "list")
        assert json.loads(run("apikey", "revoke", "shop", "--json"))["state"] == "revoked"
        listed = json.loads(run("apikey", "list", "--json"))
        assert [key["state"] for key in listed] == ["revoked"]
        assert "key" not in listed[0]

    def test_errors(self) -> None:
        with pytest.raises(CommandError, match="messages:read, messages:write"):
            run("apikey", "create", "shop", "--scope", "everything")
        with pytest.raises(CommandError, match="--expires"):
            run("apikey", "create", "shop", "--scope", "messages:read", "--expires", "soon")
        assert not ApiKey.objects.exists()


@pytest.mark.parametrize(("text", "seconds"), [("45s", 45), ("2m", 120), ("1h", 3600), ("1d", 86400), ("1w", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text, field="x").total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "1", "d", "1y", "-1d", "1.5h"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(Invalid):
        parse_duration(text, field="x")

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.core.fields import DecryptionFailed
from apps.services.models import Service
from apps.services.selectors import get_service, list_services
from apps.services.services import (
    create_service,
    pause,
    resume,
    retire_previous_secret,
    rotate_secret,
    update_service,
)
from apps.services.signals import service_changed
from tests.conftest import make_service

URL = {"url": "https://api.example.com/hook"}


@pytest.fixture
def service(db: None) -> Service:
    return make_service(settings=URL)


def stored() -> Service:
    return Service.objects.get(pk="midtrans")


class TestUpdate:
    def test_replaces_what_is_given_and_keeps_the_rest(self, service: Service, lead: Actor) -> None:
        update_service(name="midtrans", changes={"retry": {"cap": 5}, "owner": "us"}, actor=lead, reason="calmer")
        assert (stored().retry, stored().owner, stored().settings) == ({"cap": 5}, "us", URL)
        assert stored().config_version == 2
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.action, entry.target) == (lead.name, "service.changed", "service:midtrans")
        assert (entry.before, entry.after) == ({"owner": "", "retry": {}}, {"owner": "us", "retry": {"cap": 5}})
        assert entry.reason == "calmer"

    def test_without_a_difference_nothing_happens(self, service: Service, lead: Actor) -> None:
        update_service(name="midtrans", changes={"owner": ""}, actor=lead)
        assert stored().config_version == 1
        assert not AuditEntry.objects.exists()

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"retry": {"cap": -1}}, "retry.cap"),
            ({"retry": {"cpa": 1}}, "retry.cpa"),
            ({"retry": 5}, "retry"),
            ({"breaker": {"timeout": float("nan")}}, "breaker.timeout"),
            ({"settings": {"url": "http://169.254.169.254/"}}, "settings.url"),
            ({"settings": {"url": "http://[::ffff:169.254.169.254]/"}}, "settings.url"),
            ({"settings": {}}, "settings.url"),
            ({"channel": "pigeon"}, "channel"),
            ({"name": "x"}, "name"),
            ({"secret": "x"}, "secret"),
            ({"owner": "a\x00b"}, "owner"),
            ({"runbook_url": "javascript:alert(1)"}, "runbook_url"),
        ],
    )
    def test_bad_changes_name_the_field(
        self, service: Service, lead: Actor, changes: dict[str, Any], field: str
    ) -> None:
        before = Service.objects.values().get()
        with pytest.raises(Invalid) as caught:
            update_service(name="midtrans", changes=changes, actor=lead)
        assert field in [problem["field"] for problem in caught.value.detail]
        assert Service.objects.values().get() == before
        assert not AuditEntry.objects.exists()

    def test_somebody_elses_edit_is_not_overwritten(self, service: Service, lead: Actor) -> None:
        update_service(name="midtrans", changes={"owner": "a"}, actor=lead, seen_version=1)
        with pytest.raises(Conflict, match="changed by someone else"):
            update_service(name="midtrans", changes={"owner": "b"}, actor=lead, seen_version=1)
        assert stored().owner == "a"

    def test_needs_the_permission_and_a_service(self, service: Service, lead: Actor, viewer: Actor) -> None:
        with pytest.raises(Forbidden):
            update_service(name="midtrans", changes={"owner": "a"}, actor=viewer)
        with pytest.raises(NotFound):
            update_service(name="nobody", changes={"owner": "a"}, actor=lead)

    def test_secret_headers_do_not_reach_the_trail(self, service: Service, lead: Actor) -> None:
        update_service(name="midtrans", changes={"settings": URL | {"headers": {"X-Api-Key": "hush"}}}, actor=lead)
        assert stored().settings["headers"] == {"X-Api-Key": "hush"}
        assert "hush" not in str(AuditEntry.objects.values().get())

    def test_the_apps_above_hear_of_it_after_the_commit(
        self, service: Service, lead: Actor, django_capture_on_commit_callbacks: Any
    ) -> None:
        heard: list[str] = []

        def listen(service: str, **_: Any) -> None:
            heard.append(service)

        service_changed.connect(listen)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                update_service(name="midtrans", changes={"owner": "a"}, actor=lead)
                assert heard == []
            assert heard == ["midtrans"]
        finally:
            service_changed.disconnect(listen)


class TestCreate:
    def test_a_service_made_in_the_portal(self, db: None, lead: Actor) -> None:
        create_service(name="billing", definition={"channel": "http", "settings": URL}, actor=lead)
        assert get_service("billing").file_state is None
        assert [found.name for found in list_services()] == ["billing"]
        with pytest.raises(Conflict):
            create_service(name="billing", definition={"channel": "http", "settings": URL}, actor=lead)

    @pytest.mark.parametrize("name", ["", "Bad", "1a", "a b", "a\n", "a" * 65])
    def test_bad_names(self, db: None, lead: Actor, name: str) -> None:
        with pytest.raises(Invalid):
            create_service(name=name, definition={"channel": "http", "settings": URL}, actor=lead)

    def test_an_unknown_service_lists_the_known(self, service: Service) -> None:
        with pytest.raises(NotFound, match="Configured: midtrans"):
            get_service("midtran")


class TestPause:
    def test_pause_and_resume(self, service: Service, lead: Actor) -> None:
        pause(name="midtrans", actor=lead, reason="maintenance")
        assert stored().paused_by == "lead@example.com"
        version = stored().config_version
        pause(name="midtrans", actor=lead, reason="again")
        assert (stored().paused_reason, stored().config_version) == ("maintenance", version)
        resume(name="midtrans", actor=lead)
        resume(name="midtrans", actor=lead)
        assert stored().paused_at is None
        assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
            "service.paused",
            "service.resumed",
        ]

    def test_needs_a_reason_and_the_permission(self, service: Service, lead: Actor, viewer: Actor) -> None:
        with pytest.raises(Invalid, match="reason"):
            pause(name="midtrans", actor=lead, reason=" ")
        with pytest.raises(Forbidden):
            pause(name="midtrans", actor=viewer, reason="x")
        with pytest.raises(Forbidden):
            resume(name="midtrans", actor=viewer)


class TestSecrets:
    def test_rotation_keeps_two_secrets_live(self, service: Service, lead: Actor) -> None:
        rotate_secret(name="midtrans", secret="first hush", actor=lead)
        rotate_secret(name="midtrans", secret="second hush", actor=lead)
        assert stored().secrets() == ["second hush", "first hush"]
        retire_previous_secret(name="midtrans", actor=lead)
        assert stored().secrets() == ["second hush"]
        trail = str(list(AuditEntry.objects.values()))
        assert "hush" not in trail

    def test_the_environment_comes_first(
        self, service: Service, lead: Actor, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        update_service(name="midtrans", changes={"settings": URL | {"secret_ref": "MIDTRANS_KEY"}}, actor=lead)
        rotate_secret(name="midtrans", secret="stored", actor=lead)
        monkeypatch.setenv("MIDTRANS_KEY", "from environment")
        assert stored().secrets() == ["from environment", "stored"]
        monkeypatch.delenv("MIDTRANS_KEY")
        (tmp_path / "key").write_text("from file\n")
        monkeypatch.setenv("MIDTRANS_KEY_FILE", str(tmp_path / "key"))
        assert stored().secrets() == ["from file", "stored"]

    @pytest.mark.parametrize("secret", ["", "a\x00", "x" * 10_001])
    def test_bad_secrets(self, service: Service, lead: Actor, secret: str) -> None:
        with pytest.raises(Invalid):
            rotate_secret(name="midtrans", secret=secret, actor=lead)

    def test_secrets_are_encrypted_at_rest(self, service: Service, lead: Actor) -> None:
        rotate_secret(name="midtrans", secret="hush", actor=lead)
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret, previous_secret FROM service")
            raw, previous = cursor.fetchone()
        assert raw.startswith("gAAAA")
        assert previous == ""


class TestEncryptionKeys:
    def test_rotation_of_the_encryption_key(self, service: Service, lead: Actor, settings: Any) -> None:
        old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
        settings.ENCRYPTION_KEYS = [old]
        rotate_secret(name="midtrans", secret="hush", actor=lead)

        settings.ENCRYPTION_KEYS = [new, old]
        assert stored().secrets() == ["hush"]
        call_command("rotate_encryption")

        settings.ENCRYPTION_KEYS = [new]
        assert stored().secrets() == ["hush"]

        settings.ENCRYPTION_KEYS = [old]
        with pytest.raises(DecryptionFailed, match="ENCRYPTION_KEYS"):
            stored()
        with pytest.raises(CommandError, match="cannot be decrypted"):
            call_command("rotate_encryption")

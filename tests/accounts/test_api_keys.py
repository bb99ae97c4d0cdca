from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts import api_keys
from apps.accounts.models import ApiKey
from apps.accounts.services import NewKey, create_key, revoke_key
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    api_keys.forget_cached()


def make_key(name: str = "shop", **options: object) -> NewKey:
    given: dict[str, object] = {"scopes": ["messages:write"], "actor": SYSTEM, **options}
    return create_key(name=name, **given)  # type: ignore[arg-type]  # options of one test


@pytest.mark.django_db
class TestKeys:
    def test_the_key_is_shown_once_and_stored_as_a_hash(self) -> None:
        made = make_key()
        assert made.raw.startswith("opk_")
        assert len(made.raw) == 47
        stored = ApiKey.objects.values().get()
        assert made.raw not in str(stored)
        assert stored["key_hash"] == api_keys.digest(made.raw)
        assert made.raw not in str(list(AuditEntry.objects.values()))

    def test_authentication_finds_the_key(self) -> None:
        made = make_key(scopes=["messages:write", "messages:read"], tenant_id="acme")
        found = api_keys.authenticate(made.raw)
        assert found.pk == made.key.pk
        assert found.as_actor("10.0.0.1").permissions == {"messages.read", "messages.write"}
        assert found.tenant_id == "acme"

    @pytest.mark.parametrize("raw", ["", "opk_", "opk_wrong", "Bearer", "\ud800", "opk_\x00"])
    def test_unknown_keys(self, raw: str) -> None:
        with pytest.raises(Unauthorized) as caught:
            api_keys.authenticate(raw)
        assert caught.value.detail == {"reason": "unknown"}

    def test_an_expired_key_says_when(self) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            made = make_key(expires_in=timedelta(days=1))
            clock.shift(86_399)
            api_keys.authenticate(made.raw)
            clock.shift(1)
            with pytest.raises(Unauthorized, match="expired on 2026-11-22 12:00 UTC") as caught:
                api_keys.authenticate(made.raw)
        assert caught.value.detail == {"reason": "expired"}

    def test_a_revoked_key_is_refused_at_once_here(self, django_capture_on_commit_callbacks: object) -> None:
        made = make_key()
        api_keys.authenticate(made.raw)
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]  # pytest-django's fixture
            revoke_key(name="shop", actor=SYSTEM, reason="leaked")
        with pytest.raises(Unauthorized, match="revoked"):
            api_keys.authenticate(made.raw)
        with pytest.raises(Conflict, match="revoked already"):
            revoke_key(name="shop", actor=SYSTEM)
        with pytest.raises(NotFound):
            revoke_key(name="nobody", actor=SYSTEM)

    def test_the_cache_saves_queries_for_a_few_seconds_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seconds = [1000.0]
        monkeypatch.setattr(api_keys.time, "monotonic", lambda: seconds[0])
        made = make_key()
        api_keys.authenticate(made.raw)
        with CaptureQueriesContext(connection) as queries:
            api_keys.authenticate(made.raw)
        assert len(queries) == 0
        ApiKey.objects.update(revoked_at=NOON)
        api_keys.authenticate(made.raw)
        seconds[0] += api_keys.CACHE_SECONDS + 0.1
        with pytest.raises(Unauthorized):
            api_keys.authenticate(made.raw)

    def test_last_use_is_noted_once_a_minute(self) -> None:
        with time_machine.travel(NOON, tick=False) as clock:
            made = make_key()
            api_keys.authenticate(made.raw)
            clock.shift(59)
            api_keys.authenticate(made.raw)
            assert ApiKey.objects.get().last_used_at == NOON
            clock.shift(2)
            api_keys.authenticate(made.raw)
            assert ApiKey.objects.get().last_used_at == NOON + timedelta(seconds=61)


@pytest.mark.django_db
class TestMaking:
    def test_an_unknown_scope_lists_the_scopes(self) -> None:
        with pytest.raises(Invalid, match=r"messages:writ.*Did you mean messages:write.*replays:run"):
            make_key(scopes=["messages:writ"])
        with pytest.raises(Invalid, match="without a scope"):
            make_key(scopes=[])
        assert not ApiKey.objects.exists()

    def test_nobody_hands_out_more_than_they_hold(self) -> None:
        lead = Actor("person", "lead", frozenset({"apikeys.manage", "messages.write"}))
        make_key("one", actor=lead)
        with pytest.raises(Forbidden, match=r"replays\.run"):
            make_key("two", actor=lead, scopes=["replays:run"])
        with pytest.raises(Forbidden, match=r"apikeys\.manage"):
            make_key("three", actor=Actor("person", "viewer"))

    def test_names_are_never_used_twice(self) -> None:
        make_key()
        with pytest.raises(Conflict, match="already an API key named shop"):
            make_key()
        assert ApiKey.objects.count() == 1

    @pytest.mark.parametrize(
        ("field", "options"),
        [
            ("name", {"name": ""}),
            ("name", {"name": "a\nb"}),
            ("name", {"name": "x" * 91}),
            ("tenant_id", {"tenant_id": "x" * 65}),
            ("rate_per_minute", {"rate_per_minute": 0}),
            ("expires_in", {"expires_in": timedelta(0)}),
        ],
    )
    def test_bad_values_are_named(self, field: str, options: dict[str, object]) -> None:
        with pytest.raises(Invalid) as caught:
            make_key(**{"name": "shop", **options})  # type: ignore[arg-type]  # options of one test
        assert caught.value.detail[0]["field"] == field


@pytest.mark.django_db(transaction=True)
def test_noting_the_last_use_never_waits_for_a_writer() -> None:
    """Another connection holds the row (PostgreSQL) or the database (SQLite)."""
    import threading
    import time

    from django.db import transaction

    made = make_key()
    api_keys.forget_cached()
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            ApiKey.objects.filter(pk=made.key.pk).update(created_by="busy")
            locked.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(10)
    try:
        begun = time.monotonic()
        api_keys.authenticate(made.raw)
        assert time.monotonic() - begun < 2
        assert ApiKey.objects.get().last_used_at is None
    finally:
        done.set()
        holder.join()

"""API keys on the pages: made within one's own permissions, shown once, found, revoked."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apps.accounts import api_keys
from apps.accounts.models import ApiKey, User
from apps.accounts.roles import ROLE_PERMISSIONS, Role
from apps.accounts.services import create_key, revoke_key
from apps.audit.models import AuditEntry
from apps.core import clock
from apps.core.actor import SYSTEM
from apps.core.errors import Unauthorized

Person = Callable[[str], Client]
RAW = re.compile(r"opk_[\w-]{43}")
FIELDS = {"name": "shop", "scopes": ["messages:write", "messages:read"], "expires": "90"}


def make(client: Client, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    return client.post("/settings/keys/new", {**FIELDS, **fields}, headers=headers or {})


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}])
def test_a_key_is_shown_once_and_kept_nowhere(
    person: Person, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    client = person("lead")
    with caplog.at_level(logging.DEBUG):
        answer = make(client, headers, tenant_id="acme", rate_per_minute="600")
    found = RAW.findall(answer.content.decode())
    assert len(set(found)) == 1
    raw = found[0]
    assert answer.headers["Cache-Control"] == "private, no-store"
    key = ApiKey.objects.get()
    assert (key.tenant_id, key.rate_per_minute, key.created_by) == ("acme", 600, "lead@example.com")
    assert key.scopes == ["messages:read", "messages:write"]
    assert key.expires_at is not None
    assert abs(key.expires_at - clock.now() - timedelta(days=90)) < timedelta(minutes=1)
    assert api_keys.authenticate(raw).pk == key.pk
    for place in (
        str(list(ApiKey.objects.values())),
        str(list(AuditEntry.objects.values())),
        str(dict(client.session.items())),
        caplog.text,
        client.get("/settings/keys").content.decode(),
        client.get("/settings/keys/new").content.decode(),
    ):
        assert raw not in place


def test_pressing_reload_makes_no_second_key(person: Person) -> None:
    client = person("lead")
    make(client)
    again = make(client)
    assert again.status_code == 422
    assert b"already an API key named shop" in again.content
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scopes": []}, "a key without a scope could do nothing"),
        ({"scopes": ["everything"]}, "everything is not one of the available choices"),
        ({"scopes": ["people:manage"]}, "people:manage is not one of the available choices"),
        ({"name": ""}, "required"),
        ({"name": "a\tb"}, "printable"),
        ({"expires": "7"}, "7 is not one of the available choices"),
        ({"rate_per_minute": "0"}, "greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_ticked_stays(person: Person, fields: dict[str, Any], said: str) -> None:
    answer = make(person("lead"), **fields)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    if "scopes" not in fields:
        assert b'value="messages:write" checked' in answer.content
    assert not ApiKey.objects.exists()


def test_nobody_hands_out_more_than_they_may_do(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    held = frozenset({"apikeys.manage", "services.read", "messages.read"})
    monkeypatch.setitem(ROLE_PERMISSIONS, Role.LEAD, held)
    client = person("lead")
    page = client.get("/settings/keys/new").content.decode()
    assert re.findall(r'name="scopes" value="([\w:]+)"', page) == ["messages:read", "services:read"]
    assert make(client).status_code == 422
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_only_leads_and_admins_see_keys(person: Person, role: str) -> None:
    key = create_key(name="shop", scopes=["messages:write"], actor=SYSTEM).key
    client = person(role)
    for path in ("/settings/keys", "/settings/keys/new", f"/settings/keys/{key.pk}/revoke"):
        assert client.get(path).status_code == 403, path
        assert client.post(path, {"reason": "x"}).status_code in (403, 405), path
    assert not ApiKey.objects.exclude(revoked_at=None).exists()


def test_revoking_asks_why_and_ends_the_key(person: Person) -> None:
    made = create_key(name="shop", scopes=["messages:write"], actor=SYSTEM)
    client, path = person("lead"), f"/settings/keys/{made.key.pk}/revoke"
    dialog = client.get(path).content.decode()
    assert "Revoke shop" in dialog
    assert made.key.prefix in dialog
    assert client.post(path, {"reason": " "}).status_code == 422
    assert client.post(path, {"reason": "laptop lost"}).headers["Location"] == "/settings/keys"
    api_keys.forget_cached()
    with pytest.raises(Unauthorized, match="revoked"):
        api_keys.authenticate(made.raw)
    entry = AuditEntry.objects.get(action="apikey.revoked")
    assert (entry.actor, entry.reason) == ("lead@example.com", "laptop lost")
    again = client.post(path, {"reason": "again"})
    assert again.status_code == 422
    assert b"revoked already" in again.content
    assert client.get("/settings/keys/999/revoke").status_code == 404


def test_the_list_tells_and_filters(person: Person) -> None:
    for name, scope in (("shop", "messages:write"), ("reports", "services:read"), ("old", "messages:read")):
        create_key(name=name, scopes=[scope], tenant_id="acme" if name == "shop" else "", actor=SYSTEM)
    revoke_key(name="old", actor=SYSTEM, reason="x")
    ApiKey.objects.filter(name="reports").update(expires_at=clock.now() - timedelta(days=1))
    client = person("lead")

    def names(query: str = "") -> list[str]:
        page = client.get(f"/settings/keys{query}").content.decode()
        return re.findall(r'<span class="strong">([\w-]+)</span><div class="sub mono">', page)

    assert names() == ["shop", "reports", "old"]
    assert names("?state=revoked") == ["old"]
    assert names("?state=expired") == ["reports"]
    assert names("?q=acme") == ["shop"]
    assert names("?q=services:read") == ["reports"]
    assert names("?q=nothing") == []
    assert b"No key matches" in client.get("/settings/keys?q=nothing").content
    assert names("?state=nonsense") == ["shop", "reports", "old"]


def test_an_empty_list_says_how_to_get_one(person: Person) -> None:
    assert b"manage.py apikey create NAME" in person("lead").get("/settings/keys").content
    assert User.objects.count() == 1

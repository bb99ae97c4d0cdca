"""Log-in through a provider: who gets in, as what, and everything that is not quite a proof."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from apps.accounts import people
from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM
from tests.console.conftest import make_person
from tests.console.oidc_provider import CLIENT, SECRET, Provider, new_key, serving

VERIFIED = {"email": "lead@example.com", "email_verified": True, "name": "Lea"}


@pytest.fixture
def provider(settings: Any, db: None) -> Iterator[Provider]:
    with serving() as found:
        settings.OIDC_ISSUER = found.issuer
        settings.SOCIALACCOUNT_PROVIDERS = {
            "oidc": {
                "APPS": [
                    {
                        "provider_id": "oidc",
                        "name": "SSO",
                        "client_id": CLIENT,
                        "secret": SECRET,
                        "settings": {"server_url": found.issuer, "oauth_pkce_enabled": True},
                    }
                ]
            }
        }
        found.claims = dict(VERIFIED)
        yield found


def begin(client: Client, provider: Provider, query: str = "") -> dict[str, str]:
    """What the browser takes to the provider."""
    answer = client.get(f"/login/oidc{query}")
    assert answer.status_code == 302, answer.content
    target = urlsplit(answer.headers["Location"])
    assert f"{target.scheme}://{target.netloc}" == provider.issuer
    asked = {name: values[0] for name, values in parse_qs(target.query).items()}
    provider.nonce, provider.challenge = asked["nonce"], asked["code_challenge"]
    return asked


def come_back(client: Client, state: str, code: str = "good") -> Any:
    return client.get(f"/login/oidc/callback?code={code}&state={state}")


def log_in(client: Client, provider: Provider, query: str = "") -> Any:
    return come_back(client, begin(client, provider, query)["state"])


def refused(answer: Any, client: Client) -> bool:
    return answer.status_code == 401 and client.get("/").status_code == 302


def test_a_verified_address_logs_its_person_in(provider: Provider, client: Client) -> None:
    person = make_person("lead")
    answer = log_in(client, provider, "?next=/outbox")
    assert answer.headers["Location"] == "/outbox"
    assert client.get("/").context["user"] == person
    asked = provider.token_requests[0]
    assert asked["client_secret"] == SECRET
    assert asked["redirect_uri"] == "http://testserver/login/oidc/callback"
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"person.identity_linked", "person.logged_in"} <= actions
    assert User.objects.get().check_password("right-password")


def test_next_and_the_query_lead_nowhere_else(provider: Provider, client: Client) -> None:
    make_person("lead")
    asked = begin(client, provider, "?next=https://evil.example/&auth_params=nonce=mine&scope=evil&process=connect")
    assert asked["nonce"] != "mine"
    assert "evil" not in asked["scope"]
    assert come_back(client, asked["state"]).headers["Location"] == "/"


def test_the_identity_is_remembered_when_the_address_changes(provider: Provider, client: Client) -> None:
    person = make_person("lead")
    log_in(client, provider)
    provider.claims = {"email": "new@example.com", "email_verified": False}
    other = Client()
    assert log_in(other, provider).status_code == 302
    assert other.get("/").context["user"] == person


def test_an_address_that_was_given_to_somebody_else_is_not_theirs(provider: Provider, client: Client) -> None:
    make_person("lead")
    log_in(client, provider)
    provider.claims = {**VERIFIED, "sub": "s-2"}
    other = Client()
    assert refused(log_in(other, provider), other)
    people.unlink_identity(email="lead@example.com", actor=SYSTEM)
    assert log_in(Client(), provider).status_code == 302


@pytest.mark.parametrize("verified", [False, None, "false", 1, "yes"])
def test_an_address_that_is_not_verified_proves_nothing(provider: Provider, client: Client, verified: Any) -> None:
    make_person("lead")
    provider.claims = {"email": "lead@example.com", "email_verified": verified}
    answer = log_in(client, provider)
    assert refused(answer, client)
    assert b"not say that your e-mail address is verified" in answer.content
    assert not SocialAccount.objects.exists()


def test_strangers_are_refused(provider: Provider, client: Client) -> None:
    assert refused(log_in(client, provider), client)
    assert not User.objects.exists()


def test_strangers_become_viewers_where_that_is_wanted(provider: Provider, client: Client, settings: Any) -> None:
    settings.OIDC_UNKNOWN_PEOPLE = "viewer"
    assert log_in(client, provider).status_code == 302
    person = User.objects.get()
    assert (person.email, person.name, person.role) == ("lead@example.com", "Lea", "viewer")
    assert not person.has_usable_password()


def test_who_was_locked_out_stays_out(provider: Provider, client: Client) -> None:
    make_person("lead")
    User.objects.update(is_active=False)
    assert refused(log_in(client, provider), client)


FORGERIES: dict[str, dict[str, Any]] = {
    "another key": {"signing_key": new_key()},
    "no signature": {"algorithm": "none", "signing_key": ""},
    "a shared secret": {"algorithm": "HS256", "signing_key": SECRET * 4},
    "an unknown key": {"kid": "k9"},
    "another issuer": {"claims": {**VERIFIED, "iss": "https://evil.example"}},
    "another client": {"claims": {**VERIFIED, "aud": "shop"}},
    "several clients": {"claims": {**VERIFIED, "aud": [CLIENT, "shop"], "azp": "shop"}},
    "expired": {"claims": {**VERIFIED, "exp": int(time.time()) - 600}},
    "from the future": {"claims": {**VERIFIED, "iat": int(time.time()) + 6000}},
    "another nonce": {"claims": {**VERIFIED, "nonce": "of another log-in"}},
    "no nonce": {"claims": {**VERIFIED, "nonce": None}},
    "no subject": {"claims": {**VERIFIED, "sub": None}},
    "another configuration": {"config": {"issuer": "https://evil.example"}},
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_token_logs_nobody_in(provider: Provider, client: Client, how: str) -> None:
    make_person("lead")
    state = begin(client, provider)["state"]
    for name, value in FORGERIES[how].items():
        setattr(provider, name, value)
    assert refused(come_back(client, state), client)
    assert not SocialAccount.objects.exists()
    assert AuditEntry.objects.get().action == "person.login_failed"


def test_a_state_of_somebody_else_is_refused(provider: Provider, client: Client) -> None:
    make_person("lead")
    theirs = begin(Client(), provider)["state"]
    assert refused(come_back(client, theirs), client)
    assert refused(come_back(client, ""), client)
    assert not provider.token_requests


def test_a_state_works_once(provider: Provider, client: Client) -> None:
    make_person("lead")
    state = begin(client, provider)["state"]
    assert come_back(client, state).status_code == 302
    client.post("/logout")
    assert refused(come_back(client, state), client)


def test_a_code_the_provider_does_not_know_is_refused(provider: Provider, client: Client) -> None:
    make_person("lead")
    assert refused(come_back(client, begin(client, provider)["state"], code="stolen"), client)


def test_pressing_cancel_leads_back_to_the_log_in(provider: Provider, client: Client) -> None:
    state = begin(client, provider)["state"]
    answer = client.get(f"/login/oidc/callback?error=access_denied&state={state}", follow=True)
    assert answer.redirect_chain[-1][0] == "/login"


def test_a_provider_that_is_down_is_said_so(provider: Provider, client: Client) -> None:
    provider.down = True
    answer = client.get("/login/oidc")
    assert answer.status_code == 401
    assert b"log in with your password" in answer.content


def test_the_address_may_come_from_userinfo_of_the_same_subject(provider: Provider, client: Client) -> None:
    make_person("lead")
    provider.claims = {}
    provider.userinfo = {**VERIFIED, "sub": "s-2"}
    assert refused(log_in(client, provider), client)
    provider.userinfo = {**VERIFIED, "sub": "s-1"}
    assert log_in(client, provider).status_code == 302


def test_the_provider_decides_about_roles_when_asked(provider: Provider, client: Client, settings: Any) -> None:
    settings.OIDC_ROLE_CLAIM, settings.OIDC_ROLES = "realm_access.roles", ["sre=operator", "sre-leads=lead"]
    provider.claims["realm_access"] = {"roles": ["sre", "sre-leads", "other"]}
    assert log_in(client, provider).status_code == 302
    assert User.objects.get().role == "lead"
    provider.claims["realm_access"] = {"roles": ["sre"]}
    log_in(Client(), provider)
    assert User.objects.get().role == "operator"
    assert AuditEntry.objects.get(action="person.changed").after == {"role": "operator"}
    provider.claims["realm_access"] = {"roles": []}
    other = Client()
    assert refused(log_in(other, provider), other)


def test_the_last_admin_keeps_the_role(provider: Provider, client: Client, settings: Any) -> None:
    settings.OIDC_ROLE_CLAIM, settings.OIDC_ROLES = "groups", ["sre=operator"]
    make_person("admin", "lead@example.com")
    provider.claims["groups"] = ["sre"]
    assert log_in(client, provider).status_code == 302
    assert User.objects.get().role == "admin"


def test_a_second_factor_is_asked_for_here_too(provider: Provider, client: Client, settings: Any) -> None:
    settings.REQUIRE_MFA_FOR = ["lead"]
    make_person("lead")
    log_in(client, provider)
    assert client.get("/outbox").headers["Location"] == "/settings/security"


def test_without_a_provider_there_is_no_such_page(client: Client, db: None) -> None:
    assert client.get("/login/oidc").status_code == 404
    assert client.get("/login/oidc/callback").status_code == 404
    assert b"login/oidc" not in client.get("/login").content


def test_the_button_is_a_link(provider: Provider, client: Client, settings: Any) -> None:
    settings.OIDC_NAME = "Example SSO"
    page = client.get("/login?next=/outbox").content.decode()
    assert '<a class="button" href="/login/oidc?next=/outbox">' in page
    assert "Log in with Example SSO" in page


def test_garbage_from_outside_does_not_fill_the_audit_trail(provider: Provider, client: Client) -> None:
    for _ in range(110):
        client.get("/login/oidc/callback?code=x&state=y")
    assert AuditEntry.objects.count() == 100

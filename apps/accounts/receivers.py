"""allauth's signals, into the audit trail and the list of sessions."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa import signals as mfa
from django.contrib.auth.signals import user_logged_in, user_logged_out

from apps.accounts.journal import person_did
from apps.accounts.models import PersonSession, User
from apps.accounts.sessions import end_all, touch


def methods_of(request: Any, user: User) -> list[str]:
    """How the person of this session proved who they are: password, totp, webauthn, recovery_codes, oidc."""
    records = get_authentication_records(request, user)
    return [str(record.get("type") or record.get("provider") or record["method"]) for record in records]


def session_began(request: Any, user: User, **_: Any) -> None:
    """Django's signal, which comes however somebody logs in."""
    touch(request, user)


def logged_in(request: Any, user: User, **_: Any) -> None:
    person_did("person.logged_in", user, request, methods=methods_of(request, user))


def logged_out(request: Any, user: User | None, **_: Any) -> None:
    PersonSession.objects.filter(session_key=getattr(request.session, "session_key", None) or "").delete()
    if isinstance(user, User) and request.META.get("REMOTE_ADDR"):
        person_did("person.logged_out", user, request)


def password_changed(request: Any, user: User, **_: Any) -> None:
    """The sessions elsewhere are void by then; they go from the list too."""
    ended = end_all(user, keep=request.session.session_key or "")
    person_did("person.password_changed", user, request, sessions_ended=ended)


def factor_added(request: Any, user: User, authenticator: Any, **_: Any) -> None:
    person_did("person.factor_added", user, request, type=str(authenticator.type))


def factor_removed(request: Any, user: User, authenticator: Any, **_: Any) -> None:
    person_did("person.factor_removed", user, request, type=str(authenticator.type))


def factor_reset(request: Any, user: User, authenticator: Any, **_: Any) -> None:
    person_did("person.factor_renewed", user, request, type=str(authenticator.type))


def connect() -> None:
    """Called once, when all apps are there."""
    user_logged_in.connect(session_began, dispatch_uid="accounts.session_began")
    account.user_logged_in.connect(logged_in, dispatch_uid="accounts.logged_in")
    user_logged_out.connect(logged_out, dispatch_uid="accounts.logged_out")
    for signal in (account.password_changed, account.password_set):
        signal.connect(password_changed, dispatch_uid="accounts.password_changed")
    mfa.authenticator_added.connect(factor_added, dispatch_uid="accounts.factor_added")
    mfa.authenticator_removed.connect(factor_removed, dispatch_uid="accounts.factor_removed")
    mfa.authenticator_reset.connect(factor_reset, dispatch_uid="accounts.factor_reset")

"""What happens around logging in, in the audit trail. Rows are English and hold no secret."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import User
from apps.audit.services import record
from apps.core.actor import Actor
from apps.core.http import client_ip


def failed(what: str, email: str, ip: str) -> None:
    """A try that was refused, also for an address nobody has: a difference would tell which exist."""
    record(
        actor=Actor("visitor", "not logged in", ip=ip),
        action="person.login_failed",
        target=f"person:{email}",
        after={"what": what},
    )


def person_did(action: str, person: User, request: Any, **after: Any) -> None:
    """Something a person did about their own log-in."""
    record(actor=person.as_actor(client_ip(request)), action=action, target=f"person:{person.email}", after=after)

"""What a person proves besides the password: codes of an app, recovery codes, passkeys."""

from __future__ import annotations

from typing import Any, Final

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.db import transaction

from apps.accounts.models import User
from apps.core.fields import cipher

# The time step of the newest code that was taken, in the authenticator's data.
LAST_STEP: Final = "last_step"
FACTORS: Final = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def has_second_factor(person: User) -> bool:
    """Recovery codes alone are none: they stand in for one that was lost."""
    return bool(Authenticator.objects.filter(user_id=person.pk, type__in=FACTORS).exists())


def matching_step(secret: str, code: str) -> int | None:
    """The time step whose code ``code`` is, this one and its neighbours considered."""
    for step in totp.yield_hotp_counters_from_time():
        if compare_user_code(actual=code, expected=totp.format_hotp_value(totp.hotp_value(secret, step))):
            return int(step)
    return None


@transaction.atomic
def use_code(person: User, code: str) -> Any:
    """The authenticator that ``code`` belongs to, or None. A code is taken once, whatever the cache does."""
    rows = Authenticator.objects.select_for_update().filter(user_id=person.pk)
    for row in rows.exclude(type=Authenticator.Type.WEBAUTHN).order_by("-type"):
        taken = _use_totp(row, code) if row.type == Authenticator.Type.TOTP else row.wrap().validate_code(code)
        if taken:
            return row
    return None


def _use_totp(row: Any, code: str) -> bool:
    step = matching_step(decrypt(row.data["secret"]), code)
    if step is None or step <= row.data.get(LAST_STEP, 0):
        return False
    row.data[LAST_STEP] = step
    row.save(update_fields=["data"])
    return True


def mark_used(row: Any, step: int) -> None:
    """The code an app was set up with is used up too."""
    row.data[LAST_STEP] = step
    row.save(update_fields=["data"])


def encrypt(text: str) -> str:
    return cipher().encrypt(text.encode()).decode()


def decrypt(text: str) -> str:
    return cipher().decrypt(text.encode()).decode()

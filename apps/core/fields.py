"""Model fields of our own."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext as _

from apps.core.errors import PortalError


class DecryptionFailed(PortalError):
    code = "decryption_failed"
    status = 500


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def cipher() -> MultiFernet:
    """Encrypts with the first of ENCRYPTION_KEYS and reads with any of them: that is rotation."""
    return _cipher(tuple(settings.ENCRYPTION_KEYS))


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # generic only in the stubs
    """Text that is encrypted at rest (Fernet). The empty string is stored as it is."""

    def get_prep_value(self, value: Any) -> Any:
        if not value:
            return value
        return cipher().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        if not value:
            return value
        try:
            return cipher().decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise DecryptionFailed(
                _(
                    "{field} cannot be decrypted with any of ENCRYPTION_KEYS. "
                    "Put the key it was written with back into ENCRYPTION_KEYS, after the current one."
                ).format(field=f"{self.model.__name__}.{self.name}")
            ) from error

"""Re-encrypting what is encrypted at rest with the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import models, transaction

from apps.audit.services import record
from apps.core import actor as may
from apps.core.actor import Actor, require
from apps.core.fields import EncryptedTextField

BATCH = 200


def rotate_encryption(*, actor: Actor) -> dict[str, int]:
    """Write every encrypted value anew; gives the number of rows per table. Can be stopped and repeated.

    Raises :class:`DecryptionFailed` when a value was written with a key that is gone.
    """
    require(actor, may.PEOPLE_MANAGE)
    counts = {model._meta.db_table: _rotate(model, names) for model, names in _encrypted_fields().items()}
    record(actor=actor, action="encryption.rotated", target="encryption keys", after=counts)
    return counts


def _encrypted_fields() -> dict[type[models.Model], list[str]]:
    found: dict[type[models.Model], list[str]] = {}
    for model in apps.get_models():
        names = [field.name for field in model._meta.get_fields() if isinstance(field, EncryptedTextField)]
        if names:
            found[model] = names
    return found


def _rotate(model: Any, names: list[str]) -> int:
    rotated, last = 0, None
    while True:
        with transaction.atomic():
            rows = model._default_manager.select_for_update().order_by("pk")
            batch = list((rows if last is None else rows.filter(pk__gt=last))[:BATCH])
            for row in batch:
                row.save(update_fields=names)
        rotated += sum(any(getattr(row, name) for name in names) for row in batch)
        if len(batch) < BATCH:
            return rotated
        last = batch[-1].pk

"""What a caller hears about its idempotency key."""

from __future__ import annotations

from apps.core.errors import Conflict, Invalid


class KeyReused(Invalid):
    """The key came before with other content."""

    code = "idempotency_key_reused"


class InFlight(Conflict):
    """The first use of the key is not finished yet."""

    code = "in_flight"

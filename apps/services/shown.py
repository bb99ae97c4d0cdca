"""What of a service may be shown and kept in the audit trail: everything but its secrets."""

from __future__ import annotations

from typing import Any

from apps.core.masking import mask_secrets
from apps.services.definition import Definition, definition_of
from apps.services.models import Service


def shown_definition(service: Service) -> Definition:
    """The definition with secret-looking header values masked."""
    return {name: shown_value(name, value) for name, value in definition_of(service).items()}


def shown_value(path: str, value: Any) -> Any:
    """One option as it may be shown; ``path`` is its name, such as ``settings.headers``."""
    masked = mask_secrets({path.rpartition(".")[2]: value}) if "." in path else {"": mask_secrets(value)}
    return next(iter(masked.values()))

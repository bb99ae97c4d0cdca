from __future__ import annotations

from tests.security.rules import Rule

PAGES: dict[str, Rule] = {}
OPERATIONS: dict[str, str] = {}
# A body is read before the scope is looked at, so it must be one that is understood.
BODIES: dict[str, object] = {}

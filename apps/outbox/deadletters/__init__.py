"""Dead letters: grouped by cause, triaged by people. docs/design/replay.md tells how and why."""

from __future__ import annotations

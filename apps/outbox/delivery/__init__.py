"""The delivery engine: claim, send, settle. docs/design/outbox.md tells how and why."""

from __future__ import annotations

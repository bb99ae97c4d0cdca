"""Replays: an operator's job that puts dead letters back. docs/design/replay.md tells how and why."""

from __future__ import annotations

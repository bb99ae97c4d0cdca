"""Alertmanager's own fingerprint of a label set, for senders that leave it out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# FNV-1a, 64 bits: github.com/prometheus/common/model computes it so, and its API answers with it.
_OFFSET: Final = 14695981039346656037
_PRIME: Final = 1099511628211
_MASK: Final = 0xFFFFFFFFFFFFFFFF
_SEPARATOR: Final = b"\xff"


def fingerprint_of(labels: Mapping[str, str]) -> str:
    """16 hex digits over the sorted labels: the same alert has the same ones, whoever sent it."""
    found = _OFFSET
    for name in sorted(labels):
        for byte in name.encode() + _SEPARATOR + labels[name].encode() + _SEPARATOR:
            found = ((found ^ byte) * _PRIME) & _MASK
    return f"{found:016x}"

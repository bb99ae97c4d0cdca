"""Commands behind the Makefile. Run them as modules from the repository root."""

from __future__ import annotations

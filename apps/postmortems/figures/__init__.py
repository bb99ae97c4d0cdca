"""What an incident cost, in figures: each with its formula in words, the time it was asked, and the rows behind it."""

from __future__ import annotations

from apps.postmortems.figures.registry import BY_KEY, FIGURES, Figure, compute
from apps.postmortems.figures.scope import Rows, Scope, scope_of, url_of

__all__ = ["BY_KEY", "FIGURES", "Figure", "Rows", "Scope", "compute", "scope_of", "url_of"]

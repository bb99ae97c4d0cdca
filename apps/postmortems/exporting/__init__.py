"""A post-mortem as a file: Markdown, one self-contained page of HTML, PDF."""

from __future__ import annotations

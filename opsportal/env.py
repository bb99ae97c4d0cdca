"""Typed, fail-loud reading of the environment.

Every variable is read through :class:`Environment`, which collects all problems and reports them
together, so that a person fixes a deployment in one go. A variable ``NAME`` may also be given as
``NAME_FILE``, the path of a file that holds the value (Docker and systemd secrets).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

TRUE_WORDS = frozenset({"1", "true", "yes", "on", "allow"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", "deny"})


class EnvironmentInvalid(Exception):
    """Raised by :meth:`Environment.check` with every problem found, one per line."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One documented variable: its name, type word, default as shown to people, and meaning."""

    name: str
    kind: str
    default: str
    meaning: str
    secret: bool = False


@dataclass
class Environment:
    """Reads typed values from ``source`` and remembers what was asked for and what was wrong."""

    source: Mapping[str, str] = field(default_factory=lambda: os.environ)
    problems: list[str] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)

    def text(self, name: str, default: str, meaning: str, *, shown: str | None = None) -> str:
        return self._read(name, "text", default, meaning, str, shown)

    def secret(self, name: str, default: str, meaning: str, *, shown: str = "") -> str:
        self.variables.append(Variable(name, "secret", shown, meaning, secret=True))
        return self._raw(name) or default

    def integer(self, name: str, default: int, meaning: str, *, least: int = 0) -> int:
        def parse(raw: str) -> int:
            value = int(raw)
            if value < least:
                raise ValueError(f"must be at least {least}")
            return value

        return self._read(name, "integer", default, meaning, parse)

    def flag(self, name: str, default: bool, meaning: str) -> bool:
        return self._read(name, "true | false", default, meaning, _parse_flag)

    def choice(self, name: str, default: str, meaning: str, options: tuple[str, ...]) -> str:
        def parse(raw: str) -> str:
            if raw not in options:
                raise ValueError(f"must be one of {', '.join(options)}")
            return raw

        return self._read(name, " | ".join(options), default, meaning, parse)

    def words(self, name: str, default: list[str], meaning: str) -> list[str]:
        def parse(raw: str) -> list[str]:
            return [word.strip() for word in raw.split(",") if word.strip()]

        return self._read(name, "comma separated", default, meaning, parse, ",".join(default))

    def path(self, name: str, default: Path, meaning: str, *, shown: str) -> Path:
        return self._read(name, "path", default, meaning, lambda raw: Path(raw).resolve(), shown)

    def problem(self, name: str, text: str) -> None:
        """Record a problem found by a check across several variables."""
        self.problems.append(f"{name}: {text}")

    def check(self) -> None:
        """Raise :class:`EnvironmentInvalid` with all problems, if there are any."""
        if self.problems:
            lines = "\n".join(f"  - {line}" for line in self.problems)
            raise EnvironmentInvalid(
                f"The environment has {len(self.problems)} problem(s); "
                f"see docs/reference/environment.md and .env.example:\n{lines}"
            )

    def _read(
        self,
        name: str,
        kind: str,
        default: T,
        meaning: str,
        parse: Callable[[str], T],
        shown: str | None = None,
    ) -> T:
        self.variables.append(Variable(name, kind, str(default) if shown is None else shown, meaning))
        raw = self._raw(name)
        if raw is None or raw == "":
            return default
        try:
            return parse(raw)
        except ValueError as error:
            self.problems.append(f"{name}={raw!r} is not a valid {kind}: {error}")
            return default

    def _raw(self, name: str) -> str | None:
        file_name = self.source.get(f"{name}_FILE")
        if not file_name:
            return self.source.get(name)
        if self.source.get(name):
            self.problems.append(f"{name} and {name}_FILE are both set; keep one of them")
        try:
            return Path(file_name).read_text(encoding="utf-8").strip()
        except OSError as error:
            self.problems.append(f"{name}_FILE={file_name!r} cannot be read: {error.strerror}")
            return None


def _parse_flag(raw: str) -> bool:
    word = raw.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("use true or false")

"""The services file that points at the sandbox, for whatever ports it listens on. Needs no Django."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DEFAULT_BASE: Final = 8090
PORTS: Final = 7
SHIPPED: Final = Path(__file__).resolve().parents[2] / "config" / "sandbox.yaml"
COPY_NAME: Final = "sandbox-services.yaml"
_PORT: Final = re.compile(r"(?<!\d)80(9[0-6])(?!\d)")


def text_for(base_port: int, shipped: Path = SHIPPED) -> str:
    """``config/sandbox.yaml`` with the providers' ports counted from ``base_port``."""
    text = shipped.read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    return "".join(line if line.startswith("#") else _moved(line, base_port) for line in lines)


def prepared(base_port: int, data_dir: Path, shipped: Path = SHIPPED) -> Path:
    """The path of a services file for ``base_port``: the shipped one, or a copy under ``data_dir``."""
    if base_port == DEFAULT_BASE:
        return shipped
    data_dir.mkdir(parents=True, exist_ok=True)
    copy = data_dir / COPY_NAME
    copy.write_text(text_for(base_port, shipped), encoding="utf-8")
    return copy


def _moved(line: str, base_port: int) -> str:
    return _PORT.sub(lambda found: str(base_port + int("80" + found[1]) - DEFAULT_BASE), line)

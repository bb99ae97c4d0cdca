"""What the driver tells a peer's process: where to post, whether to record, and the setting under test."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

VARIABLE = "BENCH_PEER"

Option = int | str | bool


@dataclass(frozen=True)
class Config:
    """Passed in one environment variable, as JSON."""

    url: str = ""
    dsn: str = ""
    broker: str = ""
    record: bool = False
    options: Mapping[str, Option] = field(default_factory=dict)

    def number(self, name: str, default: int) -> int:
        return int(self.options.get(name, default))

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def read() -> Config:
    """The configuration of this process; an empty one outside a run."""
    return Config(**json.loads(os.environ.get(VARIABLE, "{}")))

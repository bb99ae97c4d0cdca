"""Every vector passes on the pure machine. BREAKER_VECTORS names another file of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.breakers.dsl import Run

HERE = Path(__file__).parent


def _read(path: Path) -> list[Any]:
    return [pytest.param(vector, id=vector["id"]) for vector in json.loads(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("vector", _read(Path(os.environ.get("BREAKER_VECTORS") or HERE / "vectors.json")))
def test_vector(vector: dict[str, Any]) -> None:
    Run(vector.get("options", {})).run(vector["sequence"])


@pytest.mark.parametrize("vector", _read(HERE / "more_vectors.json"))
def test_further_vector(vector: dict[str, Any]) -> None:
    """What the acceptance file leaves open and docs/design/breakers.md decides."""
    Run(vector.get("options", {})).run(vector["sequence"])


def test_an_unknown_option_fails_loudly() -> None:
    with pytest.raises(ValueError, match="unknown options"):
        Run({"percent": 5})


@pytest.mark.parametrize("token", ["?HALFOPEN", "Z", "a=Q", "#1", "FO(soon)", "ra="])
def test_an_unknown_word_fails_loudly(token: str) -> None:
    with pytest.raises(ValueError, match=r"not part of the language|not a valid State"):
        Run({}).run(token)


@pytest.mark.parametrize("sequence", ["F S", "xS", ">a >b F >c", "F ?CLOSED", "S #0/0", "ev:opened=1", "F ra=none"])
def test_a_vector_that_does_not_hold_fails(sequence: str) -> None:
    with pytest.raises(AssertionError, match="at "):
        Run({}).run(sequence)

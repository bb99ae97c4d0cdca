"""Reading the environment: typed, with _FILE twins, and every problem told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsportal.env import Environment, EnvironmentInvalid


def test_values_are_typed_and_defaults_hold() -> None:
    env = Environment({"PORT": "8100", "DEBUG": "yes", "HOSTS": " a, b ,,c"})
    assert env.integer("PORT", 8000, "") == 8100
    assert env.flag("DEBUG", False, "") is True
    assert env.words("HOSTS", [], "") == ["a", "b", "c"]
    assert env.text("HOST", "127.0.0.1", "") == "127.0.0.1"
    assert env.problems == []


def test_an_empty_value_counts_as_unset() -> None:
    assert Environment({"PORT": ""}).integer("PORT", 8000, "") == 8000


def test_every_problem_is_told_at_once_and_named() -> None:
    env = Environment({"PORT": "eighty", "WORKERS": "0", "DEBUG": "perhaps", "LOG_FORMAT": "xml"})
    env.integer("PORT", 8000, "")
    env.integer("WORKERS", 2, "", least=1)
    env.flag("DEBUG", False, "")
    env.choice("LOG_FORMAT", "json", "", ("json", "console"))
    with pytest.raises(EnvironmentInvalid) as raised:
        env.check()
    text = str(raised.value)
    assert "4 problem(s)" in text
    for words in ("PORT='eighty'", "WORKERS='0'", "at least 1", "DEBUG='perhaps'", "one of json, console"):
        assert words in text


@pytest.mark.parametrize("read", ["secret", "text"])
def test_a_value_may_stand_in_a_file(tmp_path: Path, read: str) -> None:
    (tmp_path / "key").write_text("from the file\n")
    env = Environment({"SECRET_KEY_FILE": str(tmp_path / "key")})
    assert getattr(env, read)("SECRET_KEY", "", "") == "from the file"
    assert env.problems == []


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    env = Environment({"SECRET_KEY_FILE": str(tmp_path / "nowhere")})
    assert env.secret("SECRET_KEY", "fallback", "") == "fallback"
    assert "SECRET_KEY_FILE" in env.problems[0]
    assert "No such file" in env.problems[0]


def test_a_value_and_its_file_together_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("b")
    env = Environment({"KEY": "a", "KEY_FILE": str(tmp_path / "key")})
    env.secret("KEY", "", "")
    assert env.problems == ["KEY and KEY_FILE are both set; keep one of them"]


def test_a_secret_never_shows_in_what_is_remembered() -> None:
    env = Environment({"SECRET_KEY": "hush"})
    env.secret("SECRET_KEY", "also hush", "Signs sessions.")
    assert "hush" not in repr(env.variables)

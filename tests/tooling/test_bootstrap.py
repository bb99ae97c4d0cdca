"""What a person reads when a machine is too bare, and when nothing needs to be done."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts import bootstrap

SOURCE = Path(bootstrap.__file__)


def test_an_old_python_can_parse_it() -> None:
    ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 4), (3, 14, 0)])
def test_a_new_enough_python_goes_on(version: tuple[int, int, int]) -> None:
    assert bootstrap.check_version(version, "python3", which=lambda name: None) == ""


def test_an_old_python_is_named_with_what_to_do() -> None:
    with pytest.raises(bootstrap.BootstrapFailed) as raised:
        bootstrap.check_version((3, 9, 2), "/usr/bin/python3", which=lambda name: None)
    text = str(raised.value)
    assert "needs Python 3.11 or newer" in text
    assert "/usr/bin/python3 is Python 3.9.2" in text
    assert "apt-get install" in text
    assert "make run PYTHON=" in text


def test_a_newer_python_on_the_path_is_taken_if_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"python3.13": "/shims/python3.13", "python3.12": "/usr/bin/python3.12"}
    monkeypatch.setattr(bootstrap, "works", lambda path: not path.startswith("/shims"))
    assert bootstrap.check_version((3, 9, 2), "python3", which=found.get) == "/usr/bin/python3.12"


def test_a_missing_venv_module_names_debians_package() -> None:
    with pytest.raises(bootstrap.BootstrapFailed, match=r"no ensurepip.*") as raised:
        bootstrap.check_venv_module(["ensurepip"], (3, 11, 2))
    assert "apt-get install python3.11-venv" in str(raised.value)
    bootstrap.check_venv_module([], (3, 11, 2))


def test_the_stamp_tells_what_is_installed_where(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    venv.mkdir()
    assert bootstrap.read_stamp(venv) == {}
    bootstrap.write_stamp(venv, {"requirements.txt": "abc"})
    assert bootstrap.read_stamp(venv) == {"requirements.txt": "abc"}
    moved = tmp_path / "moved"
    venv.rename(moved)
    assert bootstrap.read_stamp(moved) == {}, "its scripts still name the old folder"


def test_a_damaged_stamp_counts_as_none(tmp_path: Path) -> None:
    bootstrap.stamp_path(tmp_path).write_text("[1, 2")
    assert bootstrap.read_stamp(tmp_path) == {}
    bootstrap.stamp_path(tmp_path).write_text("[1, 2]")
    assert bootstrap.read_stamp(tmp_path) == {}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A project of two lock files; returns the list that installs are noted in."""
    installed: list[str] = []
    (tmp_path / "requirements.txt").write_text("a==1\n")
    (tmp_path / "requirements-dev.txt").write_text("a==1\nb==2\n")
    venv = tmp_path / ".venv"
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", venv)
    monkeypatch.setattr(bootstrap, "make_venv", lambda path: _fake_venv(path))
    monkeypatch.setattr(bootstrap, "install", lambda path, lock: installed.append(lock))
    monkeypatch.setattr(bootstrap, "wanted", lambda dev, root=tmp_path: _wanted(dev, tmp_path))
    return installed


_wanted = bootstrap.wanted


def _fake_venv(path: Path) -> None:
    (path / "bin").mkdir(parents=True, exist_ok=True)
    (path / "bin" / "python").touch()


def test_installs_once_and_again_only_when_the_lock_changed(bench: list[str], tmp_path: Path) -> None:
    bootstrap.prepare(dev=False)
    bootstrap.prepare(dev=False)
    assert bench == ["requirements.txt"]
    (tmp_path / "requirements.txt").write_text("a==2\n")
    bootstrap.prepare(dev=False)
    assert bench == ["requirements.txt", "requirements.txt"]


def test_the_development_lock_serves_both(bench: list[str]) -> None:
    bootstrap.prepare(dev=True)
    bootstrap.prepare(dev=False)
    assert bench == ["requirements-dev.txt"]


def test_a_runtime_installed_after_the_tests_were_makes_the_tests_install_again(
    bench: list[str], tmp_path: Path
) -> None:
    bootstrap.prepare(dev=True)
    old = (tmp_path / "requirements.txt").read_text()
    (tmp_path / "requirements.txt").write_text("a==2\n")
    bootstrap.prepare(dev=False)
    (tmp_path / "requirements.txt").write_text(old)
    bootstrap.prepare(dev=True)
    assert bench == ["requirements-dev.txt", "requirements.txt", "requirements-dev.txt"]


def test_pip_that_fails_is_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    script = "print('Collecting a'); print('ERROR: no such package'); raise SystemExit(1)"
    said = bootstrap.follow([sys.executable, "-c", script], 1)
    assert "ERROR: no such package" in said
    assert bootstrap.follow([sys.executable, "-c", "pass"], 1) is None

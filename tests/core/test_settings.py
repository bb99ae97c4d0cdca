"""Settings refuse to load with a clear list instead of starting half configured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LONG = "x" * 60


def load(tmp_path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "ENV_FILE": "", **environ}
    return subprocess.run(
        [sys.executable, "-c", "from opsportal import settings; print(settings.PORT, settings.SECRET_KEY)"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_all_problems_are_printed_and_nothing_starts(tmp_path: Path) -> None:
    done = load(tmp_path, PORT="x", LOG_FORMAT="xml", SECRET_KEY="short", DATABASE_URL="nonsense://")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for words in ("4 problem(s)", "PORT='x'", "LOG_FORMAT='xml'", "SECRET_KEY: is shorter", "DATABASE_URL: "):
        assert words in done.stderr


@pytest.mark.parametrize(
    "reachable", [{"HTTPS": "true"}, {"HOST": "0.0.0.0"}, {"TRUSTED_PROXIES": "10.0.0.1"}], ids=lambda e: next(iter(e))
)
def test_a_portal_that_others_reach_needs_a_secret_of_its_own(tmp_path: Path, reachable: dict[str, str]) -> None:
    assert "SECRET_KEY: others can reach" in load(tmp_path, **reachable).stderr
    assert load(tmp_path, SECRET_KEY=LONG, **reachable).returncode == 0


def test_secrets_that_make_run_keeps_are_found_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "secrets.env").write_text(f"SECRET_KEY={LONG}\nPORT=8123\n")
    assert load(tmp_path).stdout.split() == ["8123", LONG]
    assert load(tmp_path, PORT="8124").stdout.split()[0] == "8124"


def test_a_broken_env_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("PORT=8123\nthis is not a setting\n")
    done = load(tmp_path, ENV_FILE=str(tmp_path / "my.env"))
    assert done.returncode == 1
    assert "my.env, line 2: expected NAME=value" in done.stderr

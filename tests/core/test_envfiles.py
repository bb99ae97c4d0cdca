"""Environment files, and where sockets go."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from opsportal import envfiles


def test_lines_comments_quotes_and_export() -> None:
    text = "# a comment\n\nA=1\nexport B='two words'\nC=\"x=y\"\nD=\n  E = spaced \n"
    assert envfiles.parse(text, "f") == {"A": "1", "B": "two words", "C": "x=y", "D": "", "E": "spaced"}


@pytest.mark.parametrize("line", ["no equals", "=value", "BAD-NAME=1", "1A=2"])
def test_other_lines_are_refused_by_number(line: str) -> None:
    with pytest.raises(envfiles.EnvFileInvalid, match="f, line 2"):
        envfiles.parse(f"A=1\n{line}\n", "f")


def test_the_real_environment_wins_then_env_then_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=env\nB=env\nD=env\n")
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "secrets.env").write_text("A=secret\nB=secret\nC=secret\nD=secret\n")
    environ = {"A": "real", "D_FILE": "/run/secrets/d"}
    envfiles.load(tmp_path, environ)
    assert environ == {"A": "real", "B": "env", "C": "secret", "D_FILE": "/run/secrets/d"}


def test_env_file_may_move_the_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    data.mkdir()
    (data / "secrets.env").write_text("SECRET_KEY=x\n")
    (tmp_path / ".env").write_text(f"DATA_DIR={data}\n")
    environ: dict[str, str] = {}
    envfiles.load(tmp_path, environ)
    assert environ["SECRET_KEY"] == "x"


def test_a_short_plain_folder_holds_its_own_socket() -> None:
    assert envfiles.socket_path(Path("/srv/portal/var"), "valkey.sock") == Path("/srv/portal/var/valkey.sock")


@pytest.mark.parametrize("folder", ["/srv/" + "deep/" * 30, "/srv/my folder", "/srv/50%20off", "/srv/straße"])
def test_other_folders_get_a_short_socket_path_of_their_own(folder: str) -> None:
    path = envfiles.socket_path(Path(folder), "valkey.sock")
    assert path.is_relative_to(tempfile.gettempdir())
    assert len(str(path)) < 104
    assert path == envfiles.socket_path(Path(folder), "valkey.sock")
    assert path != envfiles.socket_path(Path(folder + "2"), "valkey.sock")

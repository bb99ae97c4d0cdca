"""docs/reference/environment.md and .env.example are made from the code, and say all of it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from opsportal import settings
from opsportal.management.commands import environment

ROOT = Path(settings.__file__).resolve().parent.parent


def test_the_files_are_current() -> None:
    call_command("environment", "--check")


def test_an_old_file_is_named_with_the_way_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "BASE_DIR", tmp_path)
    monkeypatch.setattr(environment, "REFERENCE", tmp_path / "docs" / "environment.md")
    monkeypatch.setattr(environment, "EXAMPLE", tmp_path / ".env.example")
    with pytest.raises(CommandError, match=r"docs/environment.md, .env.example: not in step.*--write"):
        call_command("environment", "--check")
    call_command("environment", "--write", stdout=io.StringIO())
    call_command("environment", "--check")


def test_every_variable_says_what_it_means_and_none_shows_a_path_of_this_machine() -> None:
    text = environment.reference(settings.env.variables)
    for variable in settings.env.variables:
        assert variable.meaning, variable.name
        assert f"| `{variable.name}` |" in text
    assert str(ROOT) not in text
    assert settings.SECRET_KEY not in text


def test_the_variables_other_programs_rely_on_are_there() -> None:
    names = {variable.name for variable in settings.env.variables}
    assert names >= {
        "DATABASE_URL", "BROKER_URL", "CACHE_URL", "DATA_DIR", "PORT", "HOST", "SECRET_KEY", "ENCRYPTION_KEYS",
        "ALLOWED_HOSTS", "TRUSTED_PROXIES", "DELIVERY_PRIVATE_NETWORKS", "LOG_FORMAT", "OTEL_EXPORTER_OTLP_ENDPOINT",
    }  # fmt: skip


def test_the_environment_is_read_in_one_place() -> None:
    """Settings read it; besides, a service's secret_ref names a variable of its own."""
    allowed = re.compile(
        r"^(opsportal/(settings|env|envfiles|celery|wsgi|telemetry|gunicorn\.conf)|apps/services/|apps/sandbox/)"
    )
    for path in [*(ROOT / "apps").rglob("*.py"), *(ROOT / "opsportal").rglob("*.py")]:
        name = str(path.relative_to(ROOT))
        if not allowed.match(name):
            assert "os.environ" not in path.read_text(encoding="utf-8"), f"{name} reads the environment itself"

"""``make lint``: every check that needs no database. All of them run; the end names those that failed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
BIN: Final = Path(sys.executable).parent
# What a real installation sets, so that `check --deploy` judges that and not a laptop.
PRODUCTION: Final = {
    "HTTPS": "true",
    "SECRET_KEY": "only-for-the-deployment-check-but-as-long-and-mixed-as-a-real-one-0123456789",
    "ALLOWED_HOSTS": "ops.example.com",
    "TRUSTED_PROXIES": "10.0.0.1",
    "HOST": "0.0.0.0",  # noqa: S104
    "LOG_FORMAT": "json",
}


def checks(templates: Sequence[str]) -> dict[str, list[str]]:
    """Name -> command."""
    python = sys.executable
    manage = [python, "manage.py"]
    found = {
        "ruff check": [tool("ruff"), "check", "."],
        "ruff format": [tool("ruff"), "format", "--check", "--quiet", "."],
        "mypy": [tool("mypy"), "--no-error-summary"],
        "import-linter": [tool("lint-imports")],
        "migrations": [*manage, "makemigrations", "--check", "--dry-run"],
        "deployment check": [*manage, "check", "--deploy", "--fail-level", "WARNING"],
        "lock files": [python, "-m", "scripts.lock", "--check"],
        "docs/reference": [*manage, "environment", "--check"],
        "messages": [python, "-m", "scripts.messages", "--check"],
        ".ci/run": ["bash", "-n", ".ci/run"],
    }
    if templates:
        found["djlint"] = [tool("djlint"), "--lint", "--quiet", *templates]
        found["djade"] = [tool("djade"), "--check", "--target-version", "5.2", *templates]
    return found


def tool(name: str) -> str:
    return str(BIN / name)


def find_templates(root: Path = ROOT) -> list[str]:
    places = [root / "templates", root / "apps"]
    return sorted(str(path.relative_to(root)) for place in places for path in place.rglob("*.html"))


def environment(scratch: str) -> dict[str, str]:
    """A production-like environment that reads no file of this machine and touches no data."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TERM", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, **PRODUCTION, "DATA_DIR": scratch, "ENV_FILE": "", "PYTHONWARNINGS": "default"}


def run(name: str, command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Run one check quietly; show what it said only when it failed."""
    started = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = done.returncode == 0
    print(f"{'ok  ' if passed else 'FAIL'} {name:18} {time.monotonic() - started:5.1f} s", flush=True)
    if not passed:
        print("     " + done.stdout.strip().replace("\n", "\n     "), flush=True)
    return passed


def main(arguments: Sequence[str]) -> int:
    wanted = {n: c for n, c in checks(find_templates()).items() if not arguments or n.split()[0] in arguments}
    with tempfile.TemporaryDirectory(prefix="opsportal-lint-") as scratch:
        failed = [name for name, command in wanted.items() if not run(name, command, environment(scratch))]
    if failed:
        print(f"\n{len(failed)} of {len(wanted)} checks failed: {', '.join(failed)}. `make format` mends what is form.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``make lock``: compile the hashed lock files from their .in files. ``--check`` says, offline, which are old."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MARK: Final = "# made from: "
# Lock file -> every file whose change makes it old. The development lock is held to the versions of the other one.
LOCKS: Final = {
    "requirements.txt": ("requirements.in",),
    "requirements-dev.txt": ("requirements-dev.in", "requirements.in"),
    "bench/requirements.txt": ("bench/requirements.in",),
}


def digest(root: Path, sources: Sequence[str]) -> str:
    """One hash over the requirements named by the sources; comments and spaces do not count."""
    lines = [line.split("#")[0].strip() for name in sources for line in (root / name).read_text().splitlines()]
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()[:32]


def noted(path: Path) -> str:
    """The hash a lock file was made from, or ""."""
    for line in path.read_text().splitlines() if path.exists() else ():
        if line.startswith(MARK):
            return line.removeprefix(MARK).strip()
    return ""


def outdated(root: Path = ROOT) -> list[str]:
    """Lock files that were not made from what their .in files say now."""
    return [lock for lock, sources in LOCKS.items() if noted(root / lock) != digest(root, sources)]


def compile_lock(root: Path, lock: str, upgrade: bool) -> None:
    """Let uv choose versions for every platform and Python from 3.11 up, with a hash for every file."""
    source = LOCKS[lock][0]
    command = [str(Path(sys.executable).parent / "uv"), "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-header"]
    command += ["--upgrade"] if upgrade else []
    subprocess.run([*command, source, "-o", lock], cwd=root, check=True, stdin=subprocess.DEVNULL)
    path = root / lock
    head = f"# Made by `make lock` from {source}; do not edit.\n{MARK}{digest(root, LOCKS[lock])}\n"
    body = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith((MARK, "# Made by"))]
    path.write_text(head + "".join(body))


def main(arguments: Sequence[str]) -> int:
    if "--check" in arguments:
        if old := outdated():
            print(f"{', '.join(old)}: not made from the .in files as they are now. Run: make lock", file=sys.stderr)
        return 1 if old else 0
    for lock in LOCKS:
        print(f"==> {lock}", flush=True)
        try:
            compile_lock(ROOT, lock, "--upgrade" in arguments)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"{lock} could not be made: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``make test``: the whole suite, once on SQLite and once on PostgreSQL. Neither is ever skipped.

Per database two rounds: everything that runs in parallel on two workers, then, one after another, what
needs the machine to itself (real processes, browsers, a million rows). A few failures among the latter are tried once
more, and named. Arguments go to pytest: make test ARGS="-k env".
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from scripts import postgres

ROOT: Final = Path(__file__).resolve().parent.parent
ALONE: Final = "chaos or e2e or browser or scale"
FAILED: Final = 1
NO_TESTS: Final = 5
WITH_PROCESSES: Final = "what needs the machine to itself"
# More than this is no bad moment of a busy machine.
FEW: Final = 4
FAILURES: Final = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
END_WITHIN_S: Final = 60.0


def say(text: str) -> None:
    print(f"\n==> {text}", flush=True)


def rounds(arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """What to run on each database: a line for people, and pytest's arguments."""
    chosen = any(argument == "-m" or argument.startswith("-m") for argument in arguments)
    if chosen:
        return [("the tests chosen", list(arguments))]
    parallel = [*arguments] if _says_workers(arguments) else ["-n", "2", *arguments]
    return [
        ("what runs in parallel", ["-m", f"not ({ALONE})", *parallel]),
        (WITH_PROCESSES, ["-m", ALONE, "-p", "no:randomly", *arguments]),
    ]


def _says_workers(arguments: Sequence[str]) -> bool:
    return any(a.startswith(("-n", "--numprocesses", "--pdb")) for a in arguments)


def environment(url: str) -> dict[str, str]:
    """The environment of one run: ours, without what would lead the tests to an installation."""
    kept = {n: v for n, v in os.environ.items() if n not in ("DATABASE_URL", "DATA_DIR", "TEST_DATABASE_URL")}
    return {**kept, "TEST_DATABASE_URL": url} if url else kept


def run_suite(name: str, env: Mapping[str, str], arguments: Sequence[str]) -> tuple[int, int]:
    """Run all rounds on one database. Returns how many rounds failed and how many found tests."""
    failed = found = 0
    for what, extra in rounds(arguments):
        say(f"{name}: {what}")
        command = [sys.executable, "-m", "pytest", "-q", *extra]
        FAILURES.unlink(missing_ok=True)  # pytest keeps those of other rounds
        code = call(command, env)
        if code == FAILED and what == WITH_PROCESSES:
            code = once_more(name, command, env)
        if code == NO_TESTS:
            continue
        found += 1
        failed += code != 0
    return failed, found


def once_more(name: str, command: Sequence[str], env: Mapping[str, str]) -> int:
    """Few failures among tests with processes, browsers and clocks: they get one more try, and are named for it."""
    names = failures()
    if not 0 < len(names) <= FEW:
        return FAILED
    say(f"{name}: once more, and to be looked at even if they pass now: {', '.join(names)}")
    return call([*command, "--last-failed"], env)


def failures() -> list[str]:
    """The tests that failed last, as pytest remembers them."""
    try:
        return sorted(json.loads(FAILURES.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def call(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run pytest; when we are stopped, let it end its fixtures, which may hold processes."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        # A shell starts what it puts in the background with SIGINT ignored; pytest needs to hear it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as pytest:
        try:
            return pytest.wait()
        except BaseException:
            pytest.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                pytest.wait(timeout=END_WITHIN_S)
            pytest.kill()
            raise


def stop(signum: int, _: FrameType | None) -> None:
    sys.exit(128 + signum)


def main(arguments: Sequence[str]) -> int:
    started = time.monotonic()
    # The temporary cluster must stop with us, whatever stops us.
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop)
    try:
        with postgres.database_url(say) as url:
            results = [
                run_suite("SQLite", environment(""), arguments),
                run_suite("PostgreSQL", environment(url), arguments),
            ]
    except postgres.NoPostgres as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return verdict(results, time.monotonic() - started)


def verdict(results: Sequence[tuple[int, int]], seconds: float) -> int:
    """0 when every database ran tests and none failed."""
    if not all(found for _, found in results):
        print("\nNo test matches these arguments.", file=sys.stderr)
        return NO_TESTS
    if failed := sum(count for count, _ in results):
        print(f"\n{failed} of {sum(f for _, f in results)} runs failed, see above ({seconds:.0f} s).", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

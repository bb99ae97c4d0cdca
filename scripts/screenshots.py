"""``make screenshots``: pictures of the pages with made-up data, light, dark and on a phone.

A scratch database is seeded and served as in production; Debian's Chromium looks at it. ``--all DIRECTORY`` takes
them uncompressed and whole into another directory, for whoever changes pages; docs/screenshots/ is the default.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from scripts.pictures.shot import Shot
from scripts.shots import DESKTOP, LOOKS, PHONE, PICK, SHOTS

__all__ = ["CHROMIUM", "CHROMIUM_ARGS", "DESKTOP", "PHONE"]

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / "docs" / "screenshots"
CHROMIUM: Final = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# Nothing that phones home: the browser looks at one page of this host.
CHROMIUM_ARGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EMAIL: Final = "admin@example.com"
STARTS_WITHIN_S: Final = 30
# Made-up workers look alive for a few seconds.
KEEP_ALIVE: Final = """
from time import sleep
from django.core.management import call_command
while True:
    call_command("seed_demo", refresh=True)
    sleep(2)
"""
# For a dialog or an answer to be there.
SETTLES_MS: Final = 500
# Of pictures that are kept, so that the repository stays small.
QUALITY: Final = 70
KEPT_AS: Final = ".webp"
TALLEST: Final = {KEPT_AS: 1400, ".png": 4000}


def main() -> int:
    options = _options()
    if not Path(CHROMIUM).exists():
        print(f"There is no {CHROMIUM}. Install it (apt-get install chromium) or name another with CHROMIUM.")
        return 1
    with tempfile.TemporaryDirectory(prefix="opsportal-screenshots-") as scratch:
        environment, password = _prepare(Path(scratch), options.port)
        with _serving(environment, options.port), _kept_alive(environment), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
            taken = _take_all(browser, environment, password, options)
            browser.close()
    print(f"{taken} pictures in {options.all or OUT}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, help="every page in every look, into this directory")
    parser.add_argument("--only", default="", help="only pictures whose name begins with this")
    parser.add_argument("--looks", default="light,dark,phone", help="which looks; also phone-dark")
    parser.add_argument("--port", type=int, default=0, help="port to serve on; 0 takes a free one")
    options = parser.parse_args()
    options.port = options.port or _free_port()
    return options


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _prepare(scratch: Path, port: int) -> tuple[dict[str, str], str]:
    """A database with made-up data, the static files and one person who may do everything."""
    password = secrets.token_urlsafe(12)
    environment = {
        **os.environ,
        "DATA_DIR": str(scratch),
        "ENV_FILE": "",
        "DATABASE_URL": "",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "PORT": str(port),
        "SANDBOX": "1",
        "LOG_LEVEL": "error",
        "PROMETHEUS_MULTIPROC_DIR": str(scratch / "metrics"),
    }
    print("Making a scratch portal with made-up data ...")
    _manage(environment, "migrate", "-v0")
    _manage(environment, "collectstatic", "--noinput", "-v0")
    _manage(environment, "operator", "create", EMAIL, "--role", "admin", "--password-stdin", "--quiet", given=password)
    _manage(environment, "seed_demo")
    return environment, password


def _manage(environment: dict[str, str], *words: str, given: str = "") -> str:
    ran = subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        input=given,
        text=True,
        capture_output=True,
        check=False,
    )
    if ran.returncode:
        sys.exit(f"manage.py {words[0]} failed:\n{ran.stderr[-2000:]}")
    return ran.stdout


@contextmanager
def _serving(environment: dict[str, str], port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "gunicorn", "-c", "opsportal/gunicorn.conf.py", "--workers", "1", "opsportal.wsgi"]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/login", server)
            yield
        finally:
            server.terminate()


@contextmanager
def _kept_alive(environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", KEEP_ALIVE]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as life:
        try:
            yield
        finally:
            life.terminate()


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < ends and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  a page of this host
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    sys.exit(f"The server did not answer at {url} within {STARTS_WITHIN_S} s.")


def _take_all(browser: Browser, environment: dict[str, str], password: str, options: argparse.Namespace) -> int:
    """Page by page, each in every look, beside each other: the data is as good as the same in all of them."""
    places = dict(line.split() for line in _manage(environment, "shell", "-v0", "-c", PICK).splitlines() if " " in line)
    out = options.all or OUT
    out.mkdir(parents=True, exist_ok=True)
    base = f"http://127.0.0.1:{environment['PORT']}"
    looks = {look: browser.new_context(base_url=base, **LOOKS[look]) for look in options.looks.split(",")}
    shots = [shot for shot in SHOTS if shot.name.startswith(options.only)]
    for person in (False, True):
        for context in looks.values() if person else ():
            _log_in(context, password)
        for shot in (shot for shot in shots if shot.person is person):
            for look, context in looks.items():
                _take(context, shot, places, out / f"{shot.name}-{look}{'.png' if options.all else KEPT_AS}")
    return len(shots) * len(looks)


def _log_in(context: BrowserContext, password: str) -> None:
    """As somebody who may do everything."""
    page = context.new_page()
    page.goto("/login")
    page.fill("input[type=email]", EMAIL)
    page.fill("input[type=password]", password)
    page.click("button[type=submit]")
    page.wait_for_url("**/")
    page.close()


def _take(context: BrowserContext, shot: Shot, places: dict[str, str], path: Path) -> None:
    page = context.new_page()
    page.on("console", lambda said: print(f"{path.stem}: {said.text}") if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: print(f"{path.stem}: {error}"))
    page.goto(shot.path.format(**places))
    page.wait_for_load_state("networkidle") if not shot.press else None
    for what in filter(None, shot.press.split("; ")):
        _press(page, what)
    page.evaluate("document.fonts.ready")
    _picture(page, path, full=shot.full and not page.locator("dialog[open]").count())
    page.close()


def _press(page: Page, what: str) -> None:
    kind, _, rest = what.partition(":")
    if kind == "key":
        page.keyboard.press(rest)
    elif kind == "type":
        page.keyboard.type(rest)
    else:
        page.locator(what).first.click()
    page.wait_for_timeout(SETTLES_MS)


def _picture(page: Page, path: Path, *, full: bool) -> None:
    """The whole page, by a window as high as the page: what is fixed to its edges stays there."""
    size = page.viewport_size or DESKTOP
    if full:
        height = min(int(page.evaluate("document.documentElement.scrollHeight")), TALLEST[path.suffix])
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], height)})
        page.wait_for_timeout(150)
    page.screenshot(path=path, quality=QUALITY if path.suffix == KEPT_AS else None)
    page.set_viewport_size({"width": size["width"], "height": size["height"]})


if __name__ == "__main__":
    sys.exit(main())

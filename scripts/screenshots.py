"""``make screenshots``: pictures of the pages with made-up data, light, dark and on a phone.

A scratch database is seeded and served as in production; Debian's Chromium looks at it. ``--all DIRECTORY``
takes every page in every look, for whoever changes them; the few of docs/screenshots/ are the default.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

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
EMAIL: Final = "lead@example.com"
DESKTOP: Final = {"width": 1280, "height": 860}
PHONE: Final = {"width": 390, "height": 844}
STARTS_WITHIN_S: Final = 30


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture: which page, what to press before it is taken."""

    name: str
    path: str
    press: str = ""
    full: bool = True


SHOTS: Final = (
    Shot("overview", "/"),
    Shot("services", "/services"),
    Shot("service", "/services/midtrans"),
    Shot("override", "/services/midtrans", "summary.danger; a[href*=force_open]"),
    Shot("pause", "/services/smtp", "a[href$=pause]"),
    Shot("settings", "/services/midtrans/settings"),
    Shot("settings-history", "/services/midtrans/settings/history"),
    Shot("restore", "/services/midtrans/settings/history", "a[href$=restore]"),
    Shot("service-history", "/services/midtrans/history"),
    Shot("what-if", "/services/midtrans/what-if?error_threshold_percentage=40&volume_threshold=10&days=1"),
    Shot("outbox", "/outbox", full=False),
    Shot("outbox-waiting", "/outbox?status=waiting&service=midtrans", full=False),
    Shot("outbox-none", "/outbox?q=nothing-like-this"),
    Shot("message", "/outbox/{retrying}"),
    Shot("message-dead", "/outbox/{dead}"),
    Shot("message-revealed", "/outbox/{dead}", "#content button"),
    Shot("dead-letters", "/dead-letters"),
    Shot("replay-dialog", "/dead-letters", "a[hx-get*=new]"),
    Shot("discard-dialog", "/dead-letters", "a[hx-get*=discard]"),
    Shot("cause", "/dead-letters/causes/{cause}", full=False),
    Shot("cause-selected", "/dead-letters/causes/{cause}", "[data-select-all]", full=False),
    Shot("letter", "/dead-letters/{letter}"),
    Shot("edit", "/dead-letters/{letter}/edit"),
    Shot("templates", "/templates"),
    Shot("template", "/templates/order-paid?channel=email&language=en&version=3"),
    Shot("template-editor", "/templates/new?name=order-paid&channel=email&language=en"),
    Shot("template-test", "/templates/order-paid", "a[hx-get*=test]"),
    Shot("replays", "/replays"),
    Shot("replay", "/replays/1", full=False),
    Shot("audit", "/audit"),
    Shot("audit-entry", "/audit", "table .main-link"),
    Shot("menu", "/replays/1", ".top details.menu summary", full=False),
    Shot("missing", "/outbox/999999"),
    Shot("nowhere", "/nowhere"),
)
# name, look: what the README and docs show.
KEPT: Final = (
    ("overview", "light"),
    ("overview", "dark"),
    ("overview", "phone"),
    ("service", "light"),
    ("outbox", "light"),
    ("message-dead", "dark"),
    ("dead-letters", "light"),
    ("replay", "light"),
)
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "is_mobile": True, "has_touch": True},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "is_mobile": True, "has_touch": True},
}
PICK: Final = """
from apps.outbox.models import Cause, DeadLetter, Message
letter = DeadLetter.objects.filter(state="open", service="midtrans", status_code=503).order_by("-id").first()
print("cause", letter.cause_id)
print("letter", letter.pk)
print("dead", letter.message_id)
print("retrying", Message.objects.filter(status="RETRYING", service="midtrans").order_by("id").first().pk)
"""


def main() -> int:
    options = _options()
    if not Path(CHROMIUM).exists():
        print(f"There is no {CHROMIUM}. Install it (apt-get install chromium) or name another with CHROMIUM.")
        return 1
    with tempfile.TemporaryDirectory(prefix="opsportal-screenshots-") as scratch:
        environment, password = _prepare(Path(scratch), options.port)
        with _serving(environment, options.port), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
            taken = _take_all(browser, environment, password, options)
            browser.close()
    print(f"{taken} pictures in {options.all or OUT}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, help="every page in every look, into this directory")
    parser.add_argument("--only", default="", help="only pictures whose name begins with this")
    parser.add_argument("--looks", default="light,dark,phone,phone-dark", help="with --all: which looks")
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
        "LOG_LEVEL": "warning",
        "PROMETHEUS_MULTIPROC_DIR": str(scratch / "metrics"),
    }
    print("Making a scratch portal with made-up data ...")
    _manage(environment, "migrate", "-v0")
    _manage(environment, "collectstatic", "--noinput", "-v0")
    _manage(environment, "operator", "create", EMAIL, "--role", "lead", "--password-stdin", "--quiet", given=password)
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
    places = dict(line.split() for line in _manage(environment, "shell", "-v0", "-c", PICK).splitlines() if " " in line)
    out = options.all or OUT
    out.mkdir(parents=True, exist_ok=True)
    taken = 0
    for look, settings in LOOKS.items():
        if options.all and look not in options.looks.split(","):
            continue
        shots = [shot for shot in SHOTS if shot.name.startswith(options.only)]
        if not options.all:
            shots = [shot for shot in shots if (shot.name, look) in KEPT]
        if shots:
            taken += _take_look(browser, environment, password, (look, settings, shots, places), out)
    return taken


def _take_look(
    browser: Browser,
    environment: dict[str, str],
    password: str,
    what: tuple[str, dict[str, Any], list[Shot], dict[str, str]],
    out: Path,
) -> int:
    look, settings, shots, places = what
    base = f"http://127.0.0.1:{environment['PORT']}"
    with browser.new_context(base_url=base, **settings) as context:
        page = context.new_page()
        problems: list[str] = []
        page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto("/login")
        page.screenshot(path=out / f"login-{look}.png") if len(shots) > len(KEPT) else None
        page.fill("input[type=email]", EMAIL)
        page.fill("input[type=password]", password)
        page.click("button[type=submit]")
        for shot in shots:
            _manage(environment, "seed_demo", "--refresh")
            _take(page, shot, places, out / f"{shot.name}-{look}.png")
            for problem in problems:
                print(f"{shot.name}-{look}: {problem}")
            problems.clear()
    return len(shots)


def _take(page: Page, shot: Shot, places: dict[str, str], path: Path) -> None:
    page.goto(shot.path.format(**places))
    page.wait_for_load_state("networkidle") if not shot.press else None
    for selector in filter(None, shot.press.split("; ")):
        page.locator(selector).first.click()
        page.wait_for_timeout(400)
    page.evaluate("document.fonts.ready")
    _picture(page, path, full=shot.full and not page.locator("dialog[open]").count())


def _picture(page: Page, path: Path, *, full: bool) -> None:
    """The whole page, by a window as high as the page: what is fixed to its edges stays there."""
    size = page.viewport_size or DESKTOP
    if full:
        height = int(page.evaluate("document.documentElement.scrollHeight"))
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], min(height, 4000))})
        page.wait_for_timeout(150)
    page.screenshot(path=path)
    page.set_viewport_size({"width": size["width"], "height": size["height"]})


if __name__ == "__main__":
    sys.exit(main())

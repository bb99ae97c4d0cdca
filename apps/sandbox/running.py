"""The sandbox as a process: started by ``manage.py sandbox run``, ended by SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from django.conf import settings

from apps.core import clock
from apps.sandbox.producer.producer import Producer
from apps.sandbox.producer.shop import Shop
from apps.sandbox.server import SandboxServer

log = structlog.get_logger(__name__)
SECRET_NAMES: Final = {"billing-webhook": "BILLING_WEBHOOK_SECRET"}
KEY_FILE: Final = "sandbox-api-key"
MAX_KEYS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Options:
    """``rate`` in messages per second; 0 runs no producer."""

    base_port: int
    portal_url: str
    rate: float
    script: bool
    seed: int = 0


def portal_url() -> str:
    """Where the portal of this machine listens."""
    host = "127.0.0.1" if settings.HOST in ("0.0.0.0", "::") else settings.HOST  # noqa: S104  # compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.PORT}"


def read_key() -> str:
    """The API key from the settings, or from the file that may come later; empty while there is none."""
    if settings.SANDBOX_API_KEY:
        return str(settings.SANDBOX_API_KEY)
    try:
        return (settings.DATA_DIR / KEY_FILE).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""


def secret(name: str) -> str:
    """A secret the portal signs with: NAME, or the file NAME_FILE names."""
    path = os.environ.get(f"{name}_FILE", "")
    return Path(path).read_text(encoding="utf-8").strip() if path else os.environ.get(name, "")


async def run(options: Options) -> None:
    """Until a signal asks to end; raises :class:`PortTaken` when it cannot begin."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    sandbox = _made(options)
    async with sandbox:
        posting = asyncio.create_task(_post(sandbox))
        await over.wait()
        posting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await posting


def _made(options: Options) -> SandboxServer:
    producer = None
    if options.rate:
        producer = Producer(options.portal_url, Shop(clock.now), rate=options.rate, read_key=read_key)
    sandbox = SandboxServer(
        base_port=options.base_port,
        seed=options.seed,
        secrets={provider: secret(name) for provider, name in SECRET_NAMES.items()},
        producer=producer,
        portal_url=options.portal_url,
        max_keys=MAX_KEYS,
    )
    sandbox.script_wanted = options.script
    return sandbox


async def _post(sandbox: SandboxServer) -> None:
    """The producer's trouble is shown; it never ends the providers."""
    if sandbox.producer is None:
        return
    while True:
        try:
            await sandbox.producer.run()
        except Exception:  # whatever it is, it is logged, and the next attempt starts afresh
            log.exception("producer.crashed")
            await asyncio.sleep(5)

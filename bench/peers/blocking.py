"""Delivery for the synchronous peers: requests, one kept-alive session per thread, one insert per message."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime

import psycopg
import requests
from requests.adapters import HTTPAdapter

from bench.payload import headers
from bench.peers import config
from bench.peers.attempt import INSERT_PSYCOPG

CONFIG = config.read()
WORKER = f"worker-{os.getpid()}"
_local = threading.local()
_shared: list[requests.Session] = []


def _new_session(size: int) -> requests.Session:
    session = requests.Session()
    # No proxies, .netrc or certificates are looked up for each request: it suits requests best.
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=size))
    return session


def session() -> requests.Session:
    """One per thread; Celery's green threads live for one task, so those share one with a large pool."""
    if CONFIG.options.get("shared_session"):
        if not _shared:
            _shared.append(_new_session(CONFIG.number("concurrency", 10)))
        return _shared[0]
    if not hasattr(_local, "session"):
        _local.session = _new_session(1)
    found: requests.Session = _local.session
    return found


def _insert(row: tuple[object, ...]) -> None:
    """On a connection this thread keeps, as Django's persistent connections do; very many threads share a pool."""
    if CONFIG.options.get("pooled"):
        from bench.peers.pooled import pool

        with pool(CONFIG.dsn).connection() as connection:
            connection.execute(INSERT_PSYCOPG, row)
        return
    if not hasattr(_local, "database"):
        _local.database = psycopg.connect(CONFIG.dsn, autocommit=True)
    _local.database.execute(INSERT_PSYCOPG, row)


def deliver(wire_id: str, body: str) -> None:
    """Post one message and, in the second form, write down that it was tried. Raises on anything but 2xx."""
    started = datetime.now(UTC)
    response = session().post(CONFIG.url, data=body.encode(), headers=headers(wire_id), timeout=30)
    response.raise_for_status()
    if CONFIG.record:
        duration = int((datetime.now(UTC) - started).total_seconds() * 1000)
        _insert((wire_id, started, duration, WORKER, response.status_code, response.text))

"""The web process: threads, because a page waits for the database and for nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from opsportal import settings

bind = f"[{settings.HOST}]:{settings.PORT}" if ":" in settings.HOST else f"{settings.HOST}:{settings.PORT}"
worker_class = "gthread"
workers = settings.WEB_WORKERS
threads = settings.WEB_THREADS
timeout = 30
graceful_timeout = settings.WEB_GRACE_S
keepalive = 5
# Workers are not recycled: nothing here leaks by design, and a leak should be seen rather than papered over.
max_requests = 0
# Headers of a proxy are believed only when it is named; gunicorn's own default would trust 127.0.0.1.
forwarded_allow_ips = ",".join(settings.TRUSTED_PROXIES)
# gunicorn would open this in $HOME, which a read-only container does not have.
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  heartbeats never wait for a disk
loglevel = "warning"
proc_name = "opsportal-web"

# prometheus_client looks at this once, when the first metric is made; workers must find it set.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(settings.PROMETHEUS_MULTIPROC_DIR))
Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir(parents=True, exist_ok=True)


def post_worker_init(worker: Any) -> None:
    """Web processes go on when beat and the workers do not, so they watch the escalation of alerts too."""
    from apps.alerts import watcher

    watcher.start()


def child_exit(server: Any, worker: Any) -> None:
    """A worker that is gone no longer counts in live gauges."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)

"""PostgreSQL restarted, gently and as by a crash, while alerts come in and steps fall due. On a cluster of its own.

Whoever posts does as Alertmanager does: what is not answered 2xx is posted again.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import requests

from tests.alerts.conftest import alert, body
from tests.alerts.desk import Desk
from tests.chaos.test_escalation import CELERY, WORKER
from tests.chaos.test_escalation import PATIENCE as PATIENCE_S
from tests.chaos.test_postgres_restart import Cluster, cluster  # noqa: F401  # a fixture
from tests.processes import ROOT, Stack, stack, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(500)]

NAMES = ["A0", "A1", "A2"]
STEPS = 6

PREPARE = """
import json, sys
from apps.alerts.policies import save_routing
from apps.alerts.services import create_source
from apps.core.actor import SYSTEM
from apps.services.models import Service
from opsportal.schedule import sync_schedule
url, names, steps = sys.argv[-3], sys.argv[-2].split(","), int(sys.argv[-1])
rules = dict(retry={"max_attempts": 50, "base": 0.2, "cap": 1}, breaker={"timeout": 2, "volume_threshold": 100000})
Service.objects.create(name="slack", channel="slack", secret="s",
                       settings={"mode": "api", "base_url": url, "channel": "#alerts"}, **rules)
Service.objects.create(name="pagerduty", channel="pagerduty", secret="s", settings={"base_url": url}, **rules)
plan = [{"after": 3 * n, "notify": ["slack", "pagerduty"]} for n in range(steps)]
targets = {"slack": {"service": "slack", "recipient": "#alerts"}, "pagerduty": {"service": "pagerduty"}}
routes = [{"name": name, "match": {"alertname": name}, "steps": plan} for name in names]
document = {"targets": targets, "routes": [*routes, {"name": "rest", "steps": plan}]}
save_routing(document=document, actor=SYSTEM, reason="x")
sync_schedule()
print("TOKEN", create_source(name="real", actor=SYSTEM).token)
"""


@pytest.fixture
def portal(cluster: Cluster) -> Iterator[Stack]:  # noqa: F811  # that fixture
    with stack() as running:
        running.extra_env["DATABASE_URL"] = cluster.url
        yield running


def prepared(portal: Stack, desk: Desk) -> str:
    """The token of the source."""
    env = portal.environment()
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=env, check=True)
    code = f"import django; django.setup()\n{PREPARE}"
    command = [sys.executable, "-c", code, f"http://127.0.0.1:{desk.port}", ",".join(NAMES), str(STEPS)]
    told = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True).stdout
    return told.rpartition("TOKEN ")[2].strip()


def posted(url: str, token: str, name: str) -> bool:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        answer = requests.post(f"{url}/webhooks/alertmanager", data=body(alert(name)), headers=headers, timeout=20)
    except requests.RequestException:
        return False
    assert answer.status_code == 200 or answer.status_code >= 500
    return answer.status_code == 200


@pytest.mark.parametrize("how", ["immediate"])
def test_a_database_that_is_restarted_in_the_middle_costs_no_step(how: str, cluster: Cluster, portal: Stack) -> None:  # noqa: F811
    with Desk() as desk:
        token = prepared(portal, desk)
        url = f"http://127.0.0.1:{portal.start_web()}"
        portal.start_delivery()
        portal.start(*CELERY, "worker", "-Q", "control", *WORKER, log="control")
        portal.start(*CELERY, "beat", "--pidfile=", log="beat")
        for name in NAMES[:2]:
            wait_for(lambda name=name: posted(url, token, name), PATIENCE_S, f"{name} to be taken")
        wait_for(
            lambda: cluster.rows("SELECT count(*) FROM alert_notification")[0][0] >= 4, PATIENCE_S, "the first step"
        )
        for _ in range(2):
            cluster.restart(how)
            time.sleep(2)
        wait_for(lambda: posted(url, token, NAMES[2]), PATIENCE_S, "the last alert to be taken")
        whole = len(NAMES) * STEPS * 2
        count = "SELECT count(*) FROM alert_notification WHERE kind = 'page' AND outcome = 'queued'"
        wait_for(lambda: cluster.rows(count) == [(whole,)], PATIENCE_S, "every step", every=0.3)
        left = "SELECT count(*) FROM notification_outbox WHERE status <> 'SENT'"
        wait_for(lambda: cluster.rows(left) == [(0,)], PATIENCE_S, "every page", every=0.3)
    arrived = Counter((said.about, said.service, said.step) for said in desk.heard if said.step)
    assert len(arrived) == whole
    # A page whose answer was on its way when the connection broke may come twice, under one dedup_key.
    assert sum(arrived.values()) - whole <= 4
    late = cluster.rows("SELECT max(decided_at - planned_at), min(decided_at - planned_at) FROM alert_notification")
    print(f"late by {late[0][0]} at most")
    assert late[0][1].total_seconds() >= 0

"""However long the trail, no filter of its page reads it from end to end."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from apps.audit.models import AuditEntry
from tests.console.conftest import make_person
from tests.scale.plans import captured, scans

pytestmark = [pytest.mark.scale, pytest.mark.django_db, pytest.mark.timeout(600)]

ROWS = 200_000
# One person, one target and one request in a thousand rows; the times are a second apart.
FILL = """
INSERT INTO audit_entry
  (at, actor_kind, actor, ip, action, target, reason, "before", "after", request_id, previous_hash, hash)
SELECT {at}, 'person', 'p' || (n % 1000) || '@example.com', '10.0.' || (n % 250) || '.1', 'service.changed',
  'service:s' || (n % 1000), 'reason ' || n, NULL, NULL, 'req-' || n, '', 'hash-' || n
FROM {numbers}
"""
FILTERS = (
    "",
    "?actor=p7@example.com",
    "?actor=nobody@example.com",
    "?kind=person",
    "?kind=cli",
    "?action=service.changed",
    "?action=message.revealed",
    "?target=service:s9",
    "?target=s9",
    "?target=nothing",
    "?ip=10.0.7.1",
    "?ip=1.2.3.4",
    "?request_id=req-4711",
    "?since=2026-01-01T10:00",
    "?until=2026-01-01T10:00",
    "?since=2026-01-02T00:00&until=2026-01-02T01:00",
    "?actor=p7@example.com&action=service.changed&since=2026-01-02T00:00",
    "?q=nothing-like-it",
    "?cursor=5000",
)


@pytest.fixture
def long_trail(db: None) -> None:
    if connection.vendor == "postgresql":
        at, numbers = "timestamptz '2026-01-01 00:00Z' + n * interval '1 second'", f"generate_series(1, {ROWS}) AS n"
    else:
        at = "datetime('2026-01-01', '+' || n || ' seconds')"
        numbers = f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS}) SELECT n FROM c)"
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(at=at, numbers=numbers))
        cursor.execute("ANALYZE audit_entry")


def test_no_filter_scans_the_trail(long_trail: None) -> None:
    assert AuditEntry.objects.count() >= ROWS
    client, offences = Client(), []
    client.force_login(make_person("lead"))
    for query in FILTERS:
        with captured() as statements:
            assert client.get(f"/audit{query}").status_code == 200, query
        for sql, params in statements.reads:
            offences += [f"{query}: {sql[:400]}" for _ in scans(sql, params, {"audit_entry"})]
    assert not offences, "\n" + "\n".join(offences)

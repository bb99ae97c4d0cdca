"""Bodies of other senders, and bodies spoilt at random."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.alerts.conftest import payload_files


def alerts_of(content: bytes) -> list[Any] | None:
    """What a plain JSON reader finds; None where the body is none of ours."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    told = found.get("alerts") if isinstance(found, dict) else None
    return told if isinstance(told, list) else None


GRAFANA: dict[str, Any] = {
    "receiver": "portal",
    "status": "firing",
    "orgId": 1,
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "High latency", "grafana_folder": "Payments", "severity": "critical"},
            "annotations": {"summary": "p95 of the gateway is above 2 s"},
            "startsAt": "2026-11-21T09:50:00+07:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://grafana:3000/alerting/grafana/aeb1/view?orgId=1",
            "fingerprint": "c9a21f6e5f3d1b07",
            "silenceURL": "http://grafana:3000/alerting/silence/new?alertmanager=grafana",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"A": 2.31, "C": 1},
            "valueString": "[ var='A' labels={} value=2.31 ]",
        }
    ],
    "groupLabels": {"alertname": "High latency"},
    "commonLabels": {},
    "commonAnnotations": {},
    "externalURL": "http://grafana:3000/",
    "version": "1",
    "groupKey": '{}/{}:{alertname="High latency"}',
    "truncatedAlerts": 0,
    "title": "[FIRING:1] High latency",
    "state": "alerting",
    "message": "**Firing**",
}
VERSION_3: dict[str, Any] = {
    "version": "3",
    "groupKey": 13190234918237498123,
    "status": "resolved",
    "receiver": "old",
    "groupLabels": {"alertname": "Old"},
    "commonLabels": {"alertname": "Old"},
    "commonAnnotations": {},
    "externalURL": "http://am:9093",
    "alerts": [
        {
            "status": "resolved",
            "labels": {"alertname": "Old", "severity": "page"},
            "annotations": {},
            "startsAt": "2026-11-21T02:00:00.123456789Z",
            "endsAt": "2026-11-21T02:10:00Z",
            "generatorURL": "http://prom:9090/graph",
        }
    ],
}
VMALERT: dict[str, Any] = {
    "version": "4",
    "alerts": [
        {
            "labels": {"alertname": "RequestErrors", "alertgroup": "vm", "severity": "warning"},
            "annotations": {"value": "12.5"},
            "startsAt": "2026-11-21T02:00:00Z",
            "endsAt": "2026-11-21T02:04:00Z",
            "generatorURL": "/vmalert/alert?group_id=1&alert_id=2",
        },
        {
            "labels": {"alertname": "RequestErrors", "alertgroup": "vm", "job": "x"},
            "startsAt": "2026-11-21T02:00:00Z",
        },
    ],
}
NEWEST: dict[str, Any] = {
    **VERSION_3,
    "version": "4",
    "groupKey": "{}:{}",
    "truncatedAlerts": 12,
    "notification_reason": "new alerts added",
    "routeLabels": {"team": "ops"},
}
ODD: list[Any] = [None, True, 0, -1, 1.5, "", " ", "x", "firing", "\x00"]
ODD += [[], [1], [[]], {}, {"a": "b"}, {"a": {"b": [1]}}]

Spoil = Callable[[Any], Any]
WORDS = ["resolved", "0001-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "\ud83d", "<!channel>", 10**400]
ATOMS = st.sampled_from([*ODD, *WORDS])
TEXTS = st.text(max_size=40)


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [at, *(path for key, item in inner for path in paths(item, (*at, key)))]


def changed(document: Any, path: tuple[Any, ...], change: Spoil) -> Any:
    if not path:
        return change(document)
    result = copy.copy(document)
    result[path[0]] = changed(document[path[0]], path[1:], change)
    return result


def without(document: Any, path: tuple[Any, ...]) -> Any:
    def cut(holder: Any) -> Any:
        rest = copy.copy(holder)
        del rest[path[-1]]
        return rest

    return changed(document, path[:-1], cut) if path else {}


GIVEN = [path.read_bytes() for path in payload_files()]
READABLE = [json.loads(content) for content in GIVEN if len(content) < 100_000 and alerts_of(content) is not None]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """One of the bodies with one to four things of it changed, left out, doubled; now and then bytes of it broken."""
    document = draw(st.sampled_from([GRAFANA, VERSION_3, VMALERT, *READABLE]))
    for _ in range(draw(st.integers(1, 4))):
        found = draw(st.sampled_from(paths(document)))
        new = draw(ATOMS | TEXTS)
        kind = draw(st.sampled_from(["other", "gone", "twice"]))
        if kind == "other" or not found:
            document = changed(document, found, lambda _, new=new: new) if found else document
        elif kind == "gone":
            document = without(document, found)
        else:
            document = changed(document, found, lambda old: [old, old])
    content = json.dumps(document).encode()
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(content)))
        content = content[:at] + draw(st.binary(max_size=4)) + content[at + draw(st.integers(0, 3)) :]
    return content

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.alerts.fingerprint import fingerprint_of
from apps.alerts.parsing import Unreadable, parse, unpacked
from apps.alerts.severity import Severity, severity_of
from apps.alerts.times import parse_time
from tests.alerts.conftest import PAYLOADS, alert, body

# Real ones, of Alertmanager 0.25. Those of any other kind: test_payloads.py.
OURS = sorted(PAYLOADS.glob("*.json"))


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_every_body_is_read_and_no_alert_is_lost(path: Path) -> None:
    content = path.read_bytes()
    said = parse(content)
    told = json.loads(content)["alerts"]
    assert (len(said.observations), said.rejected) == (len(told), [])
    assert {one.fingerprint for one in said.observations} == {one["fingerprint"] for one in told}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_the_fingerprint_is_the_one_alertmanager_makes(path: Path) -> None:
    for told in json.loads(path.read_bytes())["alerts"]:
        assert fingerprint_of(told["labels"]) == told["fingerprint"]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-21T02:48:48.625980814Z", datetime(2026, 11, 21, 2, 48, 48, 625980, UTC)),
        ("2026-11-21T09:48:48+07:00", datetime(2026, 11, 21, 2, 48, 48, 0, UTC)),
        ("2026-06-30T23:59:60Z", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-11-21 02:48:48", datetime(2026, 11, 21, 2, 48, 48, 0, UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00-12:00", None),
        ("9999-12-31T23:59:60Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (1732156128, None),
        (None, None),
    ],
)
def test_times_of_senders(text: object, at: datetime | None) -> None:
    assert parse_time(text) == at


@pytest.mark.parametrize(
    ("labels", "severity"),
    [
        ({"severity": "Critical"}, Severity.CRITICAL),
        ({"severity": "page"}, Severity.CRITICAL),
        ({"priority": "P1"}, Severity.CRITICAL),
        ({"severity": "major"}, Severity.WARNING),
        ({"severity": "none"}, Severity.UNKNOWN),
        ({}, Severity.UNKNOWN),
        ({"severity": "critical", "team": "security"}, Severity.SECURITY),
    ],
)
def test_severities_of_senders(labels: dict[str, str], severity: Severity) -> None:
    assert severity_of(labels) == severity


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"7", b'"x"', b"{", b"{}", b'{"alerts": {}}', b"[" * 100_000])
def test_what_is_no_body_is_refused_in_words(content: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(content)
    assert str(caught.value)


def test_one_bad_alert_does_not_take_the_others_with_it() -> None:
    bad = [None, 7, [], {}, {"labels": []}, {"labels": {"a": {"b": 1}}}, {"labels": {str(n): "x" for n in range(2000)}}]
    said = parse(body(alert("One"), *bad, alert("Two")))
    assert sorted(one.name for one in said.observations) == ["One", "Two"]
    assert [one.position for one in said.rejected] == [1, 2, 3, 4, 5, 6, 7]
    assert all(one.reason for one in said.rejected)


def test_what_no_database_keeps_is_replaced() -> None:
    content = b'{"alerts": [{"labels": {"a": "x\\u0000y", "b": "\\ud800"}, "value": NaN, "n": {"k": "\\u0000"}}]}'
    (seen,) = parse(content).observations
    assert seen.labels == {"a": "x\ufffdy", "b": "?"}
    assert seen.extra == {"value": None, "n": {"k": "\ufffd"}}


def test_a_deep_alert_is_put_aside() -> None:
    deep = b'{"alerts": [{"labels": {"a": "b"}, "x": ' + b"[" * 900 + b"]" * 900 + b"}]}"
    said = parse(deep)
    assert len(said.observations) + len(said.rejected) == 1


def test_status_comes_from_the_alert_then_its_end_then_the_group() -> None:
    own = {"status": "resolved", "labels": {"a": "1"}}
    end = {"labels": {"a": "2"}, "endsAt": "2026-11-21T02:00:00Z"}
    group = {"labels": {"a": "3"}}
    said = parse(json.dumps({"status": "resolved", "alerts": [own, end, group]}).encode())
    assert {one.status for one in said.observations} == {"resolved"}
    assert parse(json.dumps({"alerts": [group]}).encode()).observations[0].status == "firing"


def test_two_alerts_without_a_fingerprint_stay_two() -> None:
    said = parse(body(alert("A", fingerprint=""), alert("B", fingerprint="")))
    assert len({one.fingerprint for one in said.observations}) == 2


def test_versions_and_keys_of_any_kind() -> None:
    for version in ("3", "4", "1", 0, None):
        said = parse(body(alert(), version=version, groupKey=12345678901234567890, truncatedAlerts="x"))
        assert len(said.observations) == 1
        assert said.truncated == 0


def test_gzip_is_unpacked_within_a_bound() -> None:
    packed = gzip.compress(body(alert()))
    assert unpacked(packed, "gzip", 10_000) == body(alert())
    for content, encoding in (
        (packed[:-9], "gzip"),
        (b"no", "gzip"),
        (gzip.compress(b"0" * 10**7), "gzip"),
        (b"", "br"),
    ):
        with pytest.raises(Unreadable):
            unpacked(content, encoding, 10_000)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generatorURL", "x"])


@settings(deadline=None)
@given(st.lists(st.dictionaries(FIELDS, JSONISH, max_size=8) | JSONISH, max_size=5))
def test_whatever_stands_in_the_list_each_alert_is_taken_or_put_aside(alerts: list[object]) -> None:
    said = parse(json.dumps({"alerts": alerts}).encode())
    assert len(said.observations) + len(said.rejected) == len(alerts)
    for seen in said.observations:
        assert "\x00" not in json.dumps([seen.labels, seen.annotations, seen.extra], ensure_ascii=False)

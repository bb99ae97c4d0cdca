"""Evidence, and the sentences made of it."""

from __future__ import annotations

import pytest

from apps.breakers.evidence import CLASSES_KEPT, OTHER, Contribution, ErrorTally, freeze
from apps.breakers.machine import Kind, Rule
from apps.breakers.telling import told
from apps.breakers.window import Counts


def test_a_tally_is_bounded() -> None:
    tally = ErrorTally()
    for n in range(100):
        tally.add(f"class-{n}", str(n))
    assert len(tally.classes) == CLASSES_KEPT + 1
    assert tally.classes[OTHER] == (100 - CLASSES_KEPT, ["8", "9", "10"])
    tally.add("", "")
    tally.add("evil\x00\ud800", "\x00" * 500)
    assert "\x00" not in str(tally.as_json())


def test_the_three_most_frequent_come_first() -> None:
    tally = ErrorTally()
    for name, times in (("a", 1), ("b", 5), ("c", 3), ("d", 2)):
        for n in range(times):
            tally.add(name, f"{name}{n}")
    again = ErrorTally()
    again.merge(tally.as_json())
    assert again.top() == tally.top()
    assert [(item["class"], item["count"]) for item in again.top()] == [("b", 5), ("c", 3), ("d", 2)]
    assert again.top()[0]["samples"] == ["b0", "b1", "b2"]


def test_freezing_adds_the_buckets_of_a_worker_up() -> None:
    found = freeze(
        Rule(percentage=50, volume=5, window=10, slow=5, slow_percentage=80),
        [
            Contribution("a", Counts(ok=1, fail=2), {"http_503": [2, ["7"]]}),
            Contribution("a", Counts(ok=1)),
            Contribution("b", Counts(ok=1, slow=1)),
        ],
    )
    assert found["failure_rate"] == 40.0
    assert found["slow_rate"] == 20.0
    assert [worker["ok"] for worker in found["workers"]] == [2, 1]
    assert told("opened", found) == (
        "2 of 5 calls failed in 10 s (threshold 50 %, volume 5) · 1 took longer than 5 s · HTTP 503 ×2 · seen by a only"
    )


@pytest.mark.parametrize(
    ("kind", "detail", "text"),
    [
        ("forced_open", {"expires_in": 1800, "reason": "maintenance"}, "for 30 min · maintenance"),
        ("override_ended", {"override": 1}, "Forced open is over"),
        ("override_ended", {"override": 3, "reason": "seen enough"}, "Metrics only is over · seen enough"),
        ("reset", {"reason": "fixed"}, "fixed"),
        ("reset", {}, ""),
        ("configured", {"version": 7}, "Settings of version 7 apply"),
        ("locally_closed", {"worker": "a"}, "only for a"),
        ("locally_opened", {"worker": "a", "wait": 10.0}, "only for a · wait 10 s"),
        ("closed", {}, ""),
        (
            "reopened",
            {
                "probe": {"worker": "a", "seconds": 10.2, "class": "timeout", "sample": "1"},
                "wait": 120.0,
                "streak": 2,
            },
            "The probe failed: time-out after 10 s, by a · wait 2 min · re-opened 2 times in a row",
        ),
        ("something new", {}, ""),
    ],
)
def test_sentences(kind: str, detail: dict[str, object], text: str) -> None:
    assert told(kind, detail) == text


def test_every_kind_has_a_sentence_even_without_detail() -> None:
    for kind in Kind:
        assert isinstance(told(kind.value, {}), str)

from __future__ import annotations

import pytest

from apps.console.degradation import degradation


@pytest.mark.parametrize(
    ("states", "level"),
    [
        ({}, "NORMAL"),
        ({"a": "CLOSED", "b": "FORCED_CLOSED", "c": "METRICS_ONLY"}, "NORMAL"),
        ({"a": "OPEN", "b": "CLOSED"}, "DEGRADED"),
        ({"a": "HALF_OPEN"}, "DEGRADED"),
        ({"a": "OPEN", "b": "FORCED_OPEN"}, "SEVERE"),
        ({"a": "OPEN", "b": "OPEN", "c": "OPEN"}, "EMERGENCY"),
        ({"database": "OPEN"}, "EMERGENCY"),
        ({"database": "CLOSED", "a": "OPEN"}, "DEGRADED"),
    ],
)
def test_levels(states: dict[str, str], level: str) -> None:
    assert degradation(states).level == level


def test_the_sentence_names_the_worst_first() -> None:
    found = degradation({"whatsapp": "HALF_OPEN", "midtrans": "OPEN", "smtp": "CLOSED"})
    assert found.sentence == "Severe: midtrans is down and whatsapp is being tested"
    assert found.unhealthy == ("midtrans", "whatsapp")


def test_several_share_a_verb_and_many_are_counted() -> None:
    found = degradation(dict.fromkeys("abcdef", "OPEN"))
    assert found.sentence == "Emergency: a, b, c and d are down and 2 more"


def test_nothing_wrong_is_said_plainly() -> None:
    assert degradation({"a": "CLOSED"}).sentence == "All services answer"
    assert degradation({"a": "CLOSED"}).tone == "good"

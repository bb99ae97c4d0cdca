from __future__ import annotations

import pytest

from apps.core.errors import Invalid
from apps.sandbox.outages import Mode, Outages, plan, uniform


def outages(*plans: object, seed: int = 0) -> Outages:
    found = Outages("midtrans", seed)
    for outage in plans:
        found.start(outage)  # type: ignore[arg-type]  # plans are outages
    return found


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"mode": "explode"}, "mode"),
        ({"mode": "gone", "http": False}, "mode"),
        ({"mode": "errors", "share": 0}, "share"),
        ({"mode": "errors", "share": 1.5}, "share"),
        ({"mode": "refuse", "share": 0.5}, "share"),
        ({"mode": "errors", "share": float("nan")}, "share"),
        ({"mode": "errors", "seconds": 0}, "seconds"),
        ({"mode": "errors", "seconds": float("inf")}, "seconds"),
        ({"mode": "slow", "delay": -1}, "delay"),
        ({"mode": "errors", "status": 404}, "status"),
        ({"mode": "reject", "status": 503}, "status"),
        ({"mode": "reject", "status": 429}, "status"),
        ({"mode": "slow", "status": 500}, "status"),
        ({"mode": "errors", "status": 550, "http": False}, "status"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_its_field(options: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        plan(now=0, **options)  # type: ignore[arg-type]  # wrong on purpose
    assert [problem["field"] for problem in caught.value.detail] == [field]


def test_every_problem_of_a_plan_is_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        plan("errors", now=0, share=2, seconds=-1, status=200)
    assert {problem["field"] for problem in caught.value.detail} == {"share", "seconds", "status"}


def test_without_an_outage_nothing_happens() -> None:
    assert outages().fate("key", 1, now=0).mode is None


def test_an_outage_ends_on_its_own() -> None:
    found = outages(plan("errors", now=100, seconds=30))
    assert found.fate("key", 1, now=129.9).mode is Mode.ERRORS
    assert found.fate("key", 1, now=130).mode is None
    assert [outage.mode for outage in found.expire(130)] == [Mode.ERRORS]
    assert found.expire(130) == []


def test_the_remaining_time_is_known_unless_it_has_no_end() -> None:
    assert plan("errors", now=100, seconds=30).remaining(110) == 20
    assert plan("errors", now=100).remaining(110) is None


def test_the_same_seed_gives_every_request_the_same_fate_in_any_order() -> None:
    keys = [f"key-{number}" for number in range(200)]
    one = outages(plan("errors", now=0, share=0.5), seed=7)
    other = outages(plan("errors", now=0, share=0.5), seed=7)
    assert {key: one.fate(key, 1, 0).mode for key in keys} == {
        key: other.fate(key, 1, 0).mode for key in reversed(keys)
    }
    third = outages(plan("errors", now=0, share=0.5), seed=8)
    assert any(one.fate(key, 1, 0).mode != third.fate(key, 1, 0).mode for key in keys)


def test_a_second_try_of_a_key_has_a_fate_of_its_own() -> None:
    found = outages(plan("errors", now=0, share=0.5))
    assert any(found.fate(f"key-{n}", 1, 0).mode != found.fate(f"key-{n}", 2, 0).mode for n in range(50))


def test_a_mix_hits_the_shares_it_was_asked_for() -> None:
    found = outages(
        plan("errors", now=0, share=0.10), plan("hang", now=0, share=0.05), plan("reject", now=0, share=0.02)
    )
    fates = [found.fate(f"key-{number}", 1, 0).mode for number in range(10_000)]
    assert fates.count(Mode.ERRORS) == pytest.approx(1000, rel=0.1)
    assert fates.count(Mode.HANG) == pytest.approx(500, rel=0.15)
    assert fates.count(Mode.REJECT) == pytest.approx(200, rel=0.25)


def test_the_newest_outage_wins_over_an_older_one() -> None:
    found = outages(plan("errors", now=0), plan("reject", now=0))
    assert found.fate("key", 1, 0).mode is Mode.REJECT


def test_the_same_mode_again_takes_the_place_of_the_first() -> None:
    found = outages(plan("slow", now=0, delay=1), plan("slow", now=0, delay=2))
    assert [outage.delay for outage in found.on(0)] == [2]


def test_slowness_comes_on_top_of_another_outage() -> None:
    fate = outages(plan("slow", now=0, delay=2), plan("errors", now=0)).fate("key", 1, 0)
    assert (fate.mode, fate.wait) == (Mode.ERRORS, 2)


def test_errors_take_turns_between_their_two_kinds() -> None:
    found = outages(plan("errors", now=0, share=0.2))
    hit = [fate.chance for number in range(2000) if (fate := found.fate(f"key-{number}", 1, 0)).mode]
    assert 0.4 < sum(chance < 0.5 for chance in hit) / len(hit) < 0.6


def test_ending_can_be_limited_to_what_the_script_started() -> None:
    found = outages(plan("errors", now=0, by="script"), plan("slow", now=0, by="hand"))
    assert [outage.mode for outage in found.end(by="script")] == [Mode.ERRORS]
    assert [outage.mode for outage in found.on(0)] == [Mode.SLOW]


def test_uniform_is_uniform() -> None:
    numbers = [uniform(1, "midtrans", number) for number in range(4000)]
    assert all(0 <= number < 1 for number in numbers)
    assert sum(numbers) / len(numbers) == pytest.approx(0.5, abs=0.02)

from __future__ import annotations

import pytest

from apps.sandbox.outages import Mode, plan
from apps.sandbox.script import LOOP_S, STEPS, Player, Step
from apps.sandbox.stations import OFFSETS
from tests.sandbox.helpers import Clock, quiet_sandbox

TWO = (Step(10, "midtrans", Mode.ERRORS, 5, "first"), Step(40, "smtp", Mode.REFUSE, 5, "second"))


def played(player: Player, *times: float) -> list[list[str]]:
    return [[step.shows for step in player.due(now)] for now in times]


def test_steps_become_due_once_and_in_order() -> None:
    player = Player(TWO, loop=60)
    player.begin(100)
    assert played(player, 100, 109.9, 110, 111, 139, 141) == [[], [], ["first"], [], [], ["second"]]


def test_the_script_loops() -> None:
    player = Player(TWO, loop=60)
    player.begin(0)
    assert played(player, 59, 60, 69.9, 70, 100, 130) == [["first", "second"], [], [], ["first"], ["second"], ["first"]]


def test_after_a_long_sleep_only_the_latest_loop_is_played() -> None:
    player = Player(TWO, loop=60)
    player.begin(0)
    player.due(1)
    assert played(player, 60 * 50 + 15) == [["second", "first"]]


def test_a_step_at_the_very_beginning_is_played() -> None:
    player = Player((Step(0, "midtrans", Mode.ERRORS, 5, "now"),), loop=60)
    player.begin(0)
    assert played(player, 0, 0.1, 60, 60.1) == [["now"], [], ["now"], []]


def test_the_next_step_is_known_across_the_end_of_a_loop() -> None:
    player = Player(TWO, loop=60)
    assert player.next(0) is None
    player.begin(0)
    for now, shows, seconds in ((0, "first", 10), (10, "second", 30), (50, "first", 20)):
        coming = player.next(now)
        assert coming is not None
        assert (coming.step.shows, coming.seconds) == (shows, seconds)


def test_stopping_and_beginning_again_starts_from_the_top() -> None:
    player = Player(TWO, loop=60)
    player.begin(0)
    player.due(20)
    player.stop()
    assert played(player, 45) == [[]]
    player.begin(100)
    assert played(player, 111) == [["first"]]


def test_the_shipped_script_can_be_played_and_shows_the_main_job_in_its_first_minute() -> None:
    assert LOOP_S == 180
    for step in STEPS:
        plan(step.mode, now=0, http=step.provider != "smtp", share=step.share, seconds=step.seconds, delay=step.delay)
        assert step.provider in OFFSETS
        assert step.at + step.seconds <= LOOP_S
    first = {(step.provider, step.mode) for step in STEPS if step.at + step.seconds <= 60}
    assert {("midtrans", Mode.ERRORS), ("whatsapp", Mode.REJECT)} <= first
    assert {step.mode for step in STEPS} >= {
        Mode.ERRORS,
        Mode.SLOW,
        Mode.HANG,
        Mode.REFUSE,
        Mode.RATE_LIMIT,
        Mode.REJECT,
    }


async def test_the_script_starts_outages_and_they_end_by_the_clock() -> None:
    clock = Clock()
    async with quiet_sandbox(clock=clock, player=Player(TWO, loop=60)) as sandbox:
        await sandbox.set_script(True)
        clock.seconds += 11
        await sandbox.step()
        assert [outage.by for outage in sandbox.station("midtrans").outages.on(clock())] == ["script"]
        clock.seconds += 5
        await sandbox.step()
        assert sandbox.station("midtrans").outages.on(clock()) == []


async def test_a_persons_outage_counts_for_more_than_the_script() -> None:
    clock = Clock()
    async with quiet_sandbox(clock=clock, player=Player(TWO, loop=60)) as sandbox:
        await sandbox.set_script(True)
        await sandbox.start_outage("midtrans", "slow", seconds=30)
        clock.seconds += 11
        await sandbox.step()
        assert [outage.mode for outage in sandbox.station("midtrans").outages.on(clock())] == [Mode.SLOW]


async def test_a_person_takes_over_from_the_script() -> None:
    clock = Clock()
    async with quiet_sandbox(clock=clock, player=Player(TWO, loop=60)) as sandbox:
        await sandbox.set_script(True)
        clock.seconds += 11
        await sandbox.step()
        await sandbox.start_outage("midtrans", "slow", seconds=30)
        assert [outage.mode for outage in sandbox.station("midtrans").outages.on(clock())] == [Mode.SLOW]


async def test_turning_the_script_off_ends_what_it_started() -> None:
    clock = Clock()
    async with quiet_sandbox(clock=clock, player=Player(TWO, loop=60)) as sandbox:
        await sandbox.set_script(True)
        clock.seconds += 41
        await sandbox.step()
        assert not sandbox.station("smtp").listener.is_open
        await sandbox.set_script(False)
        assert sandbox.station("smtp").listener.is_open
        clock.seconds += 60
        await sandbox.step()
        assert sandbox.status()["script"] == {"on": False, "playing": False, "loop_seconds": 60, "next": None}


@pytest.mark.parametrize("arrived", [False, True])
async def test_a_wanted_script_begins_with_the_first_message(arrived: bool) -> None:
    sandbox = quiet_sandbox(clock=Clock(), player=Player(TWO, loop=60))
    sandbox.script_wanted = True
    if arrived:
        sandbox.received("midtrans").turn("key")
    async with sandbox:
        await sandbox.wake()
        assert sandbox.player.is_on is arrived

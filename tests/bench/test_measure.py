from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.__main__ import chosen
from bench.acceptance import LIMIT, OURS, Results, claim_ratio, verdicts
from bench.claim import ClaimTime, stages
from bench.delivery import Delivery, Plan
from bench.guard import GuardCost, rounds_of
from bench.measure import Drain, Figure, Mark, Sample, best, sample
from bench.payload import BODY, BYTES, headers, wire_id
from bench.peers.config import Config
from bench.peers.specs import PEERS, Setting
from bench.poster import request
from bench.processes import Child, Stat, cpu_seconds, read_stat, tree
from bench.report import document, table


def figure(name: str, record: bool, latency_ms: int, rate: float) -> Figure:
    rounds = tuple(Sample(rate * scale, 100.0, 20.0, 10, 0) for scale in (0.9, 1.0, 1.2))
    return Figure(name, record, latency_ms, "a setting", rounds)


def test_the_payload_is_490_bytes_of_json_under_an_id_of_its_own() -> None:
    assert len(BODY.encode()) == BYTES == 490
    assert json.loads(BODY)["event"] == "order.paid"
    assert headers(wire_id(7))["webhook-id"] == "msg_00000000000000000000000000000007"


def test_stat_is_read_past_a_name_with_brackets_and_blanks() -> None:
    fields = ["S", "42", *["0"] * 9, "300", "200", "40", "10"]
    stat = read_stat(f"7 (a) b (c)) {' '.join(fields)}")
    assert stat.parent == 42
    assert [stat.own, stat.reaped] == pytest.approx([5.0, 0.5])


def test_tree_holds_everything_below_and_nothing_beside() -> None:
    stats = {pid: Stat(parent, 1.0, 0.0) for pid, parent in ((2, 1), (3, 2), (4, 3), (5, 1))}
    assert tree(2, stats) == {2, 3, 4}


def test_a_child_is_stopped_with_what_it_started(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.processes.LOGS", tmp_path)
    with Child("shell", ["sh", "-c", "sleep 60 & echo started; wait"]) as child:
        while "started" not in child.log.read_text():
            time.sleep(0.01)
        assert cpu_seconds(child.pid) >= 0.0
    assert child.process.returncode is not None


def test_the_rate_is_from_the_first_request_to_the_last_new_id() -> None:
    drain = Drain(cast(Any, None), cast(Any, None), 100, 10.0)
    drain.stats = {"requests": 103, "unique": 101, "first": 10.0, "last": 12.0}
    drain.early = Mark(10, 1.0, 0.5)
    found = sample(drain, Mark(101, 1.91, 0.591), "")
    assert (found.rate, found.duplicates) == (50.0, 2)
    assert [found.worker_cpu, found.server_cpu] == pytest.approx([10_000, 1_000])


def test_nothing_delivered_is_a_rate_of_zero_and_not_an_error() -> None:
    drain = Drain(cast(Any, None), cast(Any, None), 100, 10.0)
    assert sample(drain, Mark(0, 1.0, 1.0), "nothing arrived").rate == 0.0


def test_a_setting_that_broke_is_not_the_best() -> None:
    fast, slow = Setting("fast", {}), Setting("slow", {})
    broken = Sample(900.0, 1.0, 1.0, 10, 0, "3 attempt records are missing")
    assert best([(fast, broken), (slow, Sample(100.0, 1.0, 1.0, 10, 0))]) is slow
    assert best([(fast, broken)]) is fast


def test_aims_say_met_and_missed() -> None:
    results = Results(
        figures=[
            figure(OURS, True, 0, 7000),
            figure(OURS, True, 100, 1900),
            figure("Celery", False, 0, 1000),
            figure("procrastinate", False, 0, 1200),
            figure("pgqueuer", False, 0, 7000),
            figure("pgqueuer", True, 0, 3000),
            figure(LIMIT, False, 0, 13_000),
        ],
        claims=[ClaimTime(0, 2.0, 3.0, 100), ClaimTime(10_000_000, 2.6, 3.0, 100)],
        guards=[GuardCost("opsportal, with block", 400.0, 390.0), GuardCost("pybreaker, call()", 900.0, 880.0)],
    )
    found = {verdict.aim: (verdict.found, verdict.met) for verdict in verdicts(results)}
    assert found["0 ms: ours with attempt records / Celery, as it comes"] == ("7.00", True)
    assert found["0 ms: ours with attempt records / procrastinate, as it comes"] == ("5.83", False)
    assert found["0 ms: ours with attempt records / pgqueuer, as it comes"] == ("1.00", False)
    assert found["0 ms: ours with attempt records / pgqueuer, writing the same record"] == ("2.33", True)
    assert found["0 ms: ours with attempt records / bare aiohttp loop"] == ("0.54", True)
    assert found["100 ms: deliveries/s in one process"] == ("1,900", False)
    assert found["claim with 10,000,000 delivered rows / with none"] == ("1.30", True)
    assert found["guard per call, the dearer of our two forms"] == ("400 ns", True)


def test_what_was_not_measured_has_no_verdict() -> None:
    assert verdicts(Results()) == []
    assert claim_ratio([ClaimTime(1_000_000, 2.0, 3.0, 100)]) is None


def test_the_page_names_every_part_that_was_measured() -> None:
    results = Results(figures=[figure(OURS, True, 0, 7000), figure(LIMIT, False, 0, 14_000)])
    page = document(results, [("processor", "two cores")], "A full run.")
    assert "| opsportal, PostgreSQL | yes | 7,000 (6,300 to 8,400) | 0.50 | 100 | 20 | a setting |" in page
    assert "## How it is measured" in page
    assert "## Accepting" not in page


def test_a_table_sets_numbers_flush_right() -> None:
    assert table(["a", "b"], [["x", "1"]], right=(1,)).splitlines()[1] == "| --- | ---: |"


def test_every_peer_has_settings_for_both_latencies_and_a_command() -> None:
    for peer in PEERS:
        assert set(peer.sweep) == set(peer.messages) == {0, 100}
        for setting in (*peer.sweep[0], *peer.sweep[100]):
            assert peer.command(setting)[0]
            Config(options=setting.options).environment()


def test_the_record_form_is_swept_over_the_best_two_of_the_plain_form(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = [Setting(str(rate), {"rate": rate}) for rate in (1, 3, 2)]
    tried: list[tuple[bool, str]] = []

    def drain_once(contender: Any, servers: Any, setting: Setting, *_: Any) -> Sample:
        tried.append((contender.record, setting.label))
        return Sample(float(setting.options["rate"]), 1.0, 1.0, 10, 0)

    monkeypatch.setattr("bench.delivery.drain_once", drain_once)
    delivery = Delivery(cast(Any, None), Plan(rounds=1, scale=1.0, sweep=True, cap_s=1.0))
    for record in (False, True):
        contender = SimpleNamespace(name="peer", record=record, candidates=lambda _: settings, messages=lambda _: 100)
        delivery.choose(cast(Any, contender), 0)
    assert tried == [(False, "1"), (False, "3"), (False, "2"), (True, "3"), (True, "2")]
    assert delivery.chosen["peer", True, 0].label == "3"


def test_rounds_are_interleaved_and_the_warm_up_is_dropped() -> None:
    order: list[str] = []

    def timed(name: str) -> Any:
        def one(calls: int) -> float:
            order.append(name)
            return float(calls)

        return one

    found = rounds_of({"a": timed("a"), "b": timed("b")}, 2, 5)
    assert order == ["a", "b"] * 3
    assert found == {"a": [5.0, 5.0], "b": [5.0, 5.0]}


def test_only_picks_by_any_part_of_a_name() -> None:
    names = ["Celery", "pgqueuer", "opsportal, SQLite"]
    assert chosen([], names) == names
    assert chosen(["sqlite", "CEL"], names) == ["Celery", "opsportal, SQLite"]


def test_ten_million_rows_are_left_out_where_they_do_not_fit() -> None:
    assert stages(quick=False, free_bytes=80 * 10**9) == [0, 1_000_000, 10_000_000]
    assert stages(quick=False, free_bytes=10 * 10**9) == [0, 1_000_000]
    assert stages(quick=True, free_bytes=80 * 10**9) == [0, 1_000_000]


def test_a_batch_request_carries_that_many_messages() -> None:
    path, body = request(3)
    assert path.endswith("/batch")
    assert len(json.loads(body)["messages"]) == 3
    assert json.loads(request(1)[1])["payload"] == BODY

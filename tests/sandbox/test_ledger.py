from __future__ import annotations

from datetime import UTC, datetime

from apps.sandbox.ledger import EXCERPT, RECENT, Ledger, Outcome

AT = datetime(2026, 1, 31, 9, tzinfo=UTC)


def receive(ledger: Ledger, key: str, *, accepted: bool = True) -> Outcome:
    turn = ledger.turn(key)
    outcome = ledger.book(key) if accepted else Outcome.FAILED
    ledger.write(AT, key, turn, outcome, answer="200" if accepted else "500", excerpt="{}")
    return outcome


def test_the_first_success_of_a_key_is_accepted_and_the_next_a_duplicate() -> None:
    ledger = Ledger("midtrans")
    assert [receive(ledger, "a"), receive(ledger, "a"), receive(ledger, "b")] == [
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
        Outcome.ACCEPTED,
    ]
    assert (ledger.duplicates, ledger.succeeded_twice) == (1, {"a"})


def test_a_failure_followed_by_a_success_is_no_duplicate() -> None:
    ledger = Ledger("midtrans")
    receive(ledger, "a", accepted=False)
    assert receive(ledger, "a") is Outcome.ACCEPTED
    assert ledger.summary() | {} == {
        "received": 2,
        "accepted": 1,
        "failed": 1,
        "duplicates": 0,
        "keys": 1,
        "keys_succeeded": 1,
        "keys_forgotten": 0,
        "without_key": 0,
        "outcomes": {"accepted": 1, "failed": 1},
        "signatures": {},
    }


def test_requests_of_a_key_are_numbered_and_those_without_one_stand_alone() -> None:
    ledger = Ledger("midtrans")
    assert [ledger.turn("a"), ledger.turn("a"), ledger.turn("b"), ledger.turn(""), ledger.turn("")] == [1, 2, 1, 1, 2]
    assert ledger.book("") is Outcome.ACCEPTED
    assert ledger.book("") is Outcome.ACCEPTED
    assert (ledger.keys, ledger.without_key) == ({"a", "b"}, 2)


def test_memory_is_bounded() -> None:
    ledger = Ledger("midtrans", max_keys=10)
    for number in range(RECENT + 50):
        receive(ledger, f"key-{number}")
    assert len(ledger.recent) == RECENT
    assert len(ledger.keys) == len(ledger.succeeded) == 10
    assert ledger.forgotten_keys == RECENT + 40
    assert ledger.total == ledger.outcomes[Outcome.ACCEPTED] == RECENT + 50


def test_an_excerpt_is_one_short_line() -> None:
    ledger = Ledger("midtrans")
    ledger.write(AT, "a", 1, Outcome.ACCEPTED, answer="200", excerpt="a\n  b\tc" + "x" * 10_000)
    written = ledger.recent[0].excerpt
    assert written.startswith("a b cxxx")
    assert len(written) == EXCERPT

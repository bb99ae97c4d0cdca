"""What one provider has received, in bounded memory. Pure."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

RECENT: Final = 200
MAX_KEYS: Final = 1_000_000
EXCERPT: Final = 160


class Outcome(StrEnum):
    """What the provider did with a request."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    RATE_LIMITED = "rate_limited"
    HUNG = "hung"
    REJECTED = "rejected"
    GONE = "gone"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ")

    @property
    def is_success(self) -> bool:
        return self in (Outcome.ACCEPTED, Outcome.DUPLICATE)


@dataclass(frozen=True, slots=True)
class Received:
    """One request. ``turn`` counts the requests with this key from 1; ``answer`` is what went back."""

    at: datetime
    provider: str
    key: str
    turn: int
    outcome: Outcome
    answer: str
    note: str
    excerpt: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "provider": self.provider,
            "key": self.key,
            "turn": self.turn,
            "outcome": self.outcome.value,
            "answer": self.answer,
            "note": self.note,
            "excerpt": self.excerpt,
        }


class Ledger:
    """Counts for ever, keys up to ``max_keys`` (then the oldest is forgotten), the latest requests in full."""

    def __init__(self, provider: str, *, max_keys: int = MAX_KEYS) -> None:
        self.provider = provider
        self.max_keys = max_keys
        self.total = 0
        self.without_key = 0
        self.duplicates = 0
        self.forgotten_keys = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.signatures: Counter[str] = Counter()
        self.recent: deque[Received] = deque(maxlen=RECENT)
        self._turns: dict[str, int] = {}
        self._successes: dict[str, int] = {}

    def turn(self, key: str) -> int:
        """Count a request that has come in, and say which one of its key it is, from 1.

        A request without a key is one of its own.
        """
        self.total += 1
        if not key:
            self.without_key += 1
            return self.without_key
        turn = self._turns.get(key, 0) + 1
        self._turns[key] = turn
        if len(self._turns) > self.max_keys:
            oldest = next(iter(self._turns))
            del self._turns[oldest]
            self._successes.pop(oldest, None)
            self.forgotten_keys += 1
        return turn

    def book(self, key: str) -> Outcome:
        """The request is accepted: for the first time, or once more."""
        if not key:
            return Outcome.ACCEPTED
        before = self._successes.get(key, 0)
        self._successes[key] = before + 1
        if not before:
            return Outcome.ACCEPTED
        self.duplicates += 1
        return Outcome.DUPLICATE

    def write(
        self, at: datetime, key: str, turn: int, outcome: Outcome, *, answer: str, note: str = "", excerpt: str = ""
    ) -> None:
        self.outcomes[outcome] += 1
        short = " ".join(excerpt[: 4 * EXCERPT].split())[:EXCERPT]
        self.recent.append(Received(at, self.provider, key, turn, outcome, answer, note, short))

    @property
    def keys(self) -> set[str]:
        """Every idempotency key seen."""
        return set(self._turns)

    @property
    def succeeded(self) -> set[str]:
        """Keys of which a request was accepted."""
        return set(self._successes)

    @property
    def succeeded_twice(self) -> set[str]:
        """Keys of which more than one request was accepted."""
        return {key for key, times in self._successes.items() if times > 1}

    def summary(self) -> dict[str, Any]:
        return {
            "received": self.total,
            "accepted": self.outcomes[Outcome.ACCEPTED] + self.outcomes[Outcome.DUPLICATE],
            "failed": sum(count for outcome, count in self.outcomes.items() if not outcome.is_success),
            "duplicates": self.duplicates,
            "keys": len(self._turns),
            "keys_succeeded": len(self._successes),
            "keys_forgotten": self.forgotten_keys,
            "without_key": self.without_key,
            "outcomes": {outcome.value: self.outcomes[outcome] for outcome in Outcome if self.outcomes[outcome]},
            "signatures": dict(self.signatures),
        }

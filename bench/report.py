"""The run in words: docs/reference/benchmarks.md and the tables on the terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.acceptance import LIMIT, Results, verdicts
from bench.measure import Figure
from bench.payload import BYTES

NOTE = f"""\
Every contender posts the same {BYTES} bytes to the same provider: one process on loopback that counts requests and
unique ids and answers 200 after 0 or 100 ms. The queue is filled first, then the worker is started; the rate is from
the first request to the last new id at the provider. CPU is what the worker's processes, and beside it the database and
the broker, used per 1,000 messages, in ms, from a tenth of the messages on, so that start-up is not charged. Rounds are
interleaved; a figure is the median, with the range in brackets. Each contender was tried with the settings of the sweep
below, and the best one was measured again.

"Record" says whether an attempt record is written to PostgreSQL for each message. Ours always writes one, into its own
database. The peers write none; in their second form the task inserts the same columns, one row per message, over a
connection it keeps (asyncpg's pool in the asynchronous ones).

What these figures do not say: everything shares one machine, so no network is crossed. PostgreSQL commits to disk,
where Valkey may lose its last second. huey does not acknowledge, so a killed worker loses its task. Ours,
procrastinate and pgqueuer run one process, the others several.
"""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table; the columns in ``right`` are set flush right."""
    rule = ["---:" if column in right else "---" for column in range(len(header))]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]
    return "\n".join(lines) + "\n"


def _delivery_row(figure: Figure, limit: float) -> list[str]:
    low, high = figure.spread
    remarks = [f"{figure.duplicates} sent twice"] if figure.duplicates else []
    remarks += figure.problems
    return [
        figure.name,
        "yes" if figure.record else "no",
        f"{figure.rate:,.0f} ({low:,.0f} to {high:,.0f})",
        f"{figure.rate / limit:.2f}" if limit else "",
        f"{figure.worker_cpu:,.0f}",
        f"{figure.server_cpu:,.0f}",
        figure.setting + ("" if not remarks else ". " + "; ".join(remarks).replace("\n", " ").replace("|", "/")),
    ]


def delivery(results: Results, latency_ms: int) -> str:
    """One table, fastest first."""
    figures = [figure for figure in results.figures if figure.latency_ms == latency_ms]
    limit = results.rate(LIMIT, False, latency_ms)
    rows = [_delivery_row(figure, limit) for figure in sorted(figures, key=lambda figure: -figure.rate)]
    header = ["contender", "record", "messages/s", "of the limit", "worker CPU", "server CPU", "best setting"]
    return table(header, rows, right=(2, 3, 4, 5))


def aims(results: Results) -> str:
    rows = [[v.aim, v.asked, v.found, "met" if v.met else "**missed**"] for v in verdicts(results)]
    return table(["aim", "asked", "found", ""], rows, right=(2,))


def claims(results: Results) -> str:
    rows = [[f"{c.delivered:,}", f"{c.median_ms:.2f}", f"{c.p95_ms:.2f}", str(c.claims)] for c in results.claims]
    return table(["delivered rows", "median, ms", "p95, ms", "claims"], rows, right=(0, 1, 2, 3))


def accepts(results: Results) -> str:
    rows = [[a.way, f"{a.rate:,.0f} ({a.low:,.0f} to {a.high:,.0f})"] for a in results.accepts]
    rows += [[f"{name}, filling its queue", f"{rate:,.0f}"] for name, rate in sorted(results.enqueued.items())]
    return table(["way", "messages/s"], rows, right=(1,))


def guards(results: Results) -> str:
    rows = [[g.name, f"{g.median_ns:,.0f}", f"{g.least_ns:,.0f}"] for g in results.guards]
    return table(["guard", "median, ns", "least, ns"], rows, right=(1, 2))


def sweep(results: Results) -> str:
    rows = [
        [name, "yes" if record else "no", str(latency), label, f"{found.rate:,.0f}", found.problem.split("\n")[0]]
        for name, record, latency, label, found in results.sweeps
    ]
    return table(["contender", "record", "latency, ms", "setting", "messages/s", ""], rows, right=(2, 4))


def sections(results: Results) -> list[tuple[str, str]]:
    """Title and text of each part that was measured."""
    found = [("Aims", aims(results))] if verdicts(results) else []
    for latency in sorted({figure.latency_ms for figure in results.figures}):
        found.append((f"Delivery, provider latency {latency} ms", delivery(results, latency)))
    parts = (
        ("Claiming 64 messages from a table with delivered rows", claims, results.claims),
        ("Accepting", accepts, results.accepts),
        ("A guarded call while the breaker is closed, CPU added", guards, results.guards),
        ("The sweep", sweep, results.sweeps),
    )
    found += [(title, text(results)) for title, text, there in parts if there]
    if results.failures:
        found.append(("What could not be measured", "".join(f"- {text}\n" for text in results.failures)))
    return found


def document(results: Results, facts: Sequence[tuple[str, str]], kind: str) -> str:
    """The whole page."""
    intro = f"# Benchmarks\n\nWritten by `make bench`; do not edit. {kind}\n\n"
    machine = table(["machine and versions", ""], [list(fact) for fact in facts])
    parts = [f"## {title}\n\n{text}" for title, text in sections(results)]
    return intro + machine + "\n" + "\n".join([*parts[:1], f"## How it is measured\n\n{NOTE}", *parts[1:]])

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.core import charts

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def test_a_line_ends_where_nothing_is_known() -> None:
    lines = charts.polylines([1.0, 0.5, None, 0.0], width=90, top=0, bottom=10)
    assert lines == ["0.0,0.0 30.0,5.0", "88.0,10.0 90.0,10.0"]


def test_no_values_no_line() -> None:
    assert charts.polylines([], width=90, top=0, bottom=10) == []
    assert charts.polylines([None, None], width=90, top=0, bottom=10) == []


@given(st.lists(st.one_of(st.none(), st.floats(-1, 2)), max_size=80))
def test_lines_stay_inside_the_drawing(values: list[float | None]) -> None:
    for line in charts.polylines(values, width=360, top=4, bottom=32):
        for point in line.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 360
            assert 4 <= y <= 32


def test_bars_are_as_high_as_their_counts_and_zero_is_a_floor() -> None:
    low, none, high = charts.bars([5, 0, 10], width=32, height=20, gap=1)
    assert (low.height, none.height, high.height) == (10, 1, 20)
    assert none.empty
    assert not high.empty
    assert charts.bars([], width=32, height=20) == []
    assert all(bar.empty for bar in charts.bars([0, 0], width=32, height=20))


def test_a_band_says_how_long_each_state_lasted() -> None:
    spans = charts.band([(at(-5), "good"), (at(30), "bad"), (at(45), "good")], start=at(0), end=at(60), width=60, gap=0)
    assert [(span.x, span.width, span.tone) for span in spans] == [(0, 30, "good"), (30, 15, "bad"), (45, 15, "good")]


def test_a_band_joins_what_is_the_same_and_shows_what_was_short() -> None:
    spans = charts.band(
        [(at(0), "good"), (at(10), "good"), (at(59.99), "bad")], start=at(0), end=at(60), width=60, gap=0
    )
    assert [span.tone for span in spans] == ["good", "bad"]
    assert spans[1].width == 1.5


def test_a_band_stands_still_between_two_looks() -> None:
    changes = [(at(0), "good"), (at(1800), "bad")]
    one = charts.band(changes, start=at(1), end=at(3601), width=360)
    assert one == charts.band(changes, start=at(2), end=at(3602), width=360)


def test_what_was_short_at_the_very_end_is_still_inside() -> None:
    spans = charts.band([(at(0), "good"), (at(59.99), "bad")], start=at(0), end=at(60), width=60)
    assert spans[-1].x + spans[-1].width <= 60


def test_a_band_of_nothing() -> None:
    assert charts.band([], start=at(0), end=at(60), width=60) == []
    assert charts.band([(at(0), "good")], start=at(0), end=at(0), width=60) == []

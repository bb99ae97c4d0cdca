"""Charts from stored facts: what they show is what the facts say, and nonsense draws nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone, translation
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.postmortems.charts import HEIGHT, WIDTH, charts_of, round_up

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


def at(minutes: float) -> str:
    return (START + timedelta(minutes=minutes)).isoformat()


def facts(points: int = 4, **changes: Any) -> dict[str, Any]:
    series = {
        "from": at(0),
        "to": at(points),
        "step_s": 60,
        "times": [at(minute) for minute in range(points)],
        "services": {
            "midtrans": {
                "sent": [10, 5, 0, 20][:points],
                "failed": [0, 5, 40, 0][:points],
                "died": [0, 0, 3, 1][:points],
            },
            "smtp": {"sent": [1, 1, 1, 1][:points], "failed": [0] * points, "died": [0] * points},
            "quiet": {"sent": [0] * points, "failed": [0] * points, "died": [0] * points},
        },
        "breakers": {
            "midtrans": [
                {"from": at(-5), "to": at(2), "state": "closed"},
                {"from": at(2), "to": at(3), "state": "open"},
                {"from": at(3), "to": at(9), "state": "half_open"},
            ]
        },
        "marks": [
            {"at": at(2), "kind": "alert", "title": "QueueFull <b>", "url": "/alerts/1"},
            {"at": at(1), "kind": "deployment", "title": "checkout 4f2c1e", "url": ""},
            {"at": at(-3), "kind": "alert", "title": "before", "url": ""},
        ],
    }
    return {"series": {**series, **changes}}


def test_each_service_that_did_something_and_then_the_dead_letters() -> None:
    found = charts_of(facts())
    assert [chart.title for chart in found] == ["midtrans", "smtp", "Dead letters"]
    assert [(chart.top, chart.bottom) for chart in found] == [(20, 50), (1, 0), (5, 0)]
    assert found[0].label == "midtrans: 35 sent and 45 failed between 10:00 and 10:04"
    assert found[2].label == "4 dead letters between 10:00 and 10:04"
    assert found[0].unit == "deliveries each minute"


def test_what_is_sent_stands_on_the_line_and_what_failed_hangs_from_it() -> None:
    chart = charts_of(facts())[0]
    sent = [bar for bar in chart.bars if bar.kind == "sent"]
    failed = [bar for bar in chart.bars if bar.kind == "failed"]
    assert [bar.x for bar in sent] == [0, WIDTH / 4, WIDTH * 3 / 4]
    # One scale for both: 70 from top to bottom.
    assert [bar.height for bar in sent] == pytest.approx([1000 / 70, 500 / 70, 2000 / 70], abs=0.06)
    assert chart.zero == pytest.approx(HEIGHT * 20 / 70, abs=0.06)
    assert all(bar.y + bar.height == pytest.approx(chart.zero, abs=0.11) for bar in sent)
    assert [bar.height for bar in failed] == pytest.approx([500 / 70, 4000 / 70], abs=0.06)
    assert {bar.y for bar in failed} == {chart.zero}


def test_one_of_many_is_still_seen() -> None:
    services = {"x": {"sent": [1_000_000, 1], "failed": [0, 1], "died": []}}
    chart = charts_of(facts(2, services=services))[0]
    assert min(bar.height for bar in chart.bars) >= 1


def test_the_band_is_cut_to_the_chart_and_the_marks_to_what_is_in_it() -> None:
    chart = charts_of(facts())[0]
    assert [(span.x, span.width, span.tone) for span in chart.spans] == [
        (0, 360, "good"),
        (360, 180, "bad"),
        (540, 180, "warning"),
    ]
    assert [(mark.x, mark.kind, mark.number) for mark in chart.marks] == [(180, "deployment", 1), (360, "alert", 2)]


def test_the_table_adds_up_to_the_facts() -> None:
    points = 100
    services = {"x": {"sent": list(range(points)), "failed": [1] * points, "died": [2] * points}}
    for chart in charts_of(facts(points, services=services, breakers={})):
        assert len(chart.rows) <= 24
        assert chart.rows[0].since == START
        assert chart.rows[-1].until == START + timedelta(minutes=points)
    sent, failed = zip(*(row.counts for row in charts_of(facts(points, services=services))[0].rows), strict=True)
    assert (sum(sent), sum(failed)) == (sum(range(points)), points)


def test_times_are_those_of_whoever_reads() -> None:
    with timezone.override("Asia/Jakarta"):
        chart = charts_of(facts())[0]
        html = render_to_string("postmortems/chart.html", {"chart": chart})
    assert "between 17:00 and 17:04" in chart.label
    assert "17:00–17:01" in html


def test_svg_has_a_name_a_table_and_nothing_inline() -> None:
    html = render_to_string("postmortems/charts.html", {"charts": charts_of(facts())})
    assert html.count('role="img"') == html.count("<table") == 3
    assert 'aria-label="midtrans: 35 sent and 45 failed' in html
    assert "QueueFull &lt;b&gt;" in html
    assert "<b>]" not in html
    assert not re.search(r"\sstyle=|<script|\son\w+=", html)


def test_numbers_in_svg_are_numbers_in_every_language() -> None:
    services = {"x": {"sent": [1234, 7], "failed": [3, 0], "died": [0, 0]}}
    with translation.override("id"):
        html = render_to_string("postmortems/charts.html", {"charts": charts_of(facts(2, services=services))})
    for value in re.findall(r'\s(?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', html):
        float(value)
    assert "1.234" in html


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (3, 5), (5, 5), (6, 10), (11, 20), (49, 50), (999, 1000)])
def test_a_scale_that_can_be_read(value: int, top: int) -> None:
    assert round_up(value) == top


@pytest.mark.parametrize(
    "series",
    [
        None,
        [],
        "x",
        {},
        {"times": []},
        {"times": ["x"], "from": at(0), "step_s": 60},
        {"times": [at(0)], "from": None, "step_s": 60},
        {"times": [at(0)], "from": at(0), "step_s": 0},
        {"times": [at(0)], "from": at(0), "step_s": "60"},
        {"times": [at(1), at(0)], "from": at(0), "step_s": 60},
        {"times": ["2026-11-21T10:00:00"], "from": at(0), "step_s": 60},
    ],
)
def test_without_times_there_is_no_chart(series: Any) -> None:
    assert charts_of({"series": series}) == []
    assert charts_of({}) == []


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(at(1)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["sent", "from", "to", "at"]), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(junk, junk, junk)
def test_nonsense_in_old_facts_raises_nothing(services: Any, breakers: Any, marks: Any) -> None:
    found = charts_of(facts(4, services=services, breakers=breakers, marks=marks))
    found += charts_of(facts(4, services={"x": services}, breakers={"x": breakers}))
    for chart in found:
        render_to_string("postmortems/chart.html", {"chart": chart})

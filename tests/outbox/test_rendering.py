"""Templates come from outside: they are rendered in a sandbox, in bounded time and memory."""

from __future__ import annotations

import time

import pytest

from apps.outbox.rendering import RenderingFailed, render


def test_it_fills_in_data() -> None:
    assert render("Hello {{ name }}, {{ order.total }}", {"name": "Sari", "order": {"total": 5}}) == "Hello Sari, 5"


def test_it_keeps_emoji_and_line_ends() -> None:
    assert render("ok 🎉 {{ x }}\n", {"x": "é"}) == "ok 🎉 é\n"


def test_html_is_escaped_only_in_html() -> None:
    assert render("{{ x }}", {"x": "<b>"}, html=True) == "&lt;b&gt;"
    assert render("{{ x }}", {"x": "<b>"}) == "<b>"


def test_an_unknown_variable_is_named() -> None:
    with pytest.raises(RenderingFailed, match=r"'total' is undefined.*body_data"):
        render("{{ total }}", {})


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(RenderingFailed, match="line 2"):
        render("a\n{% if %}", {})


def test_default_makes_a_variable_optional() -> None:
    assert render("{{ x | default('none') }}", {}) == "none"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ x.__init__.__globals__ }}",
        "{{ self.__dict__ }}",
        "{{ lipsum.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ 'x' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ x.format(1) }}",
        "{{ range(10) }}",
        "{% include '/etc/passwd' %}",
        "{% import 'x' as y %}",
        "{% for a in d %}{% for b in d %}{% for c in d %}{% endfor %}{% endfor %}{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ x | center(999999999) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_hostile_templates_fail_with_a_reason(source: str) -> None:
    started = time.monotonic()
    with pytest.raises(RenderingFailed) as caught:
        render(source, {"x": "text", "d": [1]})
    assert str(caught.value)
    assert time.monotonic() - started < 2


def test_a_long_loop_is_cut_off() -> None:
    many = list(range(5000))
    with pytest.raises(RenderingFailed, match="longer than"):
        render("{% for a in d %}{% for b in d %}{{ a }}{% endfor %}{% endfor %}", {"d": many})

"""Markdown of people, friendly and hostile, as HTML."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.postmortems.markdown import LONGEST, link_is_safe, render, visible

BIDI = "\u202e"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** *e* ~~s~~ `c`", "<p><strong>b</strong> <em>e</em> <s>s</s> <code>c</code></p>\n"),
        ("# One\n## Two", "<h3>One</h3>\n<h4>Two</h4>\n"),
        ("###### Six", "<h6>Six</h6>\n"),
        ("3. a\n4. b", '<ol start="3">\n<li>a</li>\n<li>b</li>\n</ol>\n'),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>\n"),
        ("```sql\nselect 1 < 2\n```", "<pre><code>select 1 &lt; 2\n</code></pre>\n"),
        ("👩\u200d👩\u200d👧 日本 עברית", "<p>👩\u200d👩\u200d👧 日本 עברית</p>\n"),
        ("", ""),
    ],
)
def test_what_people_write(text: str, html: str) -> None:
    assert render(text) == html


def test_a_table_keeps_its_numbers_on_the_right_without_an_inline_style() -> None:
    html = render("|a|n|\n|-|-:|\n|x|1|")
    assert '<td class="number">1</td>' in html
    assert "style" not in html


def test_headings_fit_under_those_of_the_page() -> None:
    assert render("# One", heading=1) == "<h1>One</h1>\n"
    assert render("# One", heading=5) == "<h5>One</h5>\n"


@pytest.mark.parametrize("url", ["http://a.b/c", "HTTPS://a.b", "mailto:ops@example.test", "/incidents/3?x=1#y"])
def test_links_that_are_taken(url: str) -> None:
    assert link_is_safe(url)
    html = render(f"[x]({url})")
    assert "<a href=" in html
    assert 'rel="nofollow noopener noreferrer"' in html


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "javascript&colon;alert(1)",
        "java&#10;script:alert(1)",
        "&#x6A;avascript:alert(1)",
        "vbscript:x",
        "data:text/html;base64,PHNjcmlwdD4=",
        "data:image/png;base64,AAAA",
        "file:///etc/passwd",
        "//evil.example",
        "///evil.example",
        "evil.example",
        "\x01javascript:alert(1)",
        "ftp://a.b",
    ],
)
def test_links_that_stay_text(url: str) -> None:
    assert "<a" not in render(f"[x]({url})")
    assert "<a" not in render(f"[x]\n\n[x]: {url}\n")


def test_a_reference_is_held_to_the_same_schemes() -> None:
    assert "<a" not in render("[x][1]\n\n[1]: javascript:alert(1)")
    assert "<a" not in render("<javascript:alert(1)>")


def test_an_image_is_at_most_a_link() -> None:
    html = render("![graph](https://elsewhere.example/pixel.png)")
    assert "<img" not in html
    assert 'href="https://elsewhere.example/pixel.png"' in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <svg/onload=alert(1)> b",
        "<!--><script>alert(1)</script>-->",
        "<style>*{display:none}</style>",
        '[x](https://a.b/"onmouseover="alert(1))',
        '[x](https://a.b "t\\" onclick=\\"alert(1)")',
        "`</code><script>alert(1)</script>`",
        "```\n</pre><script>alert(1)</script>\n```",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ],
)
def test_markup_stays_text(text: str) -> None:
    html = render(text)
    for piece in ("<script", "<img", "<svg", "<style", "<!--"):
        assert piece not in html
    assert ' onmouseover="' not in html
    assert ' onclick="' not in html


def test_what_turns_text_or_cannot_be_seen_is_shown() -> None:
    assert render(f"a{BIDI}b") == "<p>a[U+202E]b</p>\n"
    assert render("a&#x202E;b&#x2066;c") == "<p>a[U+202E]b[U+2066]c</p>\n"
    assert render("a\x00b\x1b[31mc\x7f") == "<p>a␀b␛[31mc␡</p>\n"
    assert render("pay\u200bpal \ufeffx\u00ady") == "<p>paypal xy</p>\n"
    assert visible("\ud800") == "\N{REPLACEMENT CHARACTER}"
    assert visible("a\r\nb") == "a␍\nb"
    assert BIDI not in render(f"[x](/a{BIDI}b)")


def test_line_ends_of_any_kind_are_line_ends() -> None:
    assert render("a\r\n\r\nb\rc") == "<p>a</p>\n<p>b\nc</p>\n"


def test_what_looks_like_a_template_is_text() -> None:
    assert render("{{ 7|add:7 }} {% now 'Y' %} ${7}") == "<p>{{ 7|add:7 }} {% now 'Y' %} ${7}</p>\n"


def test_more_than_anybody_writes_is_shown_as_it_was_written() -> None:
    html = render("*<b>" * 300_000)
    assert html.startswith("<pre>*&lt;b&gt;")
    assert len(html) > 1_000_000


NEEDLES = [
    ">",
    "> ",
    "[",
    "![",
    "[a](",
    "*a ",
    "*a_ ",
    "**",
    "- ",
    "> - ",
    "|",
    "a|b\n-|-\n",
    "[a]: b\n",
    "<",
    "<a ",
    "<!--",
    "&#x",
    "\\",
    "~~a",
    "`" * 7 + " ",
    "```\n",
    "a\n",
    "\u202e",
    "\x00",
    "a\n=\n",
    '[x](/a "',
]


@pytest.mark.parametrize("needle", NEEDLES)
def test_hostile_text_is_done_in_bounded_time(needle: str) -> None:
    began = time.perf_counter()
    render(needle * (LONGEST // len(needle)))
    assert time.perf_counter() - began < 10


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab*_`[]()<>!&;:#\\\"'|-\n\r\t \x00\u202e\ud800/j~=1."), max_size=200))
def test_nothing_raises_and_nothing_active_comes_out(text: str) -> None:
    html = render(text)
    assert "<script" not in html
    assert BIDI not in html
    assert "\x00" not in html
    html.encode()

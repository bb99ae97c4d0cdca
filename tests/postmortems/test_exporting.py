"""A post-mortem as a file: what it says is what is stored, and nothing in it does anything."""

from __future__ import annotations

import io
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from django.utils import timezone, translation
from pypdf import PdfReader
from pypdf.generic import ArrayObject

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Forbidden, NotFound
from apps.postmortems.exporting.document import document_of
from apps.postmortems.exporting.page import fragment, page_of
from apps.postmortems.exporting.paper import pdf_of
from apps.postmortems.exporting.service import export
from apps.postmortems.exporting.text import markdown_of, plain, tamed
from apps.postmortems.markdown import render
from apps.postmortems.models import PostMortem
from tests.postmortems.promises import made_item, made_postmortem
from tests.postmortems.test_charts import facts as chart_facts

pytestmark = pytest.mark.django_db

FIGURES = [
    {"key": "delayed", "unit": "count", "value": 12345, "parts": [{"name": "midtrans", "value": 12340}]},
    {"key": "breaker_open", "unit": "seconds", "value": 372, "parts": []},
    {"key": "to_acknowledge", "unit": "seconds", "value": None, "parts": []},
    {"key": "of_a_later_release", "unit": "count", "value": 7, "formula": "Counted some day."},
]
TIMELINE = [
    {
        "at": "2026-11-21T10:02:03.000004+00:00",
        "source": "hand",
        "what": "note",
        "text": "Called the bank",
        "actor": "ana",
    },
    {
        "at": "2026-11-21T10:03:00+00:00",
        "source": "of_a_later_release",
        "what": "moon_rose",
        "detail": {},
        "title": "x",
    },
]


def made(**changes: Any) -> PostMortem:
    facts = {
        **chart_facts(),
        "figures": FIGURES,
        "timeline": TIMELINE,
        "services": ["midtrans"],
        "suspects": [{"title": "checkout 4f2c1e", "reasons": ["40 s before"]}],
    }
    sections = {"summary": "Payments **stood still**.", "root_causes": "## Why\n\nA certificate ran out."}
    return made_postmortem(**{"facts": facts, "sections": sections, **changes})


def pdf_text(content: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def as_pdf(pm: PostMortem) -> str:
    return flat(pdf_text(pdf_of(document_of(pm))))


def texts(pm: PostMortem) -> dict[str, str]:
    document = document_of(pm)
    return {"md": markdown_of(document), "html": page_of(document), "pdf": flat(pdf_text(pdf_of(document)))}


# --- what it says -------------------------------------------------------------------------------
def test_every_form_says_what_the_facts_say() -> None:
    pm = made()
    made_item(pm, text="Renew it in time", state="done")
    made_item(pm, text="Limit the queue", state="dropped", reason="The queue is gone")
    for form, text in texts(pm).items():
        for piece in (
            f"PM-{pm.pk}",
            "Payments stood still",
            "12,345",
            "midtrans 12,340",
            "6 min 12 s",
            "Counted some day.",
            "2026-11-21 10:02:03",
            "Called the bank",
            "checkout 4f2c1e",
            "40 s before",
            "35 sent and 45 failed",
            "4 dead letters",
            "A certificate ran out.",
            "Renew it in time",
            "budi@example.com",
            "The queue is gone",
            f"INC-{pm.incident_id}",
        ):
            # Where spaces are a PDF does not say.
            shown = text.replace("\\", "") if form == "md" else text
            assert squeezed(piece) in squeezed(shown), (form, piece)


def test_in_the_language_and_zone_of_whoever_asks() -> None:
    pm = made()
    with translation.override("id"), timezone.override("Asia/Jakarta"):
        for form, text in texts(pm).items():
            assert "17:02:03 WIB" in text, form
            assert "12.345" in text.replace("\\", ""), form
        assert '<html lang="id">' in page_of(document_of(pm))


@pytest.mark.parametrize(
    "facts", [{}, {"figures": 7, "timeline": [None, {}], "suspects": {}, "services": None, "series": []}]
)
def test_old_or_broken_facts_make_a_file_all_the_same(facts: dict[str, Any]) -> None:
    for text in texts(made(facts=facts, sections={})).values():
        assert "Payments stood still" in text


# --- what it does not do ------------------------------------------------------------------------
HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> [a](javascript:alert(1)) [b](java&#115;cript:alert(1)) "
    "[c](data:text/html,x) [d][r] ![e](https://elsewhere.example/p.png) <javascript:alert(1)> {{ 7*7 }} {nb} ${x} "
    "\x00\x1b \u202e reversed \u2066 =cmd|' /C calc'!A0 \ud800 \r\nSet-Cookie: a=b\r\n\r\n[r]: javascript:alert(1)"
)


def hostile() -> PostMortem:
    line = {"at": "2026-11-21T10:02:03+00:00", "source": "hand", "what": "note", "text": HOSTILE, "actor": HOSTILE}
    clean = HOSTILE.replace("\x00", "").replace("\ud800", "")
    facts = {
        "figures": [{"key": HOSTILE, "unit": "count", "value": 1, "parts": [{"name": HOSTILE, "value": 2}]}],
        "timeline": [line],
        "suspects": [{"title": HOSTILE, "reasons": [HOSTILE]}],
        "services": [HOSTILE],
    }
    pm = made(facts={}, sections={"summary": clean})
    pm.facts, pm.sections, pm.title = facts, {"summary": HOSTILE, "impact": f"```\n{HOSTILE}"}, HOSTILE
    made_item(pm, text=clean[:400])
    return pm


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_nothing_runs_in_the_page_and_it_asks_nobody() -> None:
    document = document_of(hostile())
    for html in (page_of(document), fragment(document)):
        for tag, attributes in Tags(html).found:
            assert tag not in ("script", "img", "iframe", "object", "link", "form", "base"), tag
            assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcdoc")]
            for name in ("href", "action", "xlink:href"):
                assert (attributes.get(name) or "https:").startswith(("https:", "http:", "mailto:", "/"))
        assert "\u202e" not in html
        assert "\x00" not in html
    assert page_of(document).startswith("<!doctype html>")
    assert "default-src 'none'" in unescape(page_of(document))


def test_no_link_and_no_action_of_a_pdf_is_anything_but_web_or_mail() -> None:
    pm = hostile()
    pm.sections["lucky"] = "[good](https://good.example/x) [mail](mailto:a@b.example) [here](/incidents/1)"
    content = pdf_of(document_of(pm))
    reader = PdfReader(io.BytesIO(content))
    actions = [note.get_object().get("/A", {}) for page in reader.pages for note in (page.get("/Annots") or [])]
    found = {str(action.get("/URI")) for action in actions}
    assert {"https://good.example/x", "mailto:a@b.example"} <= found
    assert all(uri.startswith(("https://", "http://", "mailto:")) for uri in found)
    assert {str(action.get("/S")) for action in actions} == {"/URI"}
    # Where it opens is a place of the document, not something to do.
    assert isinstance(reader.root_object.get("/OpenAction"), ArrayObject)
    for word in (b"/JavaScript", b"/JS", b"/Launch", b"/EmbeddedFile", b"/AcroForm"):
        assert word not in content
    text = pdf_text(content)
    assert "<script>alert(1)</script>" in text
    assert "{nb}" in text
    assert "[U+202E]" in flat(text).replace("U+ 202E", "U+202E")
    assert "\u202e" not in text


def test_a_path_of_the_portal_is_a_link_where_it_is_known_where_the_portal_is(settings: Any) -> None:
    pm = made(sections={"summary": "[here](/incidents/1)"})

    def links() -> list[str]:
        pages = PdfReader(io.BytesIO(pdf_of(document_of(pm)))).pages
        return [str(note.get_object()["/A"]["/URI"]) for page in pages for note in (page.get("/Annots") or [])]

    settings.PUBLIC_URL = ""
    assert links() == []
    settings.PUBLIC_URL = "https://ops.example.com"
    assert links() == ["https://ops.example.com/incidents/1"]


def test_markdown_of_others_is_no_markup_for_a_laxer_reader() -> None:
    document = document_of(hostile())
    text = markdown_of(document)
    outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<(?!https?://)[A-Za-z/!]", outside)
    assert not re.search(r"(?<!\\)\]\(\s*<?javascript:|(?<!\\)\]:\s*<?javascript:", text, re.IGNORECASE)
    assert "<a " not in re.sub(r'<a href="https://elsewhere[^>]*>', "", render(outside))
    assert text.count("\n# ") == 0


# --- Markdown -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("# A\n\n## B", "### A\n\n#### B"),
        ("A\n=\n\nB\n-", "### A\n\n\n#### B\n"),
        ("```\n# no heading\n```", "```\n# no heading\n```"),
        ("```\nopen", "```\nopen\n```"),
        ("~~~\nopen", "~~~\nopen\n~~~"),
        ("    # code", "    # code"),
        ("a <b> & c &amp; <https://a.b>", "a \\<b> & c \\&amp; <https://a.b>"),
        ("[x](JaVaScript\\:a)", "[x](JaVaScript%3Aa)"),
        ("[x](\n<vbscript:a>)", "[x](\n\\<vbscript:a>)"),
        ("[x](https://a.b) [m](mailto:a@b)", "[x](https://a.b) [m](mailto:a@b)"),
    ],
)
def test_peoples_markdown_stays_theirs_and_does_no_harm(given: str, kept: str) -> None:
    assert tamed(given) == kept


@pytest.mark.parametrize(
    "text", ["* a", "# a", "1. a", "- a", "+ a", "a | b", "_a_ `b`", "[a](b)", "<b>", "a\n\n# b", "=x", "&lt;", "12) a"]
)
def test_text_from_elsewhere_means_nothing(text: str) -> None:
    html = render(plain(text))
    assert re.fullmatch(r"<p>[^<]*</p>\n", html), html


# --- PDF ----------------------------------------------------------------------------------------
def test_scripts_and_signs_are_shown_or_named() -> None:
    pm = made(sections={"summary": "Ünï Привет Ελλάδα ไทย שלום عربي €→✓⚠ 中文 🔥 👩\u200d👧 🏽 \ufe0f`コード`"})
    text = as_pdf(pm)
    for shown in ("Ünï", "Привет", "Ελλάδα", "שלום", "€", "→", "✓⚠", "[fire]", "[woman]"):
        assert shown in squeezed(text), shown
    assert "U+4E2D" in text


@pytest.mark.parametrize(
    "text",
    [
        "x" * 3000,
        "中" * 500,
        "|" + "a|" * 60 + "\n|" + "-|" * 60 + "\n|" + "b|" * 60,
        "|a|b|\n|-|-|\n|" + "w" * 400 + "|שלום 🔥|",
        "> " * 12 + "deep",
        "- " * 12 + "deep",
        "999999999. far",
        "```\n" + "y" * 3000 + "\n```",
        "**" * 500,
        "\n" * 100,
        "# " + "heading " * 200,
    ],
)
def test_nothing_people_write_breaks_the_paper(text: str) -> None:
    assert PdfReader(io.BytesIO(pdf_of(document_of(made(sections={"summary": text}))))).pages


def test_a_font_that_cannot_be_read_is_left_out(settings: Any, tmp_path: Any) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    settings.PDF_FONTS = [str(broken), "/nowhere/at-all.ttf", "/nowhere/strange.txt"]
    assert "Payments" in as_pdf(made())


def test_a_long_timeline_says_what_is_left_out() -> None:
    line = {"at": "2026-11-21T10:02:03+00:00", "source": "hand", "what": "note", "text": "again"}
    pm = made(facts={"timeline": [line] * 350})
    assert "50 more lines are in the portal." in as_pdf(pm)
    assert markdown_of(document_of(pm)).count("again") == 350
    assert "150 more lines are in the portal." in fragment(document_of(pm))


# --- handing it out -----------------------------------------------------------------------------
@pytest.mark.parametrize("form", ["md", "html", "pdf"])
def test_it_is_in_the_trail(lead: Actor, form: str) -> None:
    pm = made()
    exported = export(actor=lead, postmortem_id=pm.pk, form=form)
    assert exported.name == f"PM-{pm.pk}.{form}"
    assert exported.content
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target) == ("postmortem.exported", f"postmortem:{pm.pk}")
    assert entry.after == {"form": form, "version": pm.version}


def test_who_may_not_read_incidents_gets_nothing(viewer: Actor) -> None:
    with pytest.raises(Forbidden):
        export(actor=viewer, postmortem_id=made().pk, form="pdf")
    assert not AuditEntry.objects.exists()


def test_what_is_not_there(lead: Actor) -> None:
    with pytest.raises(NotFound):
        export(actor=lead, postmortem_id=999, form="pdf")
    with pytest.raises(NotFound, match="md, html or pdf"):
        export(actor=lead, postmortem_id=made().pk, form="docx")

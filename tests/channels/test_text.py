from __future__ import annotations

import gzip
import zlib

from apps.channels.text import EXCERPT_CHARS, Redactor, inflated, snippet, storable


def test_bytes_of_any_kind_become_storable_text():
    assert storable(b"\xff\x00caf\xc3\xa9") == "\ufffdcafé"
    storable(bytes(range(256))).encode()


def test_inflating_stops_at_the_cap_so_a_gzip_bomb_stays_small():
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(inflated(bomb[:16384], "gzip", 16384)) == 16384


def test_inflating_knows_gzip_and_both_kinds_of_deflate():
    raw = zlib.compressobj(wbits=-15)
    assert inflated(gzip.compress(b"hello"), "GZIP", 100) == b"hello"
    assert inflated(zlib.compress(b"hello"), "deflate", 100) == b"hello"
    assert inflated(raw.compress(b"hello") + raw.flush(), "deflate", 100) == b"hello"


def test_what_cannot_be_unpacked_says_so():
    assert inflated(b"\x00\x01", "br", 100) == b"(2 bytes, br)"
    assert inflated(b"not gzip", "gzip", 100) == b"(8 bytes that are not gzip)"


def test_redactor_masks_secrets_in_every_spelling():
    redact = Redactor(["123:AB/c+d", "whsec_QUJDREVGRw=="])
    text = "123:AB/c+d 123%3AAB%2Fc%2Bd MTIzOkFCL2MrZA== 123:AB\\/c+d QUJDREVGRw== fine"
    assert redact(text) == "[secret] [secret] [secret] [secret] [secret] fine"


def test_excerpt_is_masked_before_it_is_cut():
    secret = "0123456789abcdef"
    body = b"x" * (EXCERPT_CHARS - 8) + secret.encode()
    excerpt = Redactor([secret]).excerpt(body)
    assert "01234567" not in excerpt
    assert len(excerpt) <= EXCERPT_CHARS


def test_a_very_short_secret_does_not_blank_out_everything():
    assert Redactor(["a", ""])("a banana") == "a banana"


def test_snippet_is_one_line_and_leaves_html_out():
    assert snippet("a\n  b") == "a b"
    assert snippet("<html>long page") == ""
    assert len(snippet("x" * 500)) == 200

from __future__ import annotations

import json
from typing import Any

from apps.console.bodies import SHOWN_CHARS, mask_text, parts_of
from apps.core.masking import MASK
from apps.outbox.models import Message


def made(**fields: Any) -> Message:
    """A message that is not stored, so the database gives it no defaults."""
    blank = {"body_template": "", "template": "", "content_type": "", "body_data": {}, "headers": {}}
    return Message(service_id=fields.pop("service"), **{**blank, **fields})


def test_json_keeps_its_shape_only() -> None:
    masked = mask_text('{"order": {"email": "a@b.co", "amount": 12, "paid": true, "note": null, "items": [1, "x"]}}')
    assert json.loads(masked) == {
        "order": {"email": MASK, "amount": MASK, "paid": True, "note": None, "items": [MASK, MASK]}
    }


def test_other_text_keeps_its_length_only() -> None:
    assert mask_text("Kode 123456") == f"{MASK} (11 characters)"
    assert mask_text("") == ""


def test_hostile_json_is_text() -> None:
    assert "characters" in mask_text("[" * 100_000)


def test_a_template_is_shown_and_what_fills_it_is_not() -> None:
    message = made(service="smtp", body_template="Dear {{ name }}", body_data={"name": "Sari"})
    labels = {part.label: part.text for part in parts_of(message, revealed=False)}
    assert labels["body_template"] == "Dear {{ name }}"
    assert "Sari" not in labels["body_data"]
    assert "Sari" in {part.label: part.text for part in parts_of(message, revealed=True)}["body_data"]


def test_revealed_is_byte_for_byte_but_not_endless() -> None:
    payload = '{"b": 1.0, "a": 12345678901234567890}'
    (part,) = parts_of(made(service="x", payload=payload, content_type="application/json"), revealed=True)
    assert part.text == payload
    (long,) = parts_of(made(service="x", payload="y" * 50_000), revealed=True)
    assert (len(long.text), long.cut, long.size) == (SHOWN_CHARS, True, 50_000)


def test_secret_headers_are_never_shown() -> None:
    message = made(service="x", payload="", headers={"Authorization": "Bearer abc", "X-Team": "payments"})
    shown = parts_of(message, revealed=True)[-1].text
    assert "abc" not in shown
    assert "payments" in shown

"""A service as an engine sees it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.outbox.delivery.claim import Claimed
from apps.outbox.delivery.lanes import LEASE_MARGIN_S, Lane, envelope_of
from apps.outbox.delivery.store import _config_of
from apps.outbox.rendering import RenderingFailed
from apps.outbox.templating.choosing import Stored, TemplateKey
from apps.services.models import Service
from tests.outbox.fakes import FakeBreaker, FakeChannel, accept

UID = "0" * 31 + "1"


def row(**fields: Any) -> Claimed:
    values: dict[str, Any] = dict.fromkeys(Claimed._fields) | {
        "id": 1, "uid": UID, "tenant_id": "", "recipient": "", "subject": "", "body_template": "", "template": "",
        "content_type": "", "attempt_count": 0, "attempt_total": 0, "ordering_key": "", "idempotency_key": "",
        "request_id": "", "traceparent": "",
    }  # fmt: skip
    return Claimed(**(values | fields))


@pytest.mark.parametrize("timeout", [0.5, 10, 300])
def test_a_lease_always_outlives_the_request(timeout: float) -> None:
    """Edge 5: the lease is derived from the time-out, never a number of its own."""
    none = dict.fromkeys(("secret_ref", "secret", "previous_secret"), "")
    service = Service(name="s", channel="http", config_version=1, breaker={"timeout": timeout}, **none)
    breaker: Any = FakeBreaker()
    lane = Lane(_config_of(service), FakeChannel(accept), breaker)
    assert lane.want(5).lease_s == timeout + LEASE_MARGIN_S


def test_the_wire_id_stays_the_same_and_the_callers_key_is_passed_on() -> None:
    first = envelope_of(row(payload="x"), "s", {})
    again = envelope_of(row(payload="x", attempt_count=3, attempt_total=7, idempotency_key="order-1"), "s", {})
    assert first.wire_id == again.wire_id == f"msg_{UID}"
    assert (first.idempotency_key, again.idempotency_key) == (f"msg_{UID}", "order-1")
    assert (first.attempt, again.attempt) == (1, 8)


def test_each_way_to_make_a_body() -> None:
    assert envelope_of(row(payload="exact\n"), "s", {}).body == b"exact\n"
    assert envelope_of(row(json='{"b":1}'), "s", {}).content_type == "application/json"
    rendered = envelope_of(row(body_template="Hi {{ n }}", body_data='{"n": "Sari"}'), "s", {})
    assert (rendered.body, rendered.content_type) == (b"Hi Sari", "text/plain; charset=utf-8")
    named = {TemplateKey(7): Stored("To {{ n }}", "<b>{{ n }}</b>", "text/html")}
    html = envelope_of(row(template="receipt", template_id=7, body_data='{"n": "<i>"}'), "s", named)
    assert (html.body, html.content_type) == (b"<b>&lt;i&gt;</b>", "text/html")


def test_a_template_that_cannot_be_rendered_says_why() -> None:
    with pytest.raises(RenderingFailed, match="'n' is undefined"):
        envelope_of(row(body_template="Hi {{ n }}", body_data="{}"), "s", {})

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.outbox.rendering import render
from apps.sandbox.producer.shop import CODE_LIFE_S, TENANTS, Shop
from apps.sandbox.providers.midtrans import problems

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def messages() -> list[dict[str, Any]]:
    shop = Shop(lambda: NOW, seed=5)
    return [shop.message() for _ in range(3000)]


def test_all_services_and_tenants_get_their_share(messages: list[dict[str, Any]]) -> None:
    services = Counter(message["service"] for message in messages)
    assert set(services) == {"midtrans", "whatsapp", "smtp", "billing-webhook"}
    assert min(services.values()) > 300
    assert {message["tenant_id"] for message in messages} == set(TENANTS)


def test_every_message_has_a_key_of_its_own(messages: list[dict[str, Any]]) -> None:
    assert len({message["idempotency_key"] for message in messages}) == len(messages)


def test_each_has_exactly_one_body_and_templates_render(messages: list[dict[str, Any]]) -> None:
    for message in messages:
        assert len({"json", "payload", "body_template"} & set(message)) == 1
        if "body_template" in message:
            assert "{{" not in render(message["body_template"], message["body_data"])
        if "payload" in message:
            json.loads(message["payload"])


def test_a_few_are_wrong_and_end_as_dead_letters(messages: list[dict[str, Any]]) -> None:
    charges = [message["json"] for message in messages if message["service"] == "midtrans"]
    wrong = [charge for charge in charges if problems(charge)]
    assert 0.02 < len(wrong) / len(charges) < 0.08
    assert any(message.get("recipient", "").startswith("+62800") for message in messages)
    assert any(message.get("recipient", "").startswith("nobody@") for message in messages)


def test_codes_expire_and_some_orders_keep_their_order(messages: list[dict[str, Any]]) -> None:
    expiring = [datetime.fromisoformat(message["expires_at"]) for message in messages if "expires_at" in message]
    assert len(expiring) > 100
    assert {(at - NOW).total_seconds() for at in expiring} == {CODE_LIFE_S}
    keys = Counter(message["ordering_key"] for message in messages if "ordering_key" in message)
    assert max(keys.values()) > 5


def test_now_and_then_there_is_a_batch() -> None:
    shop = Shop(lambda: NOW, seed=5)
    sizes = Counter(len(shop.job()) for _ in range(500))
    assert sizes[1] > 450
    assert any(size > 1 for size in sizes)

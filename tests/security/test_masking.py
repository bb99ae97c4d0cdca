"""A viewer sees no recipient and no body, wherever they look."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from django.test import Client

from apps.accounts.services import create_key
from apps.core.actor import SYSTEM
from apps.outbox.deadletters.causes import normalise
from apps.outbox.models import Attempt, Cause, DeadLetter, Message
from tests.security.matrix import OPERATIONS, PAGES
from tests.security.portal import Portal
from tests.security.test_matrix import holds
from tests.security.walk import pages, query_of

SECRETS = ("sari.wulandari@example.com", "+628123456789", "hidden-body-text")


@pytest.fixture
def told(portal: Portal) -> Portal:
    """Every place that could tell holds what a viewer may not see."""
    said = f"550 <{SECRETS[0]}> is not here, nor is {SECRETS[1]}"
    Message.objects.update(recipient=SECRETS[0], subject=f"For {SECRETS[0]}", payload=SECRETS[2], last_error=said)
    DeadLetter.objects.update(error=said)
    Attempt.objects.update(error=said, response=f"{said} {SECRETS[2]}")
    Cause.objects.update(message=normalise(said))
    return portal


def test_no_page_tells_a_viewer(told: Portal) -> None:
    known, client = told.known["viewer"], Client()
    client.force_login(told["viewer"])
    for page in pages():
        rule = PAGES.get(page.name)
        if rule and holds("viewer", rule.get):
            for headers in ({}, {"X-Live": "1"}, {"HX-Request": "true"}):
                text = client.get(page.path(known) + query_of(rule, known), headers=headers).content.decode()
                for secret in SECRETS:
                    assert secret not in text, (page.name, secret)


def test_searching_finds_nobody_for_a_viewer(told: Portal) -> None:
    client = Client()
    client.force_login(told["viewer"])
    for text in (SECRETS[0], "sari.wul", SECRETS[1]):
        page = client.get(f"/outbox?q={quote(text)}").content.decode()
        assert "No message matches" in page, text


def test_no_answer_of_the_api_tells_a_reader(told: Portal) -> None:
    known, viewer, key = told.known["operator"], Client(), Client()
    viewer.force_login(told["viewer"])
    raw = create_key(name="reader", scopes=["messages:read", "services:read"], actor=SYSTEM).raw
    for name, needs in OPERATIONS.items():
        method, _, path = name.partition(" ")
        if "/templates/" in path:
            known = known | {"name": known["template.name"]}
        if method == "GET" and needs in ("messages.read", "services.read"):
            for client, headers in ((viewer, {}), (key, {"Authorization": f"Bearer {raw}"})):
                answer = client.get(path.format(**known), headers=headers)
                assert answer.status_code == 200, name
                for secret in SECRETS:
                    assert secret not in answer.content.decode(), (name, secret)


@pytest.mark.parametrize("query", ["?reveal=true", "?reveal=1", "?include=body"])
def test_asking_to_reveal_needs_the_scope(told: Portal, query: str) -> None:
    known = told.known["operator"]
    raw = create_key(name="reader", scopes=["messages:read"], actor=SYSTEM).raw
    answer = Client().get(f"/api/v1/messages/{known['message_id']}{query}", headers={"Authorization": f"Bearer {raw}"})
    assert SECRETS[0] not in answer.content.decode()


def test_an_operator_sees_them_only_by_revealing(told: Portal) -> None:
    known, client = told.known["operator"], Client()
    client.force_login(told["operator"])
    path = f"/outbox/{known['message_id']}"
    assert SECRETS[0] not in client.get(path).content.decode()
    assert SECRETS[0] in client.post(f"{path}/reveal").content.decode()
    viewer = Client()
    viewer.force_login(told["viewer"])
    assert viewer.post(f"{path}/reveal").status_code == 403

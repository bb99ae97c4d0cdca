"""Django's admin shows the outbox and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import RequestFactory

from apps.accounts.models import User
from apps.outbox.models import Cause, DeadLetter, Message, MessageTemplate, Replay
from tests.conftest import make_service
from tests.outbox.deadletters.factories import dead

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [Cause, DeadLetter, Message, MessageTemplate, Replay])
def test_pages_open_and_offer_no_change(model: Any, client: Any) -> None:
    letter = dead(make_service(), payload="secret body")
    user = User.objects.create_superuser("admin@example.com", "a long enough password")
    client.force_login(user)
    name = model._meta.model_name
    assert client.get(f"/admin/outbox/{name}/").status_code == 200
    request = RequestFactory().get("/")
    request.user = user
    page = admin.site._registry[model]
    assert not page.has_add_permission(request)
    assert not page.has_change_permission(request)
    assert not page.has_delete_permission(request)
    if model is Message:
        detail = client.get(f"/admin/outbox/message/{letter.message_id}/change/")
        assert detail.status_code == 200
        assert "secret body" not in detail.content.decode()

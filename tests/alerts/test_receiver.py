from __future__ import annotations

import base64
import gzip
import io
from unittest import mock

import pytest
from django.db import OperationalError
from django.test import Client

from apps.alerts.models import AlertDelivery, DeliveryState, Refusal
from apps.alerts.services import disable_source, end_previous_token, rotate_token
from apps.core.actor import SYSTEM
from tests.alerts.conftest import Sender, alert, body

pytestmark = pytest.mark.django_db


def test_a_post_is_stored_byte_for_byte_before_the_answer(sender: Sender) -> None:
    content = b'{"alerts": [ {"labels": {"alertname": "A"},   "value": 1.00} ]}'
    answer = sender.post(content)
    assert answer.status_code == 200
    stored = AlertDelivery.objects.get(pk=answer.json()["delivery"])
    assert bytes(stored.body) == content
    assert stored.state == DeliveryState.STORED
    assert sender.token not in str(stored.headers)


@pytest.mark.parametrize("path", ["/webhooks/alertmanager", "/webhooks/alertmanager/"])
def test_neither_slash_nor_log_in_nor_csrf_nor_https_stands_in_the_way(
    sender: Sender, path: str, settings: object
) -> None:
    settings.SECURE_SSL_REDIRECT = True  # type: ignore[attr-defined]
    strict = Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {sender.token}"}
    answer = strict.post(path, data=body(alert()), content_type="text/plain; charset=utf-8", headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["opsportal:8000", "10.1.2.3", "opsportal_web.docker"])
def test_the_name_a_sender_has_for_this_machine_does_not_matter(sender: Sender, host: str, settings: object) -> None:
    settings.ALLOWED_HOSTS = ["portal.example.com"]  # type: ignore[attr-defined]
    assert sender.post(body(alert()), Host=host).status_code == 200


def test_a_refusal_for_want_of_a_slash_a_session_or_https_is_never_a_redirect(sender: Sender, settings: object) -> None:
    settings.SECURE_SSL_REDIRECT = True  # type: ignore[attr-defined]
    for path in ("/webhooks/alertmanager", "/webhooks/alertmanager/"):
        for token in ("", "Bearer wrong"):
            answer = Client().post(path, data=b"{", content_type="text/html", headers={"Authorization": token})
            assert answer.status_code == 401


def test_basic_needs_the_name_and_the_token(sender: Sender) -> None:
    def basic(name: str, token: str) -> int:
        packed = base64.b64encode(f"{name}:{token}".encode()).decode()
        return int(sender.post(body(alert()), Authorization=f"Basic {packed}").status_code)

    assert basic("eu1", sender.token) == 200
    assert basic("eu2", sender.token) == 401
    assert basic("eu1", "wrong") == 401


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic !!!", "Basic", "Digest x", "\xff"])
def test_who_has_no_token_is_refused_and_counted(sender: Sender, given: str) -> None:
    for _ in range(2):
        answer = sender.post(body(alert()), Authorization=given)
        assert answer.status_code == 401
        assert "alertsource rotate" in answer.json()["error"]["message"]
    assert AlertDelivery.objects.count() == 0
    assert Refusal.objects.get().count == 2


def test_two_tokens_are_good_while_one_is_rotated(sender: Sender) -> None:
    old = sender.token
    new = rotate_token(name="eu1", actor=SYSTEM).token
    assert sender.post(body(alert())).status_code == 200
    assert sender.post(body(alert()), Authorization=f"Bearer {new}").status_code == 200
    end_previous_token(name="eu1", actor=SYSTEM)
    assert sender.post(body(alert()), Authorization=f"Bearer {old}").status_code == 401
    assert sender.post(body(alert()), Authorization=f"Bearer {new}").status_code == 200
    disable_source(name="eu1", actor=SYSTEM, reason="gone")
    assert sender.post(body(alert()), Authorization=f"Bearer {new}").status_code == 401


def test_what_is_no_json_is_kept_and_answered_400(sender: Sender) -> None:
    answer = sender.post(b"[1, 2")
    assert answer.status_code == 400
    kept = AlertDelivery.objects.get()
    assert kept.state == DeliveryState.QUARANTINED
    assert "not JSON" in kept.problem


def test_packed_bodies_are_read(sender: Sender) -> None:
    packed = {"Content-Encoding": "gzip"}
    assert sender.post(gzip.compress(body(alert())), **packed).status_code == 200
    assert sender.post(b"nothing of the kind", **packed).status_code == 400


def test_25_megabytes_are_stored_and_more_than_the_limit_is_told(sender: Sender, settings: object) -> None:
    big = body(alert(annotations={"summary": "x" * 25_000_000}))
    assert sender.post(big).status_code == 200
    assert AlertDelivery.objects.get().size == len(big) > 25_000_000
    settings.ALERT_BODY_BYTES = 100_000  # type: ignore[attr-defined]
    assert sender.post(big).status_code == 413
    assert Refusal.objects.get().reason == "too_large"


def test_a_database_that_is_away_is_503_and_nothing_else(sender: Sender) -> None:
    with mock.patch.object(AlertDelivery, "save", side_effect=OperationalError("gone")):
        answer = sender.post(body(alert()))
    assert answer.status_code == 503
    assert AlertDelivery.objects.count() == 0


def test_only_post(sender: Sender) -> None:
    for method in ("get", "put", "delete", "head"):
        assert getattr(Client(), method)("/webhooks/alertmanager").status_code == 405


def test_a_body_in_chunks_is_read(sender: Sender) -> None:
    """A proxy that does not wait for the whole body sends no length; the server puts the chunks together."""
    content = body(alert())
    environ = {"wsgi.input": io.BytesIO(content), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    headers = {"Authorization": f"Bearer {sender.token}", "Transfer-Encoding": "chunked"}
    answer = Client().generic("POST", "/webhooks/alertmanager", headers=headers, **environ)
    assert answer.status_code == 200
    assert bytes(AlertDelivery.objects.get().body) == content

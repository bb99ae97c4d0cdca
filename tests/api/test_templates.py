"""Templates over HTTP: reading, writing a version, going back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.audit.models import AuditEntry
from apps.outbox.models import Message, MessageTemplate
from tests.api.conftest import ApiClient, MakeClient, error_of, fields_of
from tests.conftest import make_service

PATH = "/api/v1/templates"
BODY: dict[str, Any] = {"channel": "email", "body": "Hi {{ name }}", "sample_data": {"name": "Sari"}}


def write(client: ApiClient, name: str = "order-paid", **fields: Any) -> Any:
    return client.post(f"{PATH}/{name}", BODY | fields)


def test_a_version_is_written_and_read_back(client: ApiClient) -> None:
    response = write(client, subject="Paid", language="ID", reason="first")
    assert response.status_code == 201, response.content
    saved = json.loads(response.content)
    assert (saved["version"], saved["active"], saved["required_variables"]) == (1, True, ["name"])
    found = json.loads(client.get(f"{PATH}/order-paid").content)
    (line,) = found["lines"]
    assert (line["channel"], line["language"], line["active_version"]) == ("email", "id", 1)
    assert line["versions"][0]["body"] == "Hi {{ name }}"
    assert AuditEntry.objects.get(action="template.written").reason == "first"


def test_the_list_has_a_cursor_and_filters(client: ApiClient) -> None:
    for name in ("a", "b", "c"):
        write(client, name)
    write(client, "b", channel="slack")
    first = json.loads(client.get(PATH, limit=2).content)
    assert ([found["name"] for found in first["items"]], first["next_cursor"]) == (["a", "b"], "b")
    rest = json.loads(client.get(PATH, limit=2, cursor="b").content)
    assert ([found["name"] for found in rest["items"]], rest["next_cursor"]) == (["c"], None)
    assert [found["name"] for found in json.loads(client.get(PATH, channel="slack").content)["items"]] == ["b"]


def test_activating_goes_back(client: ApiClient) -> None:
    write(client)
    write(client, body="Hello {{ name }}")
    response = client.post(f"{PATH}/order-paid/activate", {"channel": "email", "version": 1, "reason": "wrong word"})
    assert response.status_code == 200, response.content
    assert json.loads(response.content)["active_version"] == 1
    again = client.post(f"{PATH}/order-paid/activate", {"channel": "email", "version": 1, "reason": "again"})
    assert again.status_code == 409
    nothing = client.post(f"{PATH}/order-paid/activate", {"channel": "slack", "version": 1, "reason": "x"})
    assert nothing.status_code == 404


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"body": "{{ nobody }}"}, "body"),
        ({"channel": "pigeon"}, "channel"),
        ({"language": "no language"}, "language"),
        ({"colour": "red"}, "colour"),
        ({"subject": "a\nb"}, "subject"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(client: ApiClient, fields: dict[str, Any], field: str) -> None:
    response = write(client, **fields)
    assert response.status_code == 422
    assert field in fields_of(response)
    assert not MessageTemplate.objects.exists()


def test_a_version_written_meanwhile_is_a_conflict(client: ApiClient) -> None:
    write(client)
    assert write(client, after_version=0).status_code == 409
    assert write(client, after_version=1).status_code == 201


def test_scopes_and_tenants(make_client: MakeClient) -> None:
    reader = make_client(["messages:read"])
    assert reader.get(PATH).status_code == 200
    assert write(reader).status_code == 403
    assert make_client(["messages:write"]).get(PATH).status_code == 403
    assert write(make_client(["templates:edit"])).status_code == 201
    assert write(make_client(["templates:edit"], tenant_id="toko-sari")).status_code == 403
    assert ApiClient().get(PATH).status_code == 401


def test_what_is_not_there(client: ApiClient) -> None:
    assert error_of(client.get(f"{PATH}/nothing"))["code"] == "not_found"


def test_a_message_names_a_template_and_a_language(client: ApiClient) -> None:
    make_service("smtp", channel="email", settings={"host": "mail.example", "from_address": "a@b.example"})
    write(client)
    write(client, language="id", body="Hai {{ name }}")
    given = {"service": "smtp", "recipient": "sari@example.com", "body_data": {"name": "Sari"}}
    response = client.post("/api/v1/messages", given | {"template": "order-paid:id-ID"})
    assert response.status_code == 202, response.content
    message = Message.objects.get(pk=json.loads(response.content)["id"])
    assert (message.template, MessageTemplate.objects.get(pk=message.template_id).language) == ("order-paid", "id")
    refused = client.post("/api/v1/messages", given | {"template": "order-payed"})
    assert refused.status_code == 422
    assert "There are" in error_of(refused)["message"] or "there are: order-paid" in error_of(refused)["message"]

"""The pages of templates: looking, writing with a preview, going back, archiving, a test to oneself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.audit.models import AuditEntry
from apps.outbox.models import Message, MessageTemplate

pytestmark = pytest.mark.django_db

Person = Callable[[str], Client]
LINE = "channel=email&language=en"
HTMX = {"HX-Request": "true"}


def version_of(number: int, name: str = "order-paid", channel: str = "email", language: str = "en") -> MessageTemplate:
    return MessageTemplate.objects.get(name=name, channel=channel, language=language, version=number)


def typed(**fields: Any) -> dict[str, Any]:
    """What the editor sends for the next version of order-paid."""
    return {
        "name": "order-paid",
        "channel": "email",
        "language": "en",
        "content_type": "text/plain; charset=utf-8",
        "subject": "Paid",
        "body": "Hi {{ name }}",
        "sample_data": '{"name": "Sari"}',
        "description": "",
        "reason": "shorter",
        "seen_version": "3",
        "verb": "use",
    } | fields


EDITOR = f"/templates/new?name=order-paid&{LINE}"


def page_of(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, response.content[:500]
    return response.content.decode()


def test_the_list_shows_every_name_with_its_lines(night: None, person: Person) -> None:
    client = person("viewer")
    page = page_of(client, "/templates")
    for name in ("order-paid", "otp", "invoice", "refund-approval"):
        assert f'href="/templates/{name}"' in page
    assert "welcome" not in page
    assert "New template" not in page
    assert "welcome" in page_of(client, "/templates?archived=1")
    assert "otp" not in page_of(client, "/templates?channel=email")
    assert "No template matches" in page_of(client, "/templates?q=nothing-like-it")


def test_a_template_shows_text_difference_and_use(night: None, person: Person) -> None:
    page = page_of(person("lead"), f"/templates/order-paid?{LINE}&version=3&against=2")
    assert "an older version was put back" in page
    assert "<del>" in page
    assert "<ins>" in page
    assert f"template=order-paid%23{version_of(2).pk}" in page
    assert "Dear Sari" in page


def test_html_is_shown_as_source_and_text_never_run(night: None, person: Person) -> None:
    page = page_of(person("viewer"), "/templates/invoice")
    assert "&lt;h1&gt;Invoice" in page
    assert "<iframe" not in page
    assert "srcdoc" not in page


@pytest.mark.parametrize(
    "path", ["/templates/nothing", f"/templates/otp?{LINE}", f"/templates/order-paid?{LINE}&version=99"]
)
def test_what_is_not_there(night: None, person: Person, path: str) -> None:
    page_of(person("viewer"), path, 404)


@pytest.mark.parametrize("number", ["x", "-1", "9" * 30])
def test_a_number_that_is_none(night: None, person: Person, number: str) -> None:
    page_of(person("viewer"), f"/templates/order-paid?version={number}", 422)


def test_the_editor_begins_with_the_newest_text(night: None, person: Person) -> None:
    page = page_of(person("lead"), EDITOR)
    assert "order.voucher" in page
    assert 'name="seen_version" value="3"' in page
    assert 'type="hidden" name="channel" value="email"' in page


def test_saving_uses_the_new_version(night: None, person: Person) -> None:
    response = person("lead").post(EDITOR, typed())
    assert response.status_code == 302, response.content.decode()[:2000]
    saved = version_of(4)
    assert (saved.active, saved.created_by) == (True, "lead@example.com")
    assert AuditEntry.objects.filter(action="template.written").latest("id").reason == "shorter"


def test_a_draft_is_kept_aside(night: None, person: Person) -> None:
    person("lead").post(EDITOR, typed(verb="draft"))
    assert version_of(4).draft
    assert version_of(2).active


def test_a_mistake_is_told_at_its_field_and_keeps_what_was_typed(night: None, person: Person) -> None:
    response = person("lead").post(EDITOR, typed(body="a\n{{ nobody }}"))
    page = response.content.decode()
    assert response.status_code == 422
    assert "line 2: &#x27;nobody&#x27; is undefined" in page
    assert "{{ nobody }}" in page
    assert not MessageTemplate.objects.filter(version=4).exists()


def test_a_version_written_meanwhile_is_told(night: None, person: Person) -> None:
    response = person("lead").post(EDITOR, typed(seen_version="2"))
    assert response.status_code == 422
    assert b"written meanwhile" in response.content


def test_a_new_template_needs_a_name_that_can_be_one(night: None, person: Person) -> None:
    client = person("lead")
    given = typed(name="not a name", seen_version="")
    assert client.post("/templates/new", given).status_code == 422
    assert client.post("/templates/new", given | {"name": "shipped"}).status_code == 302
    assert version_of(1, "shipped").active
    taken = client.post("/templates/new", given | {"name": "order-paid"})
    assert taken.status_code == 422
    assert b"written meanwhile" in taken.content


def test_the_preview_follows_what_is_typed(night: None, person: Person) -> None:
    client = person("lead")

    def seen(**fields: Any) -> str:
        response = client.post("/templates/preview", typed(**fields), headers=HTMX)
        assert response.status_code == 200
        return response.content.decode()

    assert "Hi Sari" in seen()
    assert "line 2" in seen(body="a\n{% if %}")
    assert "<code>order.total</code>" in seen(body="{{ order.total }}")
    assert "This is not JSON" in seen(sample_data="{")
    assert "has no subject" in seen(channel="http")
    html = seen(body="<b>{{ name }}</b>", content_type="text/html; charset=utf-8", sample_data='{"name": "<script>"}')
    assert "<script>" not in html
    assert "<b>&lt;" not in html


def test_previewing_works_without_script(night: None, person: Person) -> None:
    response = person("lead").post(EDITOR, typed(verb="preview"))
    assert response.status_code == 200
    assert b"Hi Sari" in response.content
    assert not MessageTemplate.objects.filter(version=4).exists()


def test_going_back_says_what_it_does_and_is_in_the_trail(night: None, person: Person) -> None:
    client = person("lead")
    path = f"/templates/order-paid/activate?{LINE}&version=1&seen=2"
    page = page_of(client, path)
    assert "Go back to version 1" in page
    assert "keep the version they took" in page
    assert client.post(path, {"reason": ""}).status_code == 422
    assert client.post(path, {"reason": "a wrong word"}).status_code == 302
    assert version_of(1).active
    assert AuditEntry.objects.filter(action="template.activated").latest("id").before["version"] == 2
    stale = client.post(f"/templates/order-paid/activate?{LINE}&version=3&seen=2", {"reason": "x"})
    assert stale.status_code == 422
    assert b"in use meanwhile" in stale.content


def test_archiving_says_how_many_wait(night: None, person: Person) -> None:
    client = person("lead")
    path = "/templates/order-paid/archive?channel=whatsapp&language=id"
    assert "still sent" in page_of(client, path)
    assert client.post(path, {"reason": "moved"}).status_code == 302
    assert version_of(1, "order-paid", "whatsapp", "id").archived_at is not None
    assert "Restore" in page_of(client, path)
    assert client.post(f"{path}&restore=1", {"reason": "moved back"}).status_code == 302
    assert version_of(1, "order-paid", "whatsapp", "id").archived_at is None


def test_a_test_goes_to_oneself(night: None, person: Person) -> None:
    client = person("lead")
    path = f"/templates/order-paid/test?{LINE}&version=3"
    assert 'value="lead@example.com"' in page_of(client, path)
    response = client.post(path, {"service": "smtp", "recipient": "lead@example.com"})
    message = Message.objects.get(tenant_id="test")
    assert response.headers["Location"] == f"/outbox/{message.pk}"
    assert (message.template_version, message.recipient) == (3, "lead@example.com")
    bad = client.post(path, {"service": "smtp", "recipient": "nonsense"})
    assert bad.status_code == 422
    assert client.post(path, {"service": "midtrans", "recipient": "x"}).status_code == 422


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_edit(night: None, person: Person, role: str) -> None:
    client = person(role)
    for path in (
        EDITOR,
        f"/templates/order-paid/activate?{LINE}&version=1",
        f"/templates/order-paid/archive?{LINE}",
        f"/templates/order-paid/test?{LINE}",
    ):
        assert client.get(path).status_code == 403, path
        assert client.post(path, typed()).status_code == 403, path
    assert client.post("/templates/preview", typed()).status_code == 403
    assert "New version" not in page_of(client, "/templates/order-paid")


def test_the_outbox_shows_who_took_it(night: None, person: Person) -> None:
    client = person("viewer")
    assert "/outbox/" in page_of(client, "/outbox?template=order-paid")
    page = page_of(client, f"/outbox?template=order-paid%23{version_of(2).pk}")
    assert "/outbox/" in page
    assert "order-paid v2 (email, en)" in page


def test_what_plain_sql_put_there_is_shown_all_the_same(night: None, person: Person) -> None:
    MessageTemplate.objects.create(name="a/b c", body="{% if %}", sample_data=["not an object"])
    client = person("lead")
    assert "/templates/a/b%20c" in page_of(client, "/templates")
    assert "line 1" in page_of(client, "/templates/a/b%20c")
    page_of(client, "/templates/new?name=a/b+c&channel=&language=en")

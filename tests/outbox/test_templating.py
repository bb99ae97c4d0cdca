"""Named templates: which version a message takes, and looking after lines of versions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError, connection

from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.outbox.deadletters.editing import _body_of
from apps.outbox.models import Message, MessageTemplate
from apps.outbox.rendering import RenderingFailed
from apps.outbox.templating import selectors
from apps.outbox.templating.services import (
    LineId,
    activate,
    archive,
    line_id,
    restore,
    send_test,
)
from apps.outbox.templating.tags import fall_backs, normal_tag, split_reference
from tests.conftest import make_service
from tests.outbox.template_lines import mail, on_the_wire, sent, write

pytestmark = pytest.mark.django_db


# --- language tags ------------------------------------------------------------------------------
def test_tags_have_one_spelling_and_fall_back_to_the_default() -> None:
    assert [normal_tag(tag) for tag in ("EN", "pt-br", "zh-hant-tw")] == ["en", "pt-BR", "zh-Hant-TW"]
    assert fall_backs("id-ID") == ["id-ID", "id", "en"]
    assert fall_backs("") == ["en"]
    assert split_reference("otp:ID-id") == ("otp", "id-ID")
    assert split_reference("otp:") == ("otp:", "")
    assert split_reference("otp: not a tag") == ("otp: not a tag", "")


# --- choosing -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("template", "data", "language"),
    [
        ("otp", {}, "en"),
        ("otp:id", {}, "id"),
        ("otp:id-ID", {}, "id"),
        ("otp:ID", {}, "id"),
        ("otp:fr", {}, "en"),
        ("otp", {"language": "id"}, "id"),
        ("otp", {"language": "pt-BR"}, "en"),
        ("otp:en", {"language": "id"}, "en"),
        ("otp", {"language": "Bahasa Indonesia"}, "en"),
        ("otp", {"language": {"not": "text"}}, "en"),
    ],
)
def test_the_language_is_asked_for_and_falls_back(template: str, data: dict[str, Any], language: str) -> None:
    mail()
    write(language="en")
    write(language="id")
    message = sent(template, body_data={"code": "1", **data})
    taken = MessageTemplate.objects.get(pk=message.template_id)
    assert (message.template, message.template_version, taken.language) == ("otp", 1, language)


def test_the_channel_follows_from_the_service() -> None:
    mail()
    make_service("chat", channel="whatsapp", settings={"phone_number_id": "1"})
    write(channel="email", body="by mail {{ code }}")
    write(channel="whatsapp", body="by chat {{ code }}")
    sent("otp")
    sent("otp", service="chat", recipient="+6281234567890")
    assert [found.body for found in on_the_wire("smtp")] == [b"by mail 1"]
    assert [found.body for found in on_the_wire("chat")] == [b"by chat 1"]


def test_the_only_language_there_is_is_meant_when_none_is_asked_for() -> None:
    mail()
    write(language="id")
    assert sent("otp").template_id is not None
    with pytest.raises(Invalid, match=r"not written in fr.*there in: id.*otp:id"):
        sent("otp:fr")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("nothing", r"no template named 'nothing'. For email there are: otp"),
        ("chat-only", r"written for whatsapp, not for email"),
        ("gone", r"archived: restore it"),
        ("unfinished", r"drafts only: activate"),
    ],
)
def test_what_cannot_be_chosen_says_what_there_is(template: str, words: str) -> None:
    mail()
    write()
    write("chat-only", "whatsapp")
    write("unfinished", draft=True)
    write("gone")
    archive(line=line_id("gone", "email"), actor=SYSTEM, reason="old")
    with pytest.raises(Invalid, match=words) as caught:
        sent(template)
    assert caught.value.detail[0]["field"] == "template"
    assert not Message.objects.exists()


def test_a_message_keeps_the_version_it_took() -> None:
    mail()
    write(body="one {{ code }}")
    sent("otp")
    write(body="two {{ code }}")
    sent("otp")
    archive(line=line_id("otp", "email"), actor=SYSTEM, reason="old")
    assert [found.body for found in on_the_wire()] == [b"one 1", b"two 1"]


def test_a_template_of_every_channel_serves_until_the_channel_has_its_own() -> None:
    mail()
    old = MessageTemplate.objects.create(name="otp", body="old {{ code }}")
    assert sent("otp").template_id == old.pk
    own = write()
    assert sent("otp").template_id == own.pk
    # Accepted before templates had rows to freeze: version 1 of that time is meant, not the new version 1.
    Message.objects.filter(template_id=old.pk).update(template_id=None)
    assert [found.body for found in on_the_wire()] == [b"old 1", b"en: 1"]


def test_a_name_with_a_colon_in_it_is_still_found() -> None:
    mail()
    MessageTemplate.objects.create(name="shop:id", channel="email", body="x")
    assert sent("shop:id").template == "shop:id"


def test_the_subject_is_rendered_on_one_line_and_the_messages_own_wins() -> None:
    mail()
    write(subject="Code {{ code }}")
    sent("otp", body_data={"code": "1\r\nBcc: x@example.com"})
    sent("otp", subject="My own")
    assert [found.subject for found in on_the_wire()] == ["Code 1 Bcc: x@example.com", "My own"]


def test_plain_sql_takes_the_version_in_use_when_it_is_delivered() -> None:
    mail()
    write(body="one {{ code }}")
    write(language="id", body="satu {{ code }}")
    rows = [
        ("otp", '{"code": "1"}', None),
        ("otp:id", '{"code": "2"}', None),
        ("otp", '{"code": "3", "language": "id"}', None),
        ("otp", '{"code": "4"}', 1),
    ]
    with connection.cursor() as cursor:
        for template, data, version in rows:
            cursor.execute(
                "INSERT INTO notification_outbox (service, recipient, template, body_data, template_version) "
                "VALUES ('smtp', 'a@example.com', %s, %s, %s)",
                [template, data, version],
            )
    write(body="two {{ code }}")
    archive(line=line_id("otp", "email", "id"), actor=SYSTEM, reason="old, and what waits is sent all the same")
    assert [found.body for found in on_the_wire()] == [b"two 1", b"satu 2", b"satu 3", b"one 4"]


def test_plain_sql_that_names_nothing_becomes_a_dead_letter_that_says_so() -> None:
    mail()
    Message.objects.create(service_id="smtp", recipient="a@example.com", template="nothing")
    with pytest.raises(RenderingFailed, match="no template named 'nothing'"):
        on_the_wire()


def test_a_corrected_copy_asks_for_the_same_language() -> None:
    mail()
    write()
    write(language="id")
    assert _body_of(sent("otp:id")) == {"template": "otp:id"}


def test_the_same_key_with_another_language_is_another_message() -> None:
    mail()
    write()
    write(language="id")
    sent("otp:id", idempotency_key="k")
    with pytest.raises(Invalid):
        sent("otp:en", idempotency_key="k")


# --- writing ------------------------------------------------------------------------------------
def test_versions_count_within_their_line_and_the_newest_is_used() -> None:
    assert [write().version, write().version, write(language="id").version, write(channel="slack").version] == [
        1,
        2,
        1,
        1,
    ]
    used = MessageTemplate.objects.filter(active=True).order_by("channel", "language")
    assert list(used.values_list("channel", "language", "version")) == [
        ("email", "en", 2),
        ("email", "id", 1),
        ("slack", "en", 1),
    ]


def test_a_draft_is_not_used_until_it_is_activated() -> None:
    mail()
    write(body="one {{ code }}")
    write(body="two {{ code }}", draft=True)
    assert sent("otp").template_version == 1
    activate(line=line_id("otp", "email"), version=2, actor=SYSTEM, reason="approved", seen_active=1)
    assert sent("otp").template_version == 2
    assert not MessageTemplate.objects.filter(draft=True).exists()


def test_going_back_is_one_step_and_in_the_trail() -> None:
    mail()
    write(body="one {{ code }}")
    write(body="two {{ code }}")
    activate(line=line_id("otp", "email"), version=1, actor=SYSTEM, reason="a wrong word in 2")
    assert sent("otp").template_version == 1
    entry = AuditEntry.objects.filter(action="template.activated").get()
    assert (entry.before["version"], entry.after["version"], entry.reason) == (2, 1, "a wrong word in 2")
    write(body="three {{ code }}")
    assert sent("otp").template_version == 3


def test_a_stale_page_neither_activates_nor_saves() -> None:
    write()
    write()
    with pytest.raises(Conflict, match=r"Version 2 .* in use meanwhile"):
        activate(line=line_id("otp", "email"), version=1, actor=SYSTEM, reason="x", seen_active=1)
    with pytest.raises(Conflict, match=r"Version 2 .* written meanwhile"):
        write(seen_version=1)
    with pytest.raises(Conflict, match="in use already"):
        activate(line=line_id("otp", "email"), version=2, actor=SYSTEM, reason="x")
    with pytest.raises(NotFound):
        activate(line=line_id("otp", "email"), version=9, actor=SYSTEM, reason="x")
    with pytest.raises(Invalid, match="reason"):
        activate(line=line_id("otp", "email"), version=1, actor=SYSTEM, reason=" ")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "has space"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "new"}, "name"),
        ({"channel": "pigeon"}, "channel"),
        ({"channel": ""}, "channel"),
        ({"language": "english language"}, "language"),
        ({"body": "{% if %}"}, "body"),
        ({"body": "{{ nobody }}"}, "body"),
        ({"body": "  "}, "body"),
        ({"body": "x" * 70_000}, "body"),
        ({"subject": "{{ code"}, "subject"),
        ({"subject": "a\nb"}, "subject"),
        ({"channel": "http", "subject": "x", "body": "{}"}, "subject"),
        ({"channel": "http", "body": "{{ code }} and no JSON"}, "body"),
        ({"channel": "whatsapp", "body": "x" * 4097}, "body"),
        ({"channel": "whatsapp", "content_type": "text/html"}, "content_type"),
        ({"channel": "slack", "content_type": "application/json", "body": '{"blocks": [1]}'}, "body"),
        ({"content_type": "text/plain\r\nX-Evil: 1"}, "content_type"),
        ({"sample_data": {"code": "\x00"}}, "sample_data"),
    ],
)
def test_what_could_not_be_sent_is_refused_by_its_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        write(**fields)
    assert field in {problem["field"] for problem in caught.value.detail}
    assert not MessageTemplate.objects.exists()


def test_a_draft_may_be_unfinished_but_has_to_be_a_template() -> None:
    write(body="{{ nobody }}", draft=True)
    with pytest.raises(Invalid, match="line 2"):
        write(body="a\n{% if %}", draft=True)
    with pytest.raises(Invalid, match="'nobody' is undefined"):
        activate(line=line_id("otp", "email"), version=1, actor=SYSTEM, reason="x")


def test_archiving_and_restoring() -> None:
    mail()
    write()
    line = line_id("otp", "email")
    sent("otp")
    assert selectors.waiting_of(line) == 1
    archive(line=line, actor=SYSTEM, reason="nobody uses it")
    with pytest.raises(Conflict, match="archived already"):
        archive(line=line, actor=SYSTEM, reason="again")
    with pytest.raises(Conflict, match="Restore it first"):
        write()
    restore(line=line, actor=SYSTEM, reason="somebody does")
    assert sent("otp").template_version == 1
    assert list(AuditEntry.objects.order_by("id").values_list("action", flat=True)) == [
        "template.written",
        "template.archived",
        "template.restored",
    ]
    with pytest.raises(NotFound):
        archive(line=LineId("nothing", "email", "en"), actor=SYSTEM, reason="x")


def test_who_may_not_edit_is_refused_everything(viewer: Actor) -> None:
    mail()
    saved = write()
    line = line_id("otp", "email")
    for act in (
        lambda: write(actor=viewer),
        lambda: activate(line=line, version=1, actor=viewer, reason="x"),
        lambda: archive(line=line, actor=viewer, reason="x"),
        lambda: restore(line=line, actor=viewer, reason="x"),
        lambda: send_test(template_id=saved.pk, service="smtp", recipient="a@example.com", actor=viewer),
    ):
        with pytest.raises(Forbidden):
            act()
    assert not Message.objects.exists()


def test_two_active_versions_of_a_line_cannot_be_stored() -> None:
    write()
    with pytest.raises(IntegrityError):
        MessageTemplate.objects.create(name="otp", channel="email", language="en", version=7, body="x", active=True)


# --- a test to oneself --------------------------------------------------------------------------
def test_a_test_is_a_real_message_marked_as_one() -> None:
    mail()
    write(body="one {{ code }}")
    draft = write(body="two {{ code }}", draft=True, subject="T {{ code }}")
    number = send_test(template_id=draft.pk, service="smtp", recipient="me@example.com", actor=SYSTEM)
    message = Message.objects.get(pk=number)
    assert (message.tenant_id, message.source, message.template_version) == ("test", "template-test", 2)
    assert message.expires_at is not None
    (envelope,) = on_the_wire()
    assert (envelope.body, envelope.subject) == (b"two 123456", "T 123456")
    entry = AuditEntry.objects.filter(action="template.tested").get()
    assert "me@example.com" not in json.dumps(entry.after)


def test_a_test_goes_through_a_service_of_its_channel_only() -> None:
    mail()
    make_service("midtrans")
    saved = write()
    with pytest.raises(Invalid, match="reached by http"):
        send_test(template_id=saved.pk, service="midtrans", recipient="", actor=SYSTEM)
    with pytest.raises(Invalid, match="recipient"):
        send_test(template_id=saved.pk, service="smtp", recipient="not an address", actor=SYSTEM)
    with pytest.raises(NotFound):
        send_test(template_id=999, service="smtp", recipient="a@example.com", actor=SYSTEM)

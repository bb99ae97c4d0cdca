from __future__ import annotations

import pytest

from apps.channels.acceptance import check_destination, check_message
from apps.channels.base import DeliveryError, NetworkPolicy, Receipt
from apps.channels.registry import KINDS, build, kinds, validate_settings
from apps.core.errors import Invalid
from apps.services.models import Channel
from tests.channels.support import ALLOW, DENY, channel

GOOD = {
    "http": {"url": "https://partner.example/hook", "headers": {"X-Team": "payments"}, "secret_ref": "PARTNER_KEY"},
    "email": {"host": "mail.example", "from_address": "portal@example.com", "tls": "starttls"},
    "whatsapp": {"phone_number_id": "1234567890"},
    "slack": {"mode": "api", "channel": "#alerts"},
    "telegram": {"chat_id": "-1001"},
    "pagerduty": {"severity": "error"},
    "plane": {"workspace": "acme", "project": "4af68566-94a4-4eb3-94aa-50dc9427067b"},
}


def problems(kind, settings):
    with pytest.raises(Invalid) as caught:
        validate_settings(kind, settings)
    return {item["field"]: item["message"] for item in caught.value.detail}


def test_kinds_are_the_words_of_the_configuration():
    assert kinds() == ["http", "email", "whatsapp", "slack", "telegram", "pagerduty", "plane"]


def test_every_kind_may_be_configured_for_a_service():
    assert set(kinds()) == set(Channel.values)


@pytest.mark.parametrize("kind", KINDS)
def test_good_settings_come_back_as_given(kind):
    assert validate_settings(kind, GOOD[kind]) == GOOD[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_setting_is_named(kind):
    assert "settings.retries" in problems(kind, {**GOOD[kind], "retries": 3})


def test_unknown_kind_says_which_there_are():
    with pytest.raises(Invalid, match="http, email") as caught:
        validate_settings("fax", {})
    assert caught.value.detail[0]["field"] == "channel"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "partner.example/hook",
        "ftp://partner.example/",
        "https://",
        "https:///hook",
        "https://user:password@partner.example/",
        "https://partner.example:99999/",
        "https://partner.example/a b",
        "https://partner.example/\r\nX: 1",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1%25eth0]/",
        "http://[::ffff:169.254.169.254]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://0/",
        "http://①⑥⑨.254.169.254/",
        "http://[::1",
        "x" * 3000,
    ],
)
def test_url_that_cannot_be_called_names_settings_url(url):
    assert list(problems("http", {"url": url})) == ["settings.url"]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"method": "GET"}, "settings.method"),
        ({"headers": {"X-A": "1\r\n2"}}, "settings.headers"),
        ({"headers": {"Host": "evil"}}, "settings.headers"),
        ({"headers": {"idempotency-KEY": "x"}}, "settings.headers"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "settings.headers"),
        ({"auth": "oauth"}, "settings.auth"),
        ({"auth": "header"}, "settings"),
        ({"auth": "bearer", "headers": {"Authorization": "x"}}, "settings"),
        ({"username": "bob"}, "settings"),
        ({"secret_ref": "not a name"}, "settings.secret_ref"),
        ({"secret_ref": "NAME\n"}, "settings.secret_ref"),
    ],
)
def test_http_settings_that_cannot_work_are_named(settings, field):
    assert field in problems("http", {"url": "https://partner.example/", **settings})


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        ("email", {"host": "smtp://mail.example"}, "settings.host"),
        ("email", {"host": "169.254.169.254"}, "settings.host"),
        ("email", {"from_address": "nobody"}, "settings.from_address"),
        ("email", {"from_address": "a@b.example\r\nBcc: c@d.example"}, "settings.from_address"),
        ("email", {"from_name": "a\nb"}, "settings.from_name"),
        ("email", {"reply_to": "x"}, "settings.reply_to"),
        ("email", {"tls": "ssl"}, "settings.tls"),
        ("whatsapp", {"phone_number_id": "../x"}, "settings.phone_number_id"),
        ("whatsapp", {"base_url": "http://169.254.169.254"}, "settings.base_url"),
        ("slack", {"mode": "webhook", "channel": "#x"}, "settings"),
        ("telegram", {"chat_id": "me and you"}, "settings.chat_id"),
        ("pagerduty", {"severity": "fatal"}, "settings.severity"),
        ("plane", {"workspace": "a/b", "project": "4af68566-94a4-4eb3-94aa-50dc9427067b"}, "settings.workspace"),
        ("plane", {"workspace": "a", "project": "../x"}, "settings.project"),
    ],
)
def test_settings_of_the_other_kinds_that_cannot_work_are_named(kind, settings, field):
    assert field in problems(kind, {**GOOD[kind], **settings})


def test_all_problems_come_at_once():
    found = problems("http", {"url": "nope", "method": "GET", "x": 1})
    assert set(found) == {"settings.url", "settings.method", "settings.x"}


@pytest.mark.parametrize(("policy", "refused"), [(ALLOW, False), (DENY, True)])
@pytest.mark.parametrize("host", ["127.0.0.1", "10.1.2.3", "[::1]", "localhost"])
def test_check_destination_follows_the_network_policy(host, policy, refused):
    found = check_destination("http", {"url": f"http://{host}/"}, policy)
    assert [item["field"] for item in found] == (["settings.url"] if refused else [])


@pytest.mark.parametrize("policy", [ALLOW, DENY])
def test_check_destination_refuses_metadata_under_every_policy(policy):
    found = check_destination("http", {"url": "http://169.254.169.254/"}, policy)
    assert [item["field"] for item in found] == ["settings.url"]
    assert "metadata" in found[0]["message"]


def test_check_destination_names_the_field_of_each_kind():
    assert check_destination("email", {**GOOD["email"], "host": "10.0.0.1"}, DENY)[0]["field"] == "settings.host"
    assert check_destination("whatsapp", {"phone_number_id": "1", "base_url": "http://10.0.0.1"}, DENY)[0]["field"] == (
        "settings.base_url"
    )
    assert check_destination("pagerduty", {}, DENY) == []


@pytest.mark.parametrize("kind", ["whatsapp", "slack", "telegram", "pagerduty"])
def test_kinds_that_cannot_work_without_a_secret_say_so(kind):
    with pytest.raises(Invalid) as caught:
        channel(kind, **GOOD[kind])
    assert caught.value.detail[0]["field"] == "secret"


def test_building_opens_nothing_and_needs_no_loop():
    made = build(
        "http",
        service="x",
        settings={"url": "http://10.0.0.1/"},
        secrets=["s3cret-value"],
        timeout=1,
        max_in_flight=1,
        network=NetworkPolicy(False),
    )
    assert "s3cret" not in repr(made)


@pytest.mark.parametrize(
    ("kind", "recipient", "good"),
    [
        ("http", "", True),
        ("http", "anything at all", True),
        ("http", "a\r\nb", False),
        ("email", "a@b.example", True),
        ("email", "a@b.example, c@d.example", True),
        ("email", "", False),
        ("email", "a@b.example\r\nBcc: c@d.example", False),
        ("email", "nobody", False),
        ("email", "a@b.example,nobody", False),
        ("whatsapp", "+62 812-3456-7890", True),
        ("whatsapp", "0812 call me", False),
        ("whatsapp", "", False),
        ("telegram", "@channel", True),
        ("telegram", "-100123", True),
        ("telegram", "my friend", False),
        ("slack", "#alerts", True),
        ("slack", "#a\nb", False),
        ("pagerduty", "", True),
        ("plane", "", True),
        ("plane", "4af68566-94a4-4eb3-94aa-50dc9427067b", True),
        ("plane", "../other", False),
    ],
)
def test_recipient_is_checked_at_acceptance(kind, recipient, good):
    found = check_message(kind, recipient=recipient, subject="", headers={})
    assert [item["field"] for item in found] == ([] if good else ["recipient"])


def test_subject_and_headers_are_checked_at_acceptance():
    found = check_message(
        "email", recipient="a@b.example", subject="x\r\ny", headers={"X-A": "1\n2", "Bad Name": "1", "X-B": "fine"}
    )
    assert [item["field"] for item in found] == ["subject", "headers.X-A", "headers.Bad Name"]


def test_error_and_receipt_defaults():
    error = DeliveryError("m", error_class="c")
    assert (error.permanent, error.counts_as_failure, error.ambiguous, error.timed_out) == (False, True, False, False)
    assert Receipt(200) == Receipt(200, "", "")

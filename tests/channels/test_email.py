from __future__ import annotations

import asyncio
from email import message_from_bytes
from email.policy import SMTPUTF8

import pytest

from apps.channels.kinds.email.html import plain_text
from apps.channels.kinds.email.recipients import address_problem, on_the_wire, split
from apps.core.errors import Invalid
from tests.channels.mail import cut, drip, hang, mail, mail_server, mailer, scripted
from tests.channels.support import DENY, SECRET, failure_of, free_port


def parsed(inbox, number=-1):
    return message_from_bytes(inbox.mails[number].original_content, policy=SMTPUTF8)


async def deliver(inbox, message=None, **settings):
    made = mailer(inbox.port, **settings)
    try:
        return await made.send(message or mail())
    finally:
        await made.close()


async def test_message_arrives_with_its_identity():
    async with mail_server() as inbox:
        receipt = await deliver(inbox, from_name="Ops Portal", reply_to="help@example.com")
        found = parsed(inbox)
    assert (receipt.status_code, receipt.provider_id) == (250, "4F2A")
    assert inbox.mails[0].mail_from == "portal@example.com"
    assert inbox.mails[0].rcpt_tos == ["ada@example.org"]
    assert found["From"] == "Ops Portal <portal@example.com>"
    assert found["To"] == "ada@example.org"
    assert found["Reply-To"] == "help@example.com"
    assert found["Subject"] == "Order 1001"
    assert found["Message-ID"] == "<msg_0123456789abcdef@example.com>"
    assert found["X-Idempotency-Key"] == "order-1001"
    assert found["Date"].datetime
    assert found.get_content().splitlines() == ["Dear Ada"]


async def test_message_id_is_the_same_on_every_attempt():
    async with mail_server() as inbox:
        await deliver(inbox, mail(attempt=1))
        await deliver(inbox, mail(attempt=2))
        assert parsed(inbox, 0)["Message-ID"] == parsed(inbox, 1)["Message-ID"]


async def test_html_goes_with_a_plain_text_beside_it():
    async with mail_server() as inbox:
        await deliver(inbox, mail(body="<h1>Hé</h1><p>Dear <b>Ada</b>".encode(), content_type="text/html"))
        found = parsed(inbox)
    assert found.get_content_type() == "multipart/alternative"
    text, html = found.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert "Dear Ada" in text.get_content()
    assert html.get_content().strip() == "<h1>Hé</h1><p>Dear <b>Ada</b>"


async def test_utf_8_subject_and_body_and_long_lines_survive():
    subject, body = "Pesanan 日本 😀 " + "é" * 100, "x" * 3000 + "\n.\n..dots\n日本\n"
    async with mail_server() as inbox:
        await deliver(inbox, mail(subject=subject, body=body.encode()))
        found = parsed(inbox)
    assert found["Subject"] == subject
    assert found.get_content().splitlines() == body.splitlines()
    assert max(len(line) for line in inbox.mails[0].original_content.splitlines()) <= 998


async def test_line_that_is_only_a_dot_does_not_end_the_message():
    async with mail_server() as inbox:
        await deliver(inbox, mail(body=b"one\n.\nMAIL FROM:<evil@example.com>\n"))
    assert len(inbox.mails) == 1
    assert b"\r\n.\r\nMAIL" in inbox.mails[0].original_content


async def test_several_recipients_each_once():
    async with mail_server() as inbox:
        await deliver(inbox, mail(recipient="a@b.example, c@d.example,a@b.example"))
        assert inbox.mails[0].rcpt_tos == ["a@b.example", "c@d.example"]
        assert parsed(inbox)["To"] == "a@b.example, c@d.example"


async def test_custom_headers_go_along_but_never_replace_ours():
    headers = {"List-Unsubscribe": "<mailto:no@example.com>", "from": "evil@example.com", "BCC": "evil@example.com",
               "Subject": "evil", "Content-Type": "text/evil", "X-Idempotency-Key": "evil"}  # fmt: skip
    async with mail_server() as inbox:
        await deliver(inbox, mail(headers=headers))
        found = parsed(inbox)
    assert found["List-Unsubscribe"] == "<mailto:no@example.com>"
    assert b"evil" not in inbox.mails[0].original_content
    assert inbox.mails[0].rcpt_tos == ["ada@example.org"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recipient": "a@b.example\r\nBcc: evil@example.com"}, "recipient"),
        ({"recipient": "a@b.example\nRCPT TO:<evil@example.com>"}, "recipient"),
        ({"recipient": "a b@c.example"}, "recipient"),
        ({"recipient": "a@b.example>"}, "recipient"),
        ({"recipient": ""}, "recipient"),
        ({"subject": "Hi\r\nBcc: evil@example.com"}, "subject"),
        ({"subject": "Hi\nthere"}, "subject"),
        ({"headers": {"X-A": "1\r\nBcc: evil@example.com"}}, "headers.X-A"),
        ({"wire_id": "a>\r\nX: 1"}, "wire_id"),
        ({"body": b"\xff\xfe"}, "payload"),
    ],
)
async def test_header_injection_is_a_permanent_error_that_names_the_field(changes, field):
    async with mail_server() as inbox:
        error = await failure_of(deliver(inbox, mail(**changes)))
        assert inbox.connections == 0
    assert (error.permanent, error.counts_as_failure, error.error_class) == (True, False, "bad_message")
    assert str(error).startswith(field)


async def test_international_domain_goes_in_ascii():
    async with mail_server() as inbox:
        await deliver(inbox, mail(recipient="ada@bücher.example"))
    assert inbox.mails[0].rcpt_tos == ["ada@xn--bcher-kva.example"]


async def test_international_mailbox_needs_smtputf8():
    async with mail_server(enable_SMTPUTF8=True) as inbox:
        await deliver(inbox, mail(recipient="jürgen@example.org", subject="Grüße"))
        assert inbox.mails[0].rcpt_tos == ["jürgen@example.org"]
        assert "SMTPUTF8" in inbox.mails[0].mail_options
    async with mail_server() as inbox:
        error = await failure_of(deliver(inbox, mail(recipient="jürgen@example.org")))
    assert error.permanent
    assert "SMTPUTF8" in str(error)
    assert "recipient" in str(error)


@pytest.mark.parametrize(("code", "permanent"), [("450 busy", False), ("550 no such user", True)])
async def test_recipient_refused_4xx_is_retryable_5xx_permanent_and_nobody_gets_it(code, permanent):
    async with mail_server() as inbox:
        inbox.rcpt["bad@b.example"] = code
        error = await failure_of(deliver(inbox, mail(recipient="a@b.example,bad@b.example")))
        assert inbox.mails == []
    assert (error.permanent, error.status_code, error.ambiguous) == (permanent, int(code[:3]), False)
    assert error.counts_as_failure is not permanent
    assert "bad@b.example" in str(error)


@pytest.mark.parametrize(("code", "permanent"), [("451 later", False), ("552 too big", True), ("554 spam", True)])
async def test_message_refused_after_the_dot_4xx_is_retryable_5xx_permanent(code, permanent):
    async with mail_server() as inbox:
        inbox.data_answer = code
        error = await failure_of(deliver(inbox))
    assert (error.permanent, error.status_code, error.ambiguous) == (permanent, int(code[:3]), False)


async def test_sender_refused_names_the_setting():
    async with mail_server() as inbox:
        inbox.mail_answer = "553 not yours"
        error = await failure_of(deliver(inbox))
    assert error.permanent
    assert "from_address" in str(error)


async def test_connection_is_kept_and_used_again_also_after_a_refusal():
    async with mail_server() as inbox:
        inbox.rcpt["bad@b.example"] = "550 no"
        made = mailer(inbox.port)
        await made.send(mail())
        await failure_of(made.send(mail(recipient="bad@b.example")))
        await made.send(mail())
        await made.close()
        assert (inbox.connections, len(inbox.mails)) == (1, 2)


async def test_connection_is_renewed_after_so_many_messages():
    async with mail_server() as inbox:
        made = mailer(inbox.port, max_messages_per_connection=2)
        for _ in range(5):
            await made.send(mail())
        await made.close()
        assert (inbox.connections, len(inbox.mails)) == (3, 5)


async def test_no_more_connections_than_allowed():
    async with mail_server() as inbox:
        made = mailer(inbox.port, max_connections=3)
        await asyncio.gather(*(made.send(mail()) for _ in range(12)))
        await made.close()
        assert inbox.connections <= 3
        assert len(inbox.mails) == 12


@pytest.mark.parametrize("ending", [cut, "421 4.4.2 timeout exceeded"])
async def test_kept_connection_that_died_costs_a_new_one_and_nothing_is_sent_twice(ending):
    mails_before = 0

    async def second_mail_fails(writer):
        nonlocal mails_before
        mails_before += 1
        if mails_before == 2:
            if callable(ending):
                await ending(writer)
                return
            writer.write(f"{ending}\r\n".encode())
            await writer.drain()
            writer.close()
            return
        writer.write(b"250 OK\r\n")

    async with scripted(MAIL=second_mail_fails) as script:
        made = mailer(script.port)
        await made.send(mail())
        receipt = await made.send(mail())
        await made.close()
    assert receipt.status_code == 250
    assert script.connections == 2
    assert script.said.count(".") == 2


async def test_kept_connection_closed_in_idle_time_is_replaced():
    async with mail_server() as inbox:
        made = mailer(inbox.port)
        await made.send(mail())
        made._kept[0].client.transport.abort()
        await asyncio.sleep(0.01)
        await made.send(mail())
        await made.close()
        assert len(inbox.mails) == 2


@pytest.mark.parametrize(
    ("step", "ambiguous"),
    [("GREETING", False), ("EHLO", False), ("MAIL", False), ("RCPT", False), ("DATA", False), ("DOT", True)],
)
@pytest.mark.parametrize(("breaking", "timed_out"), [(hang, True), (drip, True), (cut, False)])
async def test_failure_is_ambiguous_only_after_the_final_dot(step, ambiguous, breaking, timed_out):
    async with scripted(**{step: breaking}) as script:
        made = mailer(script.port, timeout=0.15)
        error = await failure_of(made.send(mail()))
        await made.close()
    assert (error.ambiguous, error.timed_out, error.permanent) == (ambiguous, timed_out, False)
    assert error.counts_as_failure


async def test_server_that_turns_us_away_is_retryable():
    async with scripted(GREETING="554 no service here") as script:
        made = mailer(script.port)
        error = await failure_of(made.send(mail()))
        await made.close()
    assert (error.permanent, error.counts_as_failure, error.status_code) == (False, True, 554)


async def test_nonsense_and_endless_answers_are_retryable():
    async def endless(writer):
        writer.write(b"x" * 100_000)

    for step in ("SSH-2.0-OpenSSH", endless):
        async with scripted(GREETING=step) as script:
            made = mailer(script.port, timeout=0.3)
            error = await failure_of(made.send(mail()))
            await made.close()
        assert not error.permanent


async def test_answer_that_is_not_utf_8_is_safe():
    async def binary(writer):
        writer.write(b"554 \xff\xfe\x00 no\r\n")

    async with scripted(DOT=binary) as script:
        made = mailer(script.port)
        error = await failure_of(made.send(mail()))
        await made.close()
    error.response_excerpt.encode()
    str(error).encode()


async def test_refused_port_is_retryable():
    made = mailer(free_port())
    error = await failure_of(made.send(mail()))
    await made.close()
    assert (error.error_class, error.ambiguous, error.permanent) == ("connection_refused", False, False)


async def test_private_mail_server_is_refused_by_policy_and_metadata_always():
    async def metadata(host, port):
        return ["169.254.169.254"]

    async with mail_server() as inbox:
        error = await failure_of(deliver(inbox, network=DENY))
        assert inbox.connections == 0
    assert (error.error_class, error.permanent, error.counts_as_failure) == ("address_refused", True, False)
    assert "settings.host" in str(error)
    error = await failure_of(deliver(inbox, host="mail.example", lookup=metadata))
    assert "169.254.169.254" in str(error)


async def test_unknown_mail_host_is_a_dns_failure():
    made = mailer(25, host="no-such-host.invalid")
    error = await failure_of(made.send(mail()))
    await made.close()
    assert error.error_class == "dns"


async def test_starttls_then_log_in(certificate):
    async with mail_server(tls_context=certificate.server, auth_require_tls=True) as inbox:
        inbox.password = SECRET
        await deliver(inbox, tls="starttls", host="localhost", ca_file=certificate.path, username="u", secrets=[SECRET])
        assert inbox.logins == [("u", SECRET)]
        assert len(inbox.mails) == 1


async def test_tls_from_the_first_byte(certificate):
    async with mail_server(implicit_tls=certificate.server) as inbox:
        await deliver(inbox, tls="tls", host="localhost", ca_file=certificate.path)
        assert len(inbox.mails) == 1


async def test_starttls_optional_upgrades_where_it_can_and_goes_on_where_not(certificate):
    async with mail_server(tls_context=certificate.server, require_starttls=True) as inbox:
        await deliver(inbox, tls="starttls_optional", host="localhost", verify=False)
        assert len(inbox.mails) == 1
    async with mail_server() as inbox:
        await deliver(inbox, tls="starttls_optional")
        assert len(inbox.mails) == 1


async def test_password_is_never_sent_in_clear_where_tls_was_hoped_for():
    async with mail_server(auth_require_tls=False) as inbox:
        error = await failure_of(deliver(inbox, tls="starttls_optional", username="u", secrets=[SECRET]))
        assert inbox.logins == []
    assert error.error_class == "smtp_unsupported"
    assert not error.permanent


async def test_missing_starttls_says_what_to_set():
    async with mail_server() as inbox:
        error = await failure_of(deliver(inbox, tls="starttls"))
    assert "settings.tls" in str(error)


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_certificate_that_cannot_be_verified_is_retryable_with_a_clear_text(certificate, mode):
    options = {"tls_context": certificate.server} if mode == "starttls" else {"implicit_tls": certificate.server}
    async with mail_server(**options) as inbox:
        error = await failure_of(deliver(inbox, tls=mode, host="localhost"))
    assert (error.error_class, error.permanent, error.ambiguous) == ("tls", False, False)
    assert "self-signed" in str(error)


async def test_wrong_password_pauses_the_service_and_is_not_shown(certificate):
    async with mail_server(auth_require_tls=False) as inbox:
        inbox.password = "other"
        made = mailer(inbox.port, username="u", secrets=[SECRET])
        error = await failure_of(made.send(mail()))
        await made.close()
    assert (error.permanent, error.pauses_service, error.counts_as_failure) == (True, True, False)
    assert error.error_class == "unauthorized"
    assert SECRET not in f"{error} {error!r} {error.response_excerpt} {made!r}"


def test_username_without_a_password_says_so():
    with pytest.raises(Invalid, match="secret"):
        mailer(25, username="u")


async def test_closed_channel_may_be_used_again():
    async with mail_server() as inbox:
        made = mailer(inbox.port)
        for _ in range(2):
            await made.send(mail())
            await made.close()
        assert len(inbox.mails) == 2


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "@b.example",
        "a@",
        "a@b@c.example",
        "a@-b.example",
        "a@b..example",
        ".a@b.example",
        "a..b@c.example",
        "a b@c.example",
        "<a@b.example>",
        'a"b@c.example',
        "a@b.example;",
        "a" * 65 + "@b.example",
        "a@" + "b" * 64 + ".example",
        "a@[127.0.0.1]",
        "a\u2028b@c.example",
        "a@b.example\0",
    ],
)
def test_what_is_no_address(address):
    assert address_problem(address)


@pytest.mark.parametrize("address", ["a@b", "a.b+c@d-e.example", "o'neil@example.com", "jürgen@bücher.example"])
def test_what_is_an_address(address):
    assert address_problem(address) is None
    assert on_the_wire(address).rpartition("@")[2].isascii()


def test_list_of_addresses_is_split_at_commas():
    assert split(" a@b.example ,, c@d.example,a@b.example") == ["a@b.example", "c@d.example"]


def test_plain_text_of_html():
    html = """<html><head><title>t</title><style>p{}</style></head><body><h1>Hello</h1>
    <p>Dear&nbsp;Ada,<br>see <a href="https://x.example/1">the order</a>.</p>
    <ul><li>one</li><li>two</li></ul><script>evil()</script><div><div><div>end"""
    lines = plain_text(html).splitlines()
    assert lines[0] == "Hello"
    assert "see the order (https://x.example/1)." in lines
    assert "- one" in lines
    assert "evil" not in plain_text(html)
    assert lines[-1] == "end"

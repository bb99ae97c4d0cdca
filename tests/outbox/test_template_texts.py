"""Templates looked into: their variables, previews, mistakes; who uses which version; the command."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.outbox.search import MessageFilters, list_messages
from apps.outbox.templating import selectors
from apps.outbox.templating.inspecting import preview, variables_of
from tests.outbox.template_lines import mail, sent, write

pytestmark = pytest.mark.django_db


# --- looking into the text ----------------------------------------------------------------------
def test_variables_are_found_by_parsing() -> None:
    source = (
        "{{ name }} {{ order.total }} {{ order['id'] }} {{ order }} {% for item in items %}{{ item.price }}{% endfor %}"
        "{{ note | default('none') }} {% if voucher is defined %}{{ voucher }}{% endif %} {% set a = 1 %}{{ a }}"
    )
    found = variables_of(source)
    assert found.required == ("items", "name", "order.id", "order.total")
    assert found.optional == ("note", "voucher")
    assert found.missing({"name": 1, "order": {"id": 2}}) == ("items", "order.total")
    assert found.missing("not even an object") == found.required


def looked(channel: str = "email", body: str = "x", content_type: str = "text/plain", **data: Any) -> Any:
    return preview(channel=channel, subject="s", body=body, content_type=content_type, data=data)


def test_a_preview_names_the_line() -> None:
    (found,) = looked(body="a\nb {{ nobody }}").findings
    assert (found.field, found.line, found.serious) == ("body", 2, True)
    (found,) = looked(body="{{ x\n").findings
    assert found.line == 1


def test_html_is_escaped_and_shown_as_text_too() -> None:
    found = looked(body="<p>Hi {{ n }}</p>", content_type="text/html", n="<script>")
    assert found.body == "<p>Hi &lt;script&gt;</p>"
    assert "Hi <script>" in found.readable


def test_json_that_a_quotation_mark_would_break_is_told() -> None:
    (found,) = preview(
        channel="http", subject="", body='{"a": "{{ n }}"}', content_type="application/json", data={"n": "x"}
    ).findings
    assert not found.serious
    assert "tojson" in found.text
    safe = preview(
        channel="http", subject="", body='{"a": {{ n|tojson }}}', content_type="application/json", data={"n": "x"}
    )
    assert safe.findings == ()


@pytest.mark.parametrize(
    "body",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% for a in range(10) %}{% endfor %}",
        "{% for a in x %}{% for b in x %}{% for c in x %}.{% endfor %}{% endfor %}{% endfor %}",
        "{% for a in x %}{% for b in x %}{{ x }}{% endfor %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9 ** 999999 }}",
        "{% include '/etc/passwd' %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ (" * 400 + "1" + ") }}" * 400,
    ],
)
def test_hostile_templates_are_refused_quickly(body: str) -> None:
    start = time.monotonic()
    found = preview(channel="email", subject="", body=body, content_type="text/plain", data={"x": list(range(10_000))})
    assert any(finding.serious for finding in found.findings)
    assert time.monotonic() - start < 5


# --- reading ------------------------------------------------------------------------------------
def test_the_list_groups_by_name_and_counts_lately() -> None:
    mail()
    write(description="one-time passwords")
    write(language="id")
    write("invoice", "slack")
    sent("otp")
    sent("otp:id")
    page = selectors.list_templates()
    assert [(found.name, len(found.lines), found.lately) for found in page.items] == [("invoice", 1, 0), ("otp", 2, 2)]
    assert [found.name for found in selectors.list_templates(query="PASSWORDS").items] == ["otp"]
    assert [found.name for found in selectors.list_templates(channel="slack").items] == ["invoice"]
    assert [found.name for found in selectors.list_templates(language="ID").items] == ["otp"]
    first = selectors.list_templates(limit=1)
    assert (first.next_cursor, selectors.list_templates(cursor="invoice").items[0].name) == ("invoice", "otp")
    assert selectors.list_templates(archived=True).items == []


def test_usage_says_which_messages_took_which_version() -> None:
    mail()
    one = write()
    sent("otp")
    two = write()
    last = [sent("otp"), sent("otp")][-1]
    usage = selectors.usage_of([one.pk, two.pk, 999])
    assert {number: found.messages for number, found in usage.items()} == {one.pk: 1, two.pk: 2}
    assert usage[two.pk].newest == last.pk
    assert usage[two.pk].newest_at == last.created_at
    assert len(list_messages(MessageFilters(template_id=two.pk)).items) == 2
    assert len(list_messages(MessageFilters(template="otp")).items) == 3
    assert MessageFilters(template="otp").answered_by_index


def test_counting_reads_an_index_and_not_the_table() -> None:
    mail()
    saved = write()
    sent("otp")
    statement = selectors.TAKEN.format(values="SELECT CAST(%s AS bigint) AS value")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", [10, saved.pk])
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", [10, saved.pk])
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert "outbox_template_version" in plan
    assert "Seq Scan on notification_outbox" not in plan
    assert "SCAN m" not in plan


# --- the command --------------------------------------------------------------------------------
def run(*args: str) -> Any:
    out = io.StringIO()
    call_command("template", *args, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command_writes_shows_and_goes_back(tmp_path: Any) -> None:
    body = tmp_path / "otp.txt"
    for text in ("one {{ code }}", "two {{ code }}"):
        body.write_text(text)
        run("put", "otp", "--channel", "email", "--file", str(body), "--sample", '{"code": "1"}')
    assert run("show", "otp")["version"] == 2
    assert run("activate", "otp", "1", "--reason", "a wrong word")["active"] is True
    shown = run("show", "otp", "--channel", "email")
    assert (shown["version"], shown["body"], shown["required_variables"]) == (1, "one {{ code }}", ["code"])
    (listed,) = run("list")["templates"]
    assert listed["lines"][0]["active_version"] == 1
    with pytest.raises(CommandError, match="no template named"):
        run("show", "nothing")
    with pytest.raises(CommandError, match="not JSON"):
        run("put", "otp", "--channel", "email", "--file", str(body), "--sample", "{")
    with pytest.raises(CommandError, match="channel"):
        run("put", "otp", "--file", str(body))

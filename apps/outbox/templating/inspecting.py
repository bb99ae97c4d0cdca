"""What can be known about the text of a template before a message takes it. Pure: no database, no network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from jinja2 import meta, nodes

from apps.channels.kinds.email.html import plain_text
from apps.outbox.rendering import RenderingFailed, parse, render, render_line

TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"
# The kinds of body a channel can make sense of; http sends whatever it is given.
CONTENT_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "http": (JSON, TEXT, HTML),
    "email": (TEXT, HTML),
    "whatsapp": (TEXT, JSON),
    "slack": (TEXT, JSON),
    "telegram": (TEXT, JSON),
    "pagerduty": (TEXT, JSON),
    "plane": (TEXT, JSON),
}
HAS_SUBJECT: Final = frozenset({"", "email", "whatsapp", "slack", "telegram", "pagerduty", "plane"})
# Where the destination refuses a longer text, in characters.
LONGEST: Final = {"whatsapp": 4096, "telegram": 4096, "slack": 40_000}
LONGEST_SUBJECT: Final = {"email": 998, "pagerduty": 1024, "plane": 255}
SLACK_BLOCKS: Final = 50
# Put into every text of the sample data: JSON that breaks with it has a variable without |tojson.
BREAKS_JSON: Final = '"\\'


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in which field, on which line. A ``serious`` one keeps a version from being used, ``syntax``
    even from being kept.
    """

    field: str
    text: str
    line: int | None = None
    serious: bool = True
    syntax: bool = False


@dataclass(frozen=True, slots=True)
class Variables:
    """What a template reads from body_data, as dotted paths. The optional ones have a default or are asked for."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def missing(self, data: Any) -> tuple[str, ...]:
        return tuple(path for path in self.required if not _holds(data, path.split(".")))


@dataclass(frozen=True, slots=True)
class Preview:
    """A template rendered with its sample data; None for what cannot be rendered.

    ``readable`` is an HTML body as the lines of text an e-mail carries beside it.
    """

    subject: str | None
    body: str | None
    readable: str
    variables: Variables
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def serious(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.serious)


# --- variables ----------------------------------------------------------------------------------
def variables_of(*sources: str) -> Variables:
    """The variables of some texts together; raises :class:`RenderingFailed` for a text that is no template."""
    required: set[str] = set()
    defaulted: set[str] = set()
    tested: set[str] = set()
    kinds = {"": required, "default": defaulted, "test": tested}
    for source in sources:
        tree = parse(source)
        undeclared = meta.find_undeclared_variables(tree)
        for path, kind in _paths(tree, ""):
            if path.partition(".")[0] in undeclared:
                kinds[kind].add(path)
    # Who asks whether it is there reads it only then; a default serves only where it stands.
    required -= tested
    optional = (defaulted | tested) - required
    return Variables(tuple(sorted(_longest(required))), tuple(sorted(_longest(optional))))


def _paths(node: nodes.Node, kind: str) -> Iterator[tuple[str, str]]:
    """Every variable that is read, whole paths only: plainly (""), with a "default", or in a "test" for being there."""
    path = _path(node)
    if path is not None:
        yield path, kind
        return
    if isinstance(node, nodes.Filter) and node.name in ("default", "d"):
        kind = "default"
    elif isinstance(node, nodes.Test) and node.name in ("defined", "undefined"):
        kind = "test"
    for child in node.iter_child_nodes():
        yield from _paths(child, kind)


def _path(node: nodes.Node) -> str | None:
    if isinstance(node, nodes.Name):
        return node.name if node.ctx == "load" else None
    if isinstance(node, nodes.Getattr):
        head = _path(node.node)
        return None if head is None else f"{head}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        head = _path(node.node)
        return None if head is None or "." in node.arg.value else f"{head}.{node.arg.value}"
    return None


def _longest(paths: set[str]) -> set[str]:
    """``order`` says nothing that ``order.total`` does not."""
    return {path for path in paths if not any(other.startswith(f"{path}.") for other in paths)}


def _holds(data: Any, steps: list[str]) -> bool:
    for step in steps:
        if not isinstance(data, Mapping) or step not in data:
            return False
        data = data[step]
    return True


# --- checks -------------------------------------------------------------------------------------
def preview(*, channel: str, subject: str, body: str, content_type: str, data: Any) -> Preview:
    """Render with ``data`` and find out what would go wrong with it on this channel."""
    findings: list[Finding] = []
    variables = _variables(subject, body, findings)
    missing = variables.missing(data)
    shown_subject = shown_body = None
    if not findings:
        shown_subject = _rendered("subject", subject, data, findings)
        shown_body = _rendered("body", body, data, findings, html="html" in content_type)
    findings += _about_subject(channel, subject, shown_subject)
    if not body.strip():
        findings.append(Finding("body", _("The body is empty.")))
    if shown_body is not None:
        findings += _about_body(channel, content_type, shown_body)
        findings += _about_quoting(body, content_type, shown_body, data)
    readable = plain_text(shown_body) if shown_body is not None and "html" in content_type else ""
    return Preview(shown_subject, shown_body, readable, variables, missing, tuple(findings))


def _variables(subject: str, body: str, findings: list[Finding]) -> Variables:
    for field, source in (("subject", subject), ("body", body)):
        try:
            parse(source)
        except RenderingFailed as error:
            findings.append(Finding(field, str(error), error.line, syntax=True))
    return Variables() if findings else variables_of(subject, body)


def _rendered(field: str, source: str, data: Any, findings: list[Finding], *, html: bool = False) -> str | None:
    try:
        return render_line(source, data) if field == "subject" else render(source, data, html=html)
    except RenderingFailed as error:
        findings.append(Finding(field, str(error), error.line))
        return None


def _about_subject(channel: str, source: str, shown: str | None) -> Iterator[Finding]:
    if source and channel not in HAS_SUBJECT:
        yield Finding("subject", _("This channel has no subject: leave it empty."))
    if "\n" in source.strip() or "\r" in source.strip():
        yield Finding("subject", _("A subject is one line: take the line break out."))
    most = LONGEST_SUBJECT.get(channel)
    if shown and most and len(shown) > most:
        yield Finding("subject", _("The subject is longer than {most} characters.").format(most=most))
    if channel == "email" and not source.strip():
        yield Finding("subject", _("The e-mail has no subject unless the message brings one."), serious=False)


def _about_body(channel: str, content_type: str, shown: str) -> Iterator[Finding]:
    if not shown.strip():
        yield Finding("body", _("With this sample data the body is empty."))
        return
    if "json" in content_type:
        yield from _about_json(channel, shown)
        return
    most = LONGEST.get(channel)
    if most and len(shown) > most:
        text = ngettext(
            "{count} character; the channel takes {most} at most.",
            "{count} characters; the channel takes {most} at most.",
            len(shown),
        )
        yield Finding("body", text.format(count=len(shown), most=most))


def _about_json(channel: str, shown: str) -> Iterator[Finding]:
    try:
        value = json.loads(shown)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        said = getattr(error, "msg", "") or str(error)
        text = _("The result is not JSON: {said}, in line {line} of it.") if line else _("The result is not JSON.")
        yield Finding("body", text.format(said=said, line=line))
        return
    if channel != "http" and not isinstance(value, dict | str):
        yield Finding("body", _("The result must be a JSON object with the fields of this API, or a text."))
    elif channel == "slack" and isinstance(value, dict):
        yield from _about_slack(value)
    elif channel == "whatsapp" and isinstance(value, dict) and not {"template", "text", "type"} & value.keys():
        yield Finding(
            "body", _("The JSON must hold `template`, `text`, or `type` and what the Cloud API wants for it.")
        )


def _about_slack(value: Mapping[str, Any]) -> Iterator[Finding]:
    blocks = value.get("blocks")
    if "text" not in value and "blocks" not in value and "attachments" not in value:
        yield Finding("body", _("Slack needs text, blocks or attachments."))
    if blocks is None:
        return
    if not isinstance(blocks, list) or not all(isinstance(block, dict) and "type" in block for block in blocks):
        yield Finding("body", _("blocks must be a list of objects that have a type."))
    elif len(blocks) > SLACK_BLOCKS:
        yield Finding("body", _("Slack takes {most} blocks at most.").format(most=SLACK_BLOCKS))
    if not value.get("text"):
        yield Finding("body", _("Without text, notifications of these blocks say nothing."), serious=False)


def _about_quoting(body: str, content_type: str, shown: str, data: Any) -> Iterator[Finding]:
    """A name with a quotation mark must not break the JSON it is put into."""
    if "json" not in content_type or not _is_json(shown):
        return
    try:
        hostile = render(body, _hostile(data))
    except RenderingFailed:
        return
    if not _is_json(hostile):
        text = _("A quotation mark in the data would break this JSON: write {{ name|tojson }} and no quotes around it.")
        yield Finding("body", text, serious=False)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _hostile(value: Any) -> Any:
    if isinstance(value, str):
        return value + BREAKS_JSON
    if isinstance(value, Mapping):
        return {name: _hostile(inner) for name, inner in value.items()}
    return [_hostile(inner) for inner in value] if isinstance(value, list) else value

"""Writing templates: a new version, which one is used, archiving a line, a test to oneself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from apps.audit.services import record
from apps.channels.registry import kind_of
from apps.core.actor import MESSAGES_WRITE, TEMPLATES_EDIT, Actor, require
from apps.core.clock import now
from apps.core.errors import Conflict, Invalid, NotFound
from apps.outbox.acceptance import Checked, NewMessage, Problems, check
from apps.outbox.insert import insert
from apps.outbox.models import MessageTemplate
from apps.outbox.nudge import nudge
from apps.outbox.rendering import MAX_TEMPLATE_CHARS
from apps.outbox.services import channel_of
from apps.outbox.templating.choosing import Chosen, Stored
from apps.outbox.templating.inspecting import CONTENT_TYPES, Finding, preview
from apps.outbox.templating.tags import DEFAULT_LANGUAGE, NAME, is_tag, normal_tag

log = structlog.get_logger(__name__)

MAX_SAMPLE_CHARS: Final = 65_536
MAX_WORDS: Final = 2000
# Words that are pages.
TAKEN: Final = ("new", "preview")
TEST: Final = "test"
TEST_SOURCE: Final = "template-test"
TEST_LIVES: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LineId:
    """A line of versions. An empty channel is one of every channel."""

    name: str
    channel: str
    language: str

    def __str__(self) -> str:
        return f"{self.name} ({self.channel or _('any channel')}, {self.language})"

    def versions(self) -> QuerySet[MessageTemplate]:
        return MessageTemplate.objects.filter(name=self.name, channel=self.channel, language=self.language)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """The text of a version. An empty content type is the first its channel has."""

    body: str
    subject: str = ""
    content_type: str = ""
    description: str = ""
    sample_data: Mapping[str, Any] | None = None


def line_id(name: str, channel: str, language: str = "") -> LineId:
    """The line that is meant; raises :class:`Invalid` for what cannot name one."""
    problems = Problems()
    if not NAME.fullmatch(name) or name in TAKEN:
        words = _("must be 1 to 100 letters, digits, dots, hyphens and underscores, such as order-paid")
        problems.add("name", _("is the name of a page: choose another") if name in TAKEN else words)
    if channel:
        try:
            kind_of(channel)
        except Invalid as error:
            problems.add("channel", error.message.removeprefix("channel: "))
    tag = language or DEFAULT_LANGUAGE
    if not is_tag(tag):
        problems.add("language", _("must be a language tag such as en, id or pt-BR"))
    problems.stop_if_any()
    return LineId(name, channel, normal_tag(tag))


@transaction.atomic
def save_version(
    *,
    line: LineId,
    version: NewVersion,
    actor: Actor,
    reason: str = "",
    draft: bool = False,
    seen_version: int | None = None,
) -> MessageTemplate:
    """Write the next version of a line, and use it from now on unless it is a draft.

    Raises :class:`Invalid` naming each field, also for what cannot be rendered with its sample data (a draft only
    has to be a template); :class:`Conflict` for an archived line, or when ``seen_version`` is not the newest.
    """
    require(actor, TEMPLATES_EDIT)
    newest = line.versions().order_by("-version").first()
    _check_line(line, newest, seen_version)
    fields = _fields(line, version)
    _check_text(line, fields, draft)
    number = newest.version + 1 if newest else 1
    saved = _insert(line, number, fields, actor, draft)
    record(
        actor=actor,
        action="template.drafted" if draft else "template.written",
        target=f"template {line.name}",
        before=_facts(line, newest.version) if newest else None,
        after=_facts(line, number),
        reason=reason,
    )
    log.info(
        "template.written",
        template=line.name,
        channel=line.channel,
        language=line.language,
        version=number,
        draft=draft,
        actor=str(actor),
    )
    return saved


def _check_line(line: LineId, newest: MessageTemplate | None, seen_version: int | None) -> None:
    if newest is None and not line.channel:
        raise Invalid.field("channel", _("is required: a template belongs to one channel"))
    if newest is not None and newest.archived_at is not None:
        raise Conflict(_("The template {line} is archived. Restore it first.").format(line=line))
    standing = newest.version if newest else 0
    if seen_version is not None and seen_version != standing:
        text = _(
            "Version {version} of {line} was written meanwhile by {who}. Look at it, then save yours on top of it."
        )
        who = newest.created_by if newest else ""
        raise Conflict(
            text.format(version=standing, line=line, who=who or "?"),
            detail={"newest": standing},
        )


def _fields(line: LineId, version: NewVersion) -> dict[str, Any]:
    return {
        "subject": version.subject.strip(),
        "body": version.body.replace("\r\n", "\n"),
        "content_type": version.content_type or CONTENT_TYPES.get(line.channel, CONTENT_TYPES["email"])[0],
        "description": version.description.strip(),
        "sample_data": dict(version.sample_data or {}),
    }


def _check_text(line: LineId, fields: Mapping[str, Any], draft: bool) -> None:
    problems = Problems()
    for name, most in (("body", MAX_TEMPLATE_CHARS), ("subject", MAX_WORDS), ("description", MAX_WORDS)):
        if "\x00" in fields[name] or len(fields[name]) > most:
            problems.add(name, _("is longer than {most} characters or holds a NUL character").format(most=most))
    _check_content_type(line.channel, fields["content_type"], problems)
    sample = _as_json(fields["sample_data"])
    if sample is None or len(sample) > MAX_SAMPLE_CHARS:
        words = _("must be a JSON object of up to {most} characters")
        problems.add("sample_data", words.format(most=MAX_SAMPLE_CHARS))
    problems.stop_if_any()
    for finding in _serious(line.channel, fields):
        if finding.syntax or not draft:
            problems.add(finding.field, _said(finding))
    problems.stop_if_any()


def _serious(channel: str, fields: Mapping[str, Any]) -> tuple[Finding, ...]:
    return preview(
        channel=channel,
        subject=fields["subject"],
        body=fields["body"],
        content_type=fields["content_type"],
        data=fields["sample_data"],
    ).serious


def _said(finding: Finding) -> str:
    """The place once, whoever named it."""
    place = f"line {finding.line}: "
    return finding.text if finding.line is None or finding.text.startswith(place) else place + finding.text


def _check_content_type(channel: str, content_type: str, problems: Problems) -> None:
    known = CONTENT_TYPES.get(channel)
    if len(content_type) > 100 or not content_type.isprintable():
        problems.add("content_type", _("must be one line of up to 100 characters"))
    elif (
        known and channel != "http" and content_type.partition(";")[0] not in [kind.partition(";")[0] for kind in known]
    ):
        words = _("must be one of {known} for {channel}")
        problems.add("content_type", words.format(known=", ".join(known), channel=channel))


def _as_json(value: Any) -> str | None:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return None
    return None if "\\u0000" in text else text


def _insert(line: LineId, number: int, fields: Mapping[str, Any], actor: Actor, draft: bool) -> MessageTemplate:
    try:
        with transaction.atomic():
            if not draft:
                line.versions().filter(active=True).update(active=False)
            return MessageTemplate.objects.create(
                name=line.name,
                channel=line.channel,
                language=line.language,
                version=number,
                active=not draft,
                draft=draft,
                created_by=str(actor)[:200],
                **fields,
            )
    except IntegrityError as error:
        raise Conflict(
            _("Version {version} of {line} is being written by somebody else. Look at it first.").format(
                version=number, line=line
            )
        ) from error


def _facts(line: LineId, version: int | None) -> dict[str, Any]:
    return {"channel": line.channel, "language": line.language, "version": version}


@transaction.atomic
def activate(
    *, line: LineId, version: int, actor: Actor, reason: str, seen_active: int | None = None
) -> MessageTemplate:
    """Use ``version`` for messages accepted from now on; those accepted before keep theirs.

    A draft must hold with its sample data. Going back to a version that was in use is never refused for its text.
    Raises :class:`Invalid`, :class:`NotFound`, and :class:`Conflict` when it is active already, the line is archived,
    or another than ``seen_active`` is in use.
    """
    require(actor, TEMPLATES_EDIT)
    _check_reason(reason)
    rows = {row.version: row for row in line.versions().select_for_update().defer("body")}
    wanted = rows.get(version)
    if wanted is None:
        raise NotFound(_("The template {line} has no version {version}.").format(line=line, version=version))
    using = in_use(list(rows.values()))
    if wanted.archived_at is not None:
        raise Conflict(_("The template {line} is archived. Restore it first.").format(line=line))
    if seen_active is not None and seen_active != (using.version if using else 0):
        text = _("Version {version} of {line} is in use meanwhile. Look at it, then decide again.")
        raise Conflict(text.format(version=using.version if using else 0, line=line))
    if using == wanted and wanted.active:
        raise Conflict(_("Version {version} of {line} is in use already.").format(version=version, line=line))
    if wanted.draft:
        _check_text(line, {name: getattr(wanted, name) for name in TEXT_FIELDS}, draft=False)
    line.versions().filter(active=True).update(active=False)
    wanted.active, wanted.draft = True, False
    wanted.save(update_fields=["active", "draft"])
    record(
        actor=actor,
        action="template.activated",
        target=f"template {line.name}",
        before=_facts(line, using.version if using else None),
        after=_facts(line, version),
        reason=reason,
    )
    log.info(
        "template.activated",
        template=line.name,
        channel=line.channel,
        language=line.language,
        version=version,
        actor=str(actor),
    )
    return wanted


TEXT_FIELDS: Final = ("subject", "body", "content_type", "description", "sample_data")


def in_use(versions: list[MessageTemplate]) -> MessageTemplate | None:
    """The active one of a line, else the newest that is no draft."""
    usable = [row for row in versions if row.active or not row.draft]
    return max(usable, key=lambda row: (row.active, row.version), default=None)


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise Invalid.field("reason", _("is required: it goes into the audit trail"))


def archive(*, line: LineId, actor: Actor, reason: str) -> None:
    """Take a line out of use. New messages that ask for it are refused; what was accepted is still sent."""
    _move(line, actor, reason, "template.archived", archived=True)


def restore(*, line: LineId, actor: Actor, reason: str) -> None:
    """Put an archived line back into use, with the version it had."""
    _move(line, actor, reason, "template.restored", archived=False)


@transaction.atomic
def _move(line: LineId, actor: Actor, reason: str, action: str, *, archived: bool) -> None:
    require(actor, TEMPLATES_EDIT)
    _check_reason(reason)
    rows = line.versions()
    if not rows.exists():
        raise NotFound(_("There is no template {line}.").format(line=line))
    changed = rows.filter(archived_at__isnull=archived).update(archived_at=Now() if archived else None)
    if not changed:
        text = _("The template {line} is archived already.") if archived else _("The template {line} is not archived.")
        raise Conflict(text.format(line=line))
    record(
        actor=actor,
        action=action,
        target=f"template {line.name}",
        before=_facts(line, None) | {"archived": not archived},
        after=_facts(line, None) | {"archived": archived},
        reason=reason,
    )
    log.info(action, template=line.name, channel=line.channel, language=line.language, actor=str(actor))


@transaction.atomic
def send_test(*, template_id: int, service: str, recipient: str, actor: Actor) -> int:
    """Send one version with its sample data through the outbox, marked as a test; returns the message's id.

    It goes out as the tenant ``test`` from the source ``template-test``, and expires after an hour: a test that
    arrives tomorrow tells nobody anything. Raises :class:`Invalid`, :class:`NotFound`.
    """
    require(actor, TEMPLATES_EDIT)
    require(actor, MESSAGES_WRITE)
    row = MessageTemplate.objects.filter(pk=template_id).first()
    if row is None:
        raise NotFound(_("This version of the template is not there."))
    channel = channel_of(service)
    if row.channel and row.channel != channel:
        text = _("is reached by {channel}; this template is for {own}")
        raise Invalid.field("service", text.format(channel=channel, own=row.channel))
    message_id = insert([_test_message(row, service, recipient, channel)])[0]
    nudge()
    line = LineId(row.name, row.channel, row.language)
    record(
        actor=actor,
        action="template.tested",
        target=f"template {row.name}",
        # The recipient is personal and stands in the message.
        after=_facts(line, row.version) | {"message": message_id, "service": service},
    )
    return message_id


def _test_message(row: MessageTemplate, service: str, recipient: str, channel: str) -> Checked:
    text = Stored(row.subject, row.body, row.content_type)
    message = NewMessage(
        service=service,
        recipient=recipient,
        template=row.name,
        body_data=row.sample_data,
        tenant_id=TEST,
        source=TEST_SOURCE,
        expires_at=now() + TEST_LIVES,
    )
    chosen = Chosen(row.pk, row.name, row.channel, row.language, row.version, text)
    return check(message, channel, chosen=chosen)

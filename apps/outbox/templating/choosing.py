"""Which version of a named template a message takes.

Accepting chooses and freezes the row (``template_id``). A row that another program wrote with plain SQL carries
the name only; for it delivering chooses, and there an archived template still serves: what waits is not lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.outbox.models import Message, MessageTemplate
from apps.outbox.templating.tags import fall_backs, language_of, split_reference
from apps.services.models import Service

if TYPE_CHECKING:
    from apps.outbox.delivery.claim import Claimed


class TemplateKey(NamedTuple):
    """What a message says about its template: the frozen row, or else name, version and language."""

    template_id: int | None
    name: str = ""
    version: int | None = None
    language: str = ""


class Stored(NamedTuple):
    """The text of one version."""

    subject: str
    body: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The version a message takes, and its text."""

    id: int
    name: str
    channel: str
    language: str
    version: int
    text: Stored


class NoTemplate(Exception):
    """No version can be chosen; the text says why, and what there is."""


class _Row(NamedTuple):
    id: int
    name: str
    channel: str
    language: str
    version: int
    active: bool
    draft: bool
    archived: bool


def choose(reference: str, *, channel: str, data: Any) -> Chosen:
    """The version that a message to ``channel`` takes now; raises :class:`NoTemplate`."""
    language = language_of(reference, data)
    rows = _rows(reference, channel)
    usable = [row for row in rows if not row.archived and (row.active or not row.draft)]
    found = _best(usable, reference, language, (channel, ""))
    if found is None:
        raise NoTemplate(_why_not(reference, channel, language, rows))
    version = MessageTemplate.objects.get(pk=found.id)
    text = Stored(version.subject, version.body, version.content_type)
    return Chosen(found.id, found.name, found.channel, found.language, found.version, text)


def _rows(reference: str, channel: str) -> list[_Row]:
    names = {reference, split_reference(reference)[0]}
    fields = ("pk", "name", "channel", "language", "version", "active", "draft", "archived_at")
    found = MessageTemplate.objects.filter(name__in=names, channel__in=(channel, "")).values_list(*fields)
    return [
        _Row(pk, name, of, tag, n, active, draft, at is not None) for pk, name, of, tag, n, active, draft, at in found
    ]


def _best(rows: Sequence[_Row], reference: str, language: str, channels: Sequence[str]) -> _Row | None:
    """A name that has the colon in it wins over a language; the channel's own over one of every channel."""
    for name in dict.fromkeys((reference, split_reference(reference)[0])):
        for channel in channels:
            line = [row for row in rows if (row.name, row.channel) == (name, channel)]
            for tag in fall_backs(language):
                same = [row for row in line if row.language.lower() == tag.lower()]
                if same:
                    return max(same, key=lambda row: (row.active, row.version))
    return None if language else _only_language(rows)


def _only_language(rows: Sequence[_Row]) -> _Row | None:
    """Nobody asked for a language and there is just one: it is meant."""
    lines = {(row.name, row.channel, row.language) for row in rows}
    return max(rows, key=lambda row: (row.active, row.version)) if len(lines) == 1 else None


def _why_not(reference: str, channel: str, language: str, rows: Sequence[_Row]) -> str:
    name = split_reference(reference)[0] if language else reference
    live = sorted({row.language for row in rows if not row.archived and (row.active or not row.draft)})
    if live:
        text = _("{name} for {channel} is not written. It is there in: {live}. Ask for one as {example}")
        if language:
            text = _(
                "{name} for {channel} is not written in {language}. It is there in: {live}. Ask for one as {example}"
            )
        example = f"{name}:{live[0]}"
        return text.format(name=repr(name), channel=channel, language=language, live=", ".join(live), example=example)
    if rows and all(row.archived for row in rows):
        text = _("the template {name} for {channel} is archived: restore it, or name another")
        return text.format(name=repr(name), channel=channel)
    if rows:
        text = _("the template {name} for {channel} has drafts only: activate a version first")
        return text.format(name=repr(name), channel=channel)
    others = MessageTemplate.objects.filter(name=name).exclude(channel="").values_list("channel", flat=True)
    if others:
        text = _("the template {name} is written for {others}, not for {channel}")
        return text.format(name=repr(name), others=", ".join(sorted(set(others))), channel=channel)
    names = MessageTemplate.objects.filter(channel__in=(channel, ""), archived_at=None)
    known = ", ".join(names.order_by("name").values_list("name", flat=True).distinct()[:20])
    text = _("there is no template named {name}. For {channel} there are: {known}")
    return text.format(name=repr(reference), channel=channel, known=known or _("none yet"))


def reference_of(message: Message) -> str:
    """How another message asks for the same template in the same language."""
    if message.template_id is None:
        return message.template
    language = MessageTemplate.objects.filter(pk=message.template_id).values_list("language", flat=True).first()
    return f"{message.template}:{language}" if language else message.template


# --- at delivery --------------------------------------------------------------------------------
def key_of(row: Claimed) -> TemplateKey:
    """What a claimed message says about its template."""
    if row.template_id is not None:
        return TemplateKey(row.template_id)
    return TemplateKey(None, row.template, row.template_version, language_of(row.template, _parsed(row.body_data)))


def _parsed(text: str | None) -> Any:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}


def find_texts(keys: Iterable[TemplateKey], service: str) -> Mapping[TemplateKey, Stored]:
    """The texts of the templates that messages of one service take; what there is none of is left out."""
    wanted = set(keys)
    frozen = {key.template_id for key in wanted if key.template_id is not None}
    texts = _texts(Q(pk__in=frozen)) if frozen else {}
    found = {TemplateKey(number): text for number, text in texts.items()}
    loose = [key for key in wanted if key.template_id is None]
    if loose:
        channel = Service.objects.filter(pk=service).values_list("channel", flat=True).first() or ""
        for key in loose:
            row = _for_plain_sql(key, channel)
            if row is not None:
                found[key] = _texts(Q(pk=row.id))[row.id]
    return found


def _texts(which: Q) -> dict[int, Stored]:
    rows = MessageTemplate.objects.filter(which).values_list("pk", "subject", "body", "content_type")
    return {number: Stored(*text) for number, *text in rows}


def _for_plain_sql(key: TemplateKey, channel: str) -> _Row | None:
    rows = _rows(key.name, channel)
    if key.version is not None:
        # Pinned by hand, or accepted before templates had a channel: that one is meant first.
        return _best([row for row in rows if row.version == key.version], key.name, key.language, ("", channel))
    usable = [row for row in rows if row.active or not row.draft]
    return _best(usable, key.name, key.language, (channel, ""))

"""The routing as text: YAML a person edits, and where in it something is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import yaml
from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.alerts.routing import Routing, parsed
from apps.console.forms import MAX_REASON, text_input
from apps.console.selectors.dry_running import MOST_POSTS, Choice
from apps.core.errors import Invalid

MAX_CHARS: Final = 200_000
DEEPEST: Final = 12
Path = tuple[str | int, ...]
SPANS: Final = (
    ("", _("whenever they came")),
    ("1", _("of the last 24 hours")),
    ("7", _("of the last 7 days")),
    ("30", _("of the last 30 days")),
)
LASTS: Final = (("20", _("the last 20")), ("100", _("the last 100")), ("1000", _("the last 1,000")))


@dataclass(frozen=True, slots=True)
class Wrong:
    """``line`` of the text, counted from 1; None when it is not of one line."""

    line: int | None
    field: str
    message: str


class NotADocument(Exception):
    """The text is no YAML that is taken; ``wrong`` says where."""

    def __init__(self, wrong: list[Wrong]) -> None:
        super().__init__(wrong[0].message)
        self.wrong = wrong


ORDER: Final = (
    *("targets", "owners", "routes", "name", "match"),
    *("after", "notify", "unless", "steps", "tell_acknowledged", "tell_resolved"),
)


def as_text(document: Any) -> str:
    """The document as it is edited, in an order that no database changes."""
    return yaml.safe_dump(_ordered(document), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _ordered(value: Any) -> Any:
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if not isinstance(value, dict):
        return value
    keys = sorted(value, key=lambda key: (ORDER.index(key) if key in ORDER else -1, str(key)))
    return {key: _ordered(value[key]) for key in keys}


def read(text: str) -> tuple[Any, Routing]:
    """The document and what it means. Raises :class:`NotADocument` naming each line."""
    document, lines = _loaded(text)
    strangers = list(_unknown_targets(document, lines))
    if strangers:
        raise NotADocument(strangers)
    try:
        return document, parsed(document)
    except Invalid as error:
        problems = error.detail if isinstance(error.detail, list) else []
        raise NotADocument([_wrong(str(each["field"]), str(each["message"]), lines) for each in problems]) from None


def _unknown_targets(document: Any, lines: dict[Path, int]) -> Iterator[Wrong]:
    """Each where it stands; whatever else is wrong with the shape is left to the reader of the document."""
    targets = document.get("targets") if isinstance(document, dict) else None
    if not isinstance(targets, dict) or not targets:
        return
    known = ", ".join(sorted(map(str, targets)))
    for path, name in _named(document):
        if isinstance(name, str) and name not in targets:
            message = gettext("There is no target named {name}. Known: {known}.").format(name=name, known=known)
            yield Wrong(lines.get(path), ".".join(map(str, path)), message)


def _named(document: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Every place in which a target is named."""
    owners = document.get("owners")
    yield from ((("owners", str(owner)), name) for owner, name in owners.items()) if isinstance(owners, dict) else ()
    routes = document.get("routes")
    for r, route in enumerate(routes if isinstance(routes, list) else []):
        steps = route.get("steps") if isinstance(route, dict) else None
        for s, step in enumerate(steps if isinstance(steps, list) else []):
            names = step.get("notify") if isinstance(step, dict) else None
            for n, name in enumerate(names if isinstance(names, list) else []):
                yield ("routes", r, "steps", s, "notify", n), name


def _wrong(field: str, message: str, lines: dict[Path, int]) -> Wrong:
    """At the line of the field, or of the nearest thing around it that is there."""
    path: Path = tuple(int(part) if part.isdecimal() else part for part in field.split("."))
    while path and path not in lines:
        path = path[:-1]
    return Wrong(lines.get(path), field, message.removeprefix("Value error, "))


def _loaded(text: str) -> tuple[Any, dict[Path, int]]:
    if len(text) > MAX_CHARS:
        message = gettext("It has more than {most} characters.").format(most=MAX_CHARS)
        raise NotADocument([Wrong(None, "", message)])
    lines: dict[Path, int] = {}
    wrong: list[Wrong] = []
    loader = yaml.SafeLoader(text) if _is_plain(text) else None
    if loader is None:
        raise NotADocument([Wrong(None, "", gettext("It contains characters that cannot be kept."))])
    try:
        _no_aliases(text)
        node = loader.get_single_node()
        if node is not None:
            _note(node, (), lines, wrong)
        document = loader.construct_document(node) if node is not None and not wrong else None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NotADocument([_unreadable(error)]) from None
    finally:
        loader.dispose()
    if wrong:
        raise NotADocument(wrong)
    return document, lines


def _is_plain(text: str) -> bool:
    """YAML itself refuses control characters with an error of its own; halves of pairs no database keeps."""
    return "\x00" not in text and not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def _no_aliases(text: str) -> None:
    """A few lines of references to references would unfold to gigabytes."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark is not None else None
            raise NotADocument([Wrong(line, "", gettext("References (*name) are not taken: write it out."))])


def _note(node: yaml.Node, at: Path, lines: dict[Path, int], wrong: list[Wrong]) -> None:
    """The line of everything; a key given twice would silently win."""
    lines.setdefault(at, node.start_mark.line + 1)
    if len(at) > DEEPEST:
        wrong.append(Wrong(node.start_mark.line + 1, "", gettext("It is nested too deep.")))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _note(item, (*at, number), lines, wrong)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = (*at, str(key.value))
            if path in lines:
                message = gettext("{name} is given twice.").format(name=key.value)
                wrong.append(Wrong(key.start_mark.line + 1, ".".join(map(str, path)), message))
            lines[path] = key.start_mark.line + 1
            _note(value, path, lines, wrong)


def _unreadable(error: Exception) -> Wrong:
    mark = getattr(error, "problem_mark", None)
    reason = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).splitlines()[0]
    message = gettext("This is not YAML: {reason}").format(reason=reason)
    return Wrong(mark.line + 1 if mark is not None else None, "", message)


class RoutingForm(forms.Form):
    """The draft, what to try it with, and why."""

    document = forms.CharField(
        label=_("The routing (YAML)"),
        strip=False,
        max_length=MAX_CHARS,
        widget=forms.Textarea(attrs={"class": "code routing-text", "rows": 34, "spellcheck": "false", "wrap": "off"}),
    )
    source = forms.ChoiceField(label=_("From"), required=False)
    last = forms.ChoiceField(label=_("Posts"), choices=LASTS, required=False, initial="100")
    span = forms.ChoiceField(label=_("Time"), choices=SPANS, required=False, initial="7")
    reason = forms.CharField(
        label=_("Why"),
        max_length=MAX_REASON,
        required=False,
        widget=text_input(placeholder=_("For whoever reads this later")),
    )
    seen_version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def __init__(self, *args: Any, sources: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["source"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("all sources")), *((name, name) for name in sources)]
        self.wrong: Sequence[Wrong] = ()
        self.routing: Routing | None = None
        self.given: Any = None

    def clean_document(self) -> str:
        text = str(self.cleaned_data["document"]).replace("\r\n", "\n")
        try:
            self.given, self.routing = read(text)
        except NotADocument as error:
            self.wrong = error.wrong
            raise forms.ValidationError(
                gettext("It cannot be used as it is; each line that is wrong is named.")
            ) from None
        return text

    def choice(self, now: datetime) -> Choice:
        """What the dry run reads."""
        given = self.cleaned_data
        days = given.get("span")
        return Choice(
            last=int(given.get("last") or MOST_POSTS),
            source=given.get("source", ""),
            since=now - timedelta(days=int(days)) if days else None,
        )


class RestoreRoutingForm(forms.Form):
    reason = forms.CharField(
        label=_("Why"),
        max_length=MAX_REASON,
        widget=text_input(autofocus=True, placeholder=_("For whoever reads this later")),
        error_messages={"required": _("Say why: it goes into the audit trail.")},
    )
    seen_version = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

"""A made-up language: every text that can be translated comes back accented, ⟦Ŕéṗĺáý⟧. And what stands out then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from importlib import import_module
from typing import Any

import polib
import pytest
from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils.translation import trans_real

from apps.channels.registry import KINDS
from apps.core.masking import mask_addresses
from apps.core.templatetags.ui import without_numbers
from scripts.messages import PO

PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
FANCY = "áƀćďéƒǵĥíĵķĺḿńóṕɋŕśťúṽŵẋýźÁƁĆĎÉƑǴĤÍĴĶĹḾŃÓṔɊŔŚŤÚṼŴẊÝŹ"
ACCENTS = str.maketrans(PLAIN, FANCY)
KEPT = re.compile(r"(%\(\w+\)[a-z]|%[sd%]|\{\w*(?:![rsa])?(?::[^{}]*)?\}|<[^>]*>|&\w+;)")
# A pattern of Django's date format, not a text.
FORMATS = {"a day of this year and a time"}


def accented(text: str) -> str:
    """``⟦Ŕéṗĺáý {count}⟧``: readable, and nothing but placeholders and tags is plain."""
    parts = KEPT.split(text)
    return "⟦" + "".join(part if number % 2 else part.translate(ACCENTS) for number, part in enumerate(parts)) + "⟧"


class Pseudo:
    """Stands in for Django's catalogue of a language. What no catalogue knows comes back plain."""

    def __init__(self, real: Any) -> None:
        self.real = real
        po = polib.pofile(str(PO))
        self.known = {(entry.msgctxt or "", entry.msgid) for entry in po}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def _knows(self, context: str, text: str) -> bool:
        whole = f"{context}\x04{text}" if context else text
        return (context, text) in self.known or self.real._catalog.get(whole) is not None

    def gettext(self, message: str) -> str:
        context, _, text = message.rpartition("\x04")
        if context in FORMATS:
            return text
        return accented(text) if self._knows(context, text) else message

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        context, _, text = singular.rpartition("\x04")
        known = self._knows(context, text) or self.real._catalog.get((singular, 0)) is not None
        shown = text if number == 1 else plural
        return accented(shown) if known else shown


@contextmanager
def pseudo_language(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # As in production: modules are imported in English, so that a text which is translated too early is noticed.
    import_module(settings.ROOT_URLCONF)
    real = trans_real.translation("id")
    monkeypatch.setitem(trans_real._translations, "id", Pseudo(real))
    yield
    trans_real._translations["id"] = real


# --- what a person sees of a page ---------------------------------------------------------------

ATTRIBUTES = ("title", "aria-label", "placeholder", "alt", "data-label", "aria-roledescription", "aria-description")
# What a message says, how a template was changed, initials, what people wrote of an incident: data all through.
NO_WORDS = {"mono", "avatar", "body-text", "diff", "markdown"}
# What the page of components shows is made up.
EXAMPLE = "example-shown"
# Code is the same in every language.
CODE = {"datalist", "code", "pre", "kbd", "script", "style", "textarea", "samp"}
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Seen(HTMLParser):
    """Collects texts and attributes a person sees or hears. Elements of code and class ``mono`` hold no words."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[tuple[str, bool, bool]] = []
        self.line = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if not self.in_example():
            self.texts += [named[name] for name in ATTRIBUTES if named.get(name)]
        if tag == "input" and named.get("type") in ("submit", "button"):
            self.texts.append(named.get("value", ""))
        if "data-words" in named and tag == "body":
            self.texts += json.loads(named["data-words"]).values()
        if tag not in VOID:
            classes = {*named.get("class", "").split()}
            self.open.append((tag, tag in CODE or bool(NO_WORDS & classes), EXAMPLE in classes))

    def in_example(self) -> bool:
        return any(example for _, _, example in self.open)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        while self.open:
            if self.open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if data.strip() and not self.in_example() and not any(code for _, code, _ in self.open):
            self.texts.append(" ".join(data.split()))


def seen(page: str) -> list[str]:
    parser = Seen()
    parser.feed(page)
    return parser.texts


# --- what may be plain: data --------------------------------------------------------------------

WORD = re.compile(r"[A-Za-z]{2,}")
# A token with a digit, an address or a machine's punctuation in it is data: ids, URLs, file names, settings.
MACHINE = re.compile(r"^[a-z_.]+: (?=⟦)|\{\w*\}|\S*[\d@•/_=\\$#][\S]*|\S+\.\S+|\S+:\S+|[A-Za-z]+(?:-[A-Za-z]+)+")
# Names that are the same in every language.
NAMES = frozenset(
    """opsportal English Bahasa Indonesia UTC WIB HTTP HTTPS API JSON YAML SMTP URL Slack Telegram WhatsApp PagerDuty
    Alertmanager vmalert Plane kB MB
    curl payload json Ctrl Esc Enter Tab Shift Alt OpenAPI TOTP OIDC ID CSV TLS DNS""".split()  # noqa: SIM905  reads better
)
Phrase = tuple[str, ...]


def words(text: str) -> Phrase:
    # A sentence that ends with data, ⟦… of {what}.⟧, ends with no token of a machine.
    return tuple(WORD.findall(MACHINE.sub(" ", text.replace("⟧", " ⟧"))))


class Data:
    """Phrases that are data: what the rows of the database say, where a field is not one of our own choices."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self.by_first: dict[str, list[Phrase]] = {}
        for text in {*stored(), *KINDS, *more}:
            for variant in (text, mask_addresses(text), without_numbers(mask_addresses(text))):
                self._add(words(variant))

    def _add(self, phrase: Phrase) -> None:
        if phrase and phrase not in self.by_first.setdefault(phrase[0], []):
            self.by_first[phrase[0]].append(phrase)

    def plain(self, text: str) -> Phrase:
        """The words of ``text`` that are neither accented nor data nor names."""
        left, at = words(text), 0
        found: list[str] = []
        while at < len(left):
            took = self._longest(left[at:])
            if not took and left[at] not in NAMES:
                found.append(left[at])
            at += took or 1
        return tuple(found)

    def _longest(self, left: Phrase) -> int:
        return max(
            (len(phrase) for phrase in self.by_first.get(left[0], ()) if left[: len(phrase)] == phrase), default=0
        )


def stored() -> Iterator[str]:
    """Every text of every row, the leaves of JSON too; not those that are one of our own choices."""
    for model in apps.get_models():
        if model.__module__.startswith("apps."):
            names = [field.name for field in model._meta.concrete_fields if _is_data(field)]
            for row in model.objects.values_list(*names) if names else ():
                for value in row:
                    yield from _leaves(value)


def _is_data(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.CharField | models.TextField | models.JSONField) and not field.choices


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)

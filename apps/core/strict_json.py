"""JSON from outside: only what can be stored, sent on and read back unchanged."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from django.utils.translation import gettext as _

from apps.core.errors import Invalid, PortalError

MAX_DEPTH: Final = 100


class BadJson(PortalError):
    """The body is no JSON at all."""

    code = "bad_json"
    status = 400


def parse(raw: bytes) -> Any:
    """The value of a JSON text.

    Raises :class:`BadJson` for what is not JSON (NaN and Infinity are not), and :class:`Invalid` naming
    the field for a NUL character, half a surrogate pair, or nesting beyond 100 levels.
    """
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise BadJson(_("The body is not UTF-8: byte {number} cannot be read.").format(number=error.start)) from None
    except json.JSONDecodeError as error:
        text = _("The body is not JSON: {problem} at line {line}, column {column}.")
        raise BadJson(text.format(problem=error.msg, line=error.lineno, column=error.colno)) from None
    except RecursionError:
        raise _too_deep("body") from None
    except ValueError as error:  # a number of thousands of digits
        raise BadJson(_("The body cannot be read: {error}.").format(error=error)) from None
    if _needs_a_look(raw):
        _look_through(value)
    return value


def _refuse_constant(word: str) -> NoReturn:
    raise BadJson(_("The body is not JSON: {word} is not a number in JSON.").format(word=word))


def _needs_a_look(raw: bytes) -> bool:
    """Cheap signs of something that only walking through the value can find."""
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        return True
    return b"\\u0000" in raw or b"\\ud" in raw or b"\\uD" in raw


def _look_through(value: Any) -> None:
    waiting: list[tuple[Any, tuple[str, ...]]] = [(value, ())]
    while waiting:
        item, at = waiting.pop()
        if len(at) > MAX_DEPTH:
            raise _too_deep(_name(at[:5]))
        if isinstance(item, dict):
            for key in item:
                _check_text(key, (*at, "(a name)"))
            waiting += [(inner, (*at, key)) for key, inner in item.items()]
        elif isinstance(item, list):
            waiting += [(inner, (*at, str(index))) for index, inner in enumerate(item)]
        elif isinstance(item, str):
            _check_text(item, at)


def _check_text(text: str, at: tuple[str, ...]) -> None:
    if "\x00" in text:
        raise Invalid.field(_name(at), _("holds a NUL character, which cannot be stored: remove it"))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid.field(_name(at), _("is not valid Unicode: it holds half of a surrogate pair")) from None


def _too_deep(field: str) -> Invalid:
    return Invalid.field(field, _("is nested deeper than {count} levels").format(count=MAX_DEPTH))


def _name(at: tuple[str, ...]) -> str:
    return ".".join(part.encode("utf-8", "replace").decode()[:100].replace("\x00", "?") for part in at) or "body"

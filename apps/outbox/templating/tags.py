"""Language tags (BCP 47), and how a message writes which template it means: ``name`` or ``name:tag``. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

DEFAULT_LANGUAGE: Final = "en"
MAX_NAME: Final = 100
MAX_TAG: Final = 35
# ``name:tag``, as a message may write it.
MAX_REFERENCE: Final = MAX_NAME + 1 + MAX_TAG
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")


def is_tag(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= MAX_TAG and _TAG.fullmatch(text) is not None


def normal_tag(text: str) -> str:
    """``pt-br`` as ``pt-BR``, ``zh-hant-tw`` as ``zh-Hant-TW``."""
    first, *rest = text.split("-")
    return "-".join([first.lower(), *map(_part, rest)])


def _part(text: str) -> str:
    if len(text) == 4 and text.isalpha():
        return text.title()
    return text.upper() if len(text) == 2 and text.isalpha() else text.lower()


def fall_backs(tag: str) -> list[str]:
    """``id-ID``, then ``id``, then the default language."""
    parts = normal_tag(tag).split("-") if tag else []
    chain = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return list(dict.fromkeys([*chain, DEFAULT_LANGUAGE]))


def split_reference(text: str) -> tuple[str, str]:
    """``otp:id`` as (otp, id); (text, "") when it names no language."""
    name, colon, tag = text.rpartition(":")
    return (name, normal_tag(tag)) if colon and name and is_tag(tag) else (text, "")


def language_of(reference: str, data: Any) -> str:
    """The language a message asks for: after the colon, else ``language`` in its data, else none ("")."""
    tag = split_reference(reference)[1]
    if tag:
        return tag
    given = data.get("language") if hasattr(data, "get") else None
    return normal_tag(str(given)) if is_tag(given) else ""

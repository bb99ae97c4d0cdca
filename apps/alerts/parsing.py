"""The body of a webhook as observations of single alerts. Pure: no ORM, no clock.

Versions 3 and 4 of Alertmanager, Grafana's alerts (version "1") and vmalert's have one shape in common; unknown
fields are kept, missing ones are made up for. What the payload says of the group as a whole is never believed.
"""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from apps.alerts.fingerprint import fingerprint_of
from apps.alerts.times import parse_time
from apps.core.text import storable

FIRING: Final = "firing"
RESOLVED: Final = "resolved"
MAX_LABELS: Final = 1000
MAX_VALUE_CHARS: Final = 65_536
FINGERPRINT_CHARS: Final = 64
MAX_DIGITS: Final = 400
DEEPEST: Final = 50
KNOWN: Final = frozenset({"status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"})


class Unreadable(Exception):
    """The body as a whole makes no sense; the text says why."""


class BadAlert(Exception):
    """One alert of a body makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One alert as one body tells of it. ``starts_at`` and ``ends_at`` are what the sender wrote, if it was a time."""

    position: int
    fingerprint: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime | None
    ends_at: datetime | None
    generator_url: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``alertname``, or the labels, so that an alert without a name has one to be pressed."""
        if self.labels.get("alertname", "").strip():
            return self.labels["alertname"]
        named = [f"{key}={value}" for key, value in sorted(self.labels.items()) if key != "alertname"]
        return ", ".join(named[:3]) or self.fingerprint


@dataclass(frozen=True, slots=True)
class Rejected:
    """An alert that could not be taken; ``raw`` is its JSON, cut."""

    position: int
    reason: str
    raw: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """``observations`` are sorted by fingerprint, so that whoever locks rows for them does so in one order."""

    version: str
    receiver: str
    group_key: str
    external_url: str
    truncated: int
    observations: list[Observation]
    rejected: list[Rejected]


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """``body`` without its Content-Encoding. Raises :class:`Unreadable`, also beyond ``limit`` bytes."""
    if encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise Unreadable(f"the Content-Encoding {encoding!r} is not known here: send it plain or as gzip")
    unzip = zlib.decompressobj(wbits=31)
    try:
        found = unzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise Unreadable(f"it says it is gzip but cannot be unpacked: {error}") from None
    if len(found) > limit:
        raise Unreadable(f"it unpacks to more than {limit} bytes")
    if not unzip.eof:
        raise Unreadable("the gzip data end too early")
    return found


def parse(body: bytes) -> Parsed:
    """What ``body`` says. Raises :class:`Unreadable` when it is no object with a list of alerts."""
    document = document_of(body)
    taken: list[Observation] = []
    rejected: list[Rejected] = []
    for position, alert in enumerate(document["alerts"]):
        try:
            taken.append(observe(position, alert, document))
        except BadAlert as error:
            rejected.append(Rejected(position, str(error), _shown(alert)))
        except RecursionError:
            rejected.append(Rejected(position, "it is nested too deep", ""))
    return Parsed(
        version=_text(document.get("version")),
        receiver=_text(document.get("receiver")),
        group_key=_text(document.get("groupKey")),
        external_url=_text(document.get("externalURL")),
        truncated=_count(document.get("truncatedAlerts")),
        observations=sorted(taken, key=lambda one: (one.fingerprint, one.position)),
        rejected=rejected,
    )


def _shown(alert: Any) -> str:
    try:
        return storable(json.dumps(alert, ensure_ascii=False)[:20_000])
    except RecursionError:
        return ""


def document_of(body: bytes) -> dict[str, Any]:
    """``body`` as an object with a list of alerts. Raises :class:`Unreadable`. Of a doubled name the last counts."""
    try:
        # The standard's UTF-16 and UTF-32 too, with and without a mark. What is broken within is replaced.
        text = body.decode(json.detect_encoding(body), "replace")
        # NaN is no JSON and PostgreSQL refuses it; null says as much as it did.
        found = json.loads(text, parse_constant=lambda _: None, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise Unreadable("it is nested too deep") from None
    except ValueError as error:
        raise Unreadable(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"it is JSON, but {_kind(found)} instead of an object")
    if not isinstance(found.get("alerts"), list):
        raise Unreadable("there is no list of alerts in it")
    return found


def _float(text: str) -> float | str:
    """1e999 is a number to JSON and infinity to us, which no database keeps: then it stays a text."""
    found = float(text)
    return found if math.isfinite(found) else text


def _int(text: str) -> int | str:
    return int(text) if len(text) <= MAX_DIGITS else text


KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def _kind(value: object) -> str:
    return KINDS.get(type(value), "a number")


def observe(position: int, alert: Any, document: Mapping[str, Any]) -> Observation:
    """One alert; raises :class:`BadAlert`."""
    if not isinstance(alert, dict):
        raise BadAlert(f"an alert is an object, this is {_kind(alert)}")
    labels = _pairs(alert.get("labels"), "labels")
    given = _fingerprint(alert.get("fingerprint"))
    if not labels and not given:
        raise BadAlert("it has neither labels nor a fingerprint, so nothing says which alert it is")
    ends_at = parse_time(alert.get("endsAt"))
    return Observation(
        position=position,
        fingerprint=given or fingerprint_of(labels),
        status=_status(alert.get("status"), ends_at, document.get("status")),
        labels=labels,
        annotations=_pairs(alert.get("annotations"), "annotations"),
        starts_at=parse_time(alert.get("startsAt")),
        ends_at=ends_at,
        generator_url=_text(alert.get("generatorURL"))[:4096],
        extra=cleaned({name: value for name, value in alert.items() if name not in KNOWN}),
    )


def _fingerprint(given: object) -> str:
    """The sender's own, when it is one; a longer one than there is room for is known by its digest."""
    if isinstance(given, bool) or not isinstance(given, str | int) or not given:
        return ""
    text = storable(str(given)).strip()
    return text if len(text) <= FINGERPRINT_CHARS else hashlib.sha256(text.encode()).hexdigest()


def _status(own: object, ends_at: datetime | None, group: object) -> str:
    """The alert's own word; else an end speaks for itself; else the group's; else it fires, to be safe."""
    for word in (own, RESOLVED if ends_at else None, group):
        if isinstance(word, str) and word.strip().lower() in (FIRING, RESOLVED):
            return word.strip().lower()
    return FIRING


def _pairs(given: Any, what: str) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise BadAlert(f"its {what} are {_kind(given)} instead of an object")
    if len(given) > MAX_LABELS:
        raise BadAlert(f"it has {len(given)} {what}; {MAX_LABELS} is the most that is taken")
    return {storable(str(name))[:1024]: _value(value, what, name) for name, value in given.items()}


def _value(value: Any, what: str, name: str) -> str:
    if isinstance(value, dict | list):
        raise BadAlert(f"{storable(str(name))[:100]!r} of its {what} is {_kind(value)}, which is no text")
    return _text(value)[:MAX_VALUE_CHARS]


def _text(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return ""
    return storable(value if isinstance(value, str) else json.dumps(value))


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else 0


def cleaned(value: Any, depth: int = 0) -> Any:
    """Unknown fields, kept as they are where they can be kept. The body as it came has what is left out here."""
    if isinstance(value, str):
        return storable(value)
    if depth >= DEEPEST and isinstance(value, dict | list):
        return "(nested too deep)"
    if isinstance(value, dict):
        return {storable(str(name)): cleaned(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [cleaned(item, depth + 1) for item in value]
    return value

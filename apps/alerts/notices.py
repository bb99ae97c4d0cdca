"""What a page says, in the form of each channel. Pure.

Labels and texts come from outside and may be hostile: control and direction marks are taken out, line breaks never
reach a subject, and what Slack would read as markup or as a mention is written so that it is read as text.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

SUMMARY: Final = 1024
DETAIL: Final = 8000
SHOWN_LABELS: Final = 30
NAMED: Final = 10
# Cc: controls; Cf: marks without a shape, among them those that turn the direction of text.
_INVISIBLE: Final = ("Cc", "Cf", "Cs", "Co")
_SPACES: Final = re.compile(r"[ \t\u00a0]+")
_PAGERDUTY_ACTION: Final = {"resolved": "resolve", "acknowledged": "acknowledge"}
PAGERDUTY_SEVERITY: Final = {"critical": "critical", "security": "critical", "warning": "warning"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """``key`` is the same for everything said about one episode; ``thread`` is Slack's name of what was said first."""

    kind: str
    key: str
    title: str
    severity: str
    source: str
    url: str = ""
    text: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    names: Sequence[tuple[str, int]] = ()
    began: datetime | None = None
    step: str = ""
    thread: str = ""

    @property
    def resolved(self) -> bool:
        return self.kind == "resolved"


def plain(text: str, limit: int = DETAIL) -> str:
    """``text`` with its lines, without anything that cannot be seen."""
    kept = "".join(c for c in text if c == "\n" or unicodedata.category(c) not in _INVISIBLE)
    return _SPACES.sub(" ", kept).strip()[:limit]


def one_line(text: str, limit: int = SUMMARY) -> str:
    return plain(text.replace("\r", " ").replace("\n", " "), limit)


def headline(notice: Notice) -> str:
    word = notice.kind.upper() if notice.kind in ("resolved", "acknowledged") else notice.severity.upper()
    return one_line(f"[{word}] {notice.title}", 200)


def named(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The most frequent names, and how many others there are."""
    tidy: Counter[str] = Counter()
    for name, count in counts.items():
        tidy[one_line(name, 200)] += count
    most = tidy.most_common()
    rest = sum(count for _, count in most[NAMED:])
    return [*most[:NAMED], *([("others", rest)] if rest else [])]


def composed(channel: str, notice: Notice) -> dict[str, Any]:
    """The fields of a message for ``channel`` (:class:`apps.services.models.Channel`)."""
    return _FORMS.get(channel, _plain_form)(notice)


def _plain_form(notice: Notice) -> dict[str, Any]:
    return {"subject": headline(notice), "payload": body(notice), "content_type": "text/plain; charset=utf-8"}


def body(notice: Notice) -> str:
    lines = [headline(notice), plain(notice.text)]
    lines += [f"{one_line(name, 200)}: {count}" for name, count in notice.names]
    lines += [f"since {notice.began:%Y-%m-%d %H:%M:%S} UTC" if notice.began else "", one_line(notice.step)]
    shown = sorted(notice.labels.items())[:SHOWN_LABELS]
    lines += [f"{one_line(name, 100)} = {one_line(value, 300)}" for name, value in shown]
    return "\n".join(line for line in [*lines, notice.url] if line)


def _json_form(notice: Notice) -> dict[str, Any]:
    return {
        "json": {
            "kind": notice.kind,
            "key": notice.key,
            "title": one_line(notice.title),
            "severity": notice.severity,
            "source": one_line(notice.source),
            "text": plain(notice.text),
            "labels": {one_line(name, 100): one_line(value, 1000) for name, value in notice.labels.items()},
            "url": notice.url,
        }
    }


def _slack(notice: Notice) -> dict[str, Any]:
    said: dict[str, Any] = {"text": slack_text(body(notice)), "mrkdwn": False, "unfurl_links": False}
    if notice.thread:
        said["thread_ts"] = notice.thread
    return {"json": said}


def slack_text(text: str) -> str:
    """Slack reads ``<!channel>``, ``<@U1>`` and links out of angle brackets; escaped they are letters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _pagerduty(notice: Notice) -> dict[str, Any]:
    action = _PAGERDUTY_ACTION.get(notice.kind, "trigger")
    event: dict[str, Any] = {"event_action": action, "dedup_key": notice.key[:255]}
    if action == "trigger":
        event["payload"] = {
            "summary": headline(notice),
            "source": one_line(notice.source, 255) or "opsportal",
            "severity": PAGERDUTY_SEVERITY.get(notice.severity, "info"),
            "custom_details": {"text": body(notice)},
        }
        if notice.url:
            event["links"] = [{"href": notice.url, "text": "The alert in opsportal"}]
    return {"json": event}


_FORMS: Final = {"http": _json_form, "slack": _slack, "pagerduty": _pagerduty}


def thread_of(response: str) -> str:
    """Slack's name (``ts``) of a message, out of its answer; empty where it gives none."""
    try:
        found = json.loads(response)
    except ValueError:
        return ""
    stamp = found.get("ts") if isinstance(found, dict) else None
    return stamp if isinstance(stamp, str) and re.fullmatch(r"\d{1,15}\.\d{1,9}", stamp) else ""

"""Every address the resolver knows, and requests to each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.outbox.models import DeadLetter, Message, Replay
from tests.security.matrix import Rule

API_PREFIXES = ("/api/v1/", "/stats/")


@dataclass(frozen=True, slots=True)
class Address:
    """``name`` with its namespace; ``route`` as it stands in the URLs; ``kinds`` are its arguments' converters."""

    name: str
    route: str
    pattern: URLPattern

    @property
    def arguments(self) -> list[str]:
        return list(self.pattern.pattern.converters)

    def path(self, known: dict[str, str]) -> str:
        """The address of something that is there. ``known`` says what stands for each argument."""
        text = "/" + self.route
        for name, converter in self.pattern.pattern.converters.items():
            kind = type(converter).__name__.removesuffix("Converter").lower()
            for written in (f"<{kind}:{name}>", f"<{name}>"):
                text = text.replace(written, known.get(name, "1"))
        return text


def addresses() -> list[Address]:
    """All of them, the API's and the admin's too."""
    return list(_walk(get_resolver(), "", ""))


def _walk(resolver: URLResolver, before: str, space: str) -> Iterator[Address]:
    for item in resolver.url_patterns:
        route = before + str(item.pattern)
        if isinstance(item, URLResolver):
            yield from _walk(item, route, f"{space}{item.namespace}:" if item.namespace else space)
        else:
            yield Address(f"{space}{item.name or item.pattern}", route, item)


def pages() -> list[Address]:
    """All but the admin's and the API's, which have tests of their own."""
    return [found for found in addresses() if not found.name.startswith(("admin", "api:")) or is_page(found)]


def is_page(found: Address) -> bool:
    return found.name == "api:openapi-json"


def admin_pages() -> list[Address]:
    return [found for found in addresses() if found.name.startswith("admin:")]


def known_ids() -> dict[str, str]:
    """What stands for the arguments of addresses: things the seeded portal holds."""
    letter = DeadLetter.objects.filter(state="open", service="midtrans").order_by("-id").first()
    waiting = Message.objects.filter(status="RETRYING").order_by("id").first()
    entry = AuditEntry.objects.order_by("-id").first()
    other = User.objects.filter(email="other@example.com").first()
    assert letter is not None
    assert waiting is not None
    assert entry is not None
    assert other is not None
    return {
        "name": "midtrans",
        "fingerprint": letter.cause_id,
        "letter_id": str(letter.pk),
        "message_id": str(waiting.pk),
        "replay_id": str(Replay.objects.values_list("pk", flat=True).get()),
        "entry_id": str(entry.pk),
        "person_id": str(other.pk),
        # Of these the made-up portal has none, or they are one person's own.
        **dict.fromkeys(("key_id", "session_id", "view_id", "triage_id", "event_id", "version", "pk"), "1"),
        "token": "not-a-token",
    }


def filled(value: Any, known: dict[str, str]) -> Any:
    """``value`` with ``{names}`` replaced by what is known."""
    if isinstance(value, dict):
        return {name: filled(item, known) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, known) for item in value]
    return value.format(**known) if isinstance(value, str) and "{" in value else value


def query_of(rule: Rule, known: dict[str, str]) -> str:
    return f"?{filled(rule.query, known)}" if rule.query else ""


def leads_to_login(answer: HttpResponseBase) -> bool:
    place = answer.headers.get("Location", "") or answer.headers.get("HX-Redirect", "")
    return answer.status_code in (302, 303) and place.startswith("/login?next=")

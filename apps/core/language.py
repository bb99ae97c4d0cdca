"""In which language and time zone a person reads the pages. Programs are always spoken to in English and UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers

from apps.core import clock

ENGLISH: Final = "en"
# What a program reads: the HTTP contract (and the page about it), probes, scrapes and webhooks.
PROGRAMS: Final = ("/api/", "/stats", "/health", "/metrics", "/webhooks/")


class LanguageMiddleware:
    """Speaks the person's language, in their time zone. It stands behind the one that knows who asks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not is_page(request.path):
            with translation.override(ENGLISH), timezone.override(UTC):
                return self.get_response(request)
        with translation.override(language_of(request)), timezone.override(zone_of(request.user)):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language() or ENGLISH)
        if "Cookie" not in response.get("Vary", ""):
            patch_vary_headers(response, ("Cookie",))
        patch_vary_headers(response, ("Accept-Language",))
        return response


def is_page(path: str) -> bool:
    """False for what programs ask for."""
    return not path.startswith(PROGRAMS)


def language_of(request: HttpRequest) -> str:
    """What the person chose, else the cookie, else what the browser asks for, else English."""
    chosen = getattr(request.user, "language", "")
    return chosen if is_language(chosen) else translation.get_language_from_request(request)


def languages() -> list[tuple[str, str]]:
    """Code and name of every language, each in its own words."""
    return [(code, str(name)) for code, name in settings.LANGUAGES]


def is_language(code: str) -> bool:
    return any(code == known for known, _ in settings.LANGUAGES)


def zone_of(person: Any) -> ZoneInfo:
    """The zone a person chose; UTC when they have chosen none, or one this machine does not know."""
    return zone_named(getattr(person, "time_zone", ""))


def zone_named(name: str) -> ZoneInfo:
    """The zone, or UTC for a name that is no zone."""
    return ZoneInfo(name) if is_time_zone(name) else ZoneInfo("UTC")


def is_time_zone(name: str) -> bool:
    return name in _zone_names() or name in _aliases()


@lru_cache(maxsize=1)
def _zone_names() -> tuple[str, ...]:
    """The zones that are places, as the tz database lists them, and UTC."""
    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    places = {line.split("\t")[2].strip() for line in table.splitlines() if line and not line.startswith("#")}
    return ("UTC", *sorted(places))


@lru_cache(maxsize=1)
def _aliases() -> frozenset[str]:
    """Every other name that the tz database knows: a browser may still call a zone by its older name."""
    names = (resources.files("tzdata") / "zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {"Factory", "localtime"}


def time_zones(moment: datetime | None = None) -> list[tuple[str, str]]:
    """Name and label of every zone, with its offset now: ``("Asia/Jakarta", "Asia/Jakarta (WIB, UTC+07:00)")``."""
    return list(_labelled((moment or clock.now()).replace(minute=0, second=0, microsecond=0)))


@lru_cache(maxsize=2)
def _labelled(moment: datetime) -> tuple[tuple[str, str], ...]:
    return tuple((name, label(name, moment)) for name in _zone_names())


def label(name: str, moment: datetime) -> str:
    """``Asia/Jakarta (WIB, UTC+07:00)``; ``UTC``."""
    if name == "UTC":
        return name
    local = moment.astimezone(ZoneInfo(name))
    short = local.tzname() or ""
    return f"{name} ({short}, {offset(local)})" if short.isalpha() else f"{name} ({offset(local)})"


def offset(local: datetime) -> str:
    """``UTC+07:00``; ``UTC`` for none."""
    shift = f"{local:%z}"
    return f"UTC{shift[:3]}:{shift[3:5]}" if local.utcoffset() else "UTC"


def zone_name(local: datetime) -> str:
    """What people call the zone at that time: ``WIB``, ``CEST``; ``UTC+05:45`` where there is no such word."""
    short = local.tzname() or ""
    return short if short.isalpha() else offset(local)


def at_local(naive: datetime) -> datetime:
    """A time a person typed, in their zone.

    An hour that the clocks skip is read as the same time after the change; an hour that happens twice means the first.
    """
    aware = timezone.make_aware(naive.replace(fold=0))
    return aware.astimezone(UTC).astimezone(aware.tzinfo)


class LocalDateTimeField(forms.DateTimeField):
    """A date and time in the person's zone, as ``<input type=datetime-local>`` sends it."""

    widget = forms.DateTimeInput(attrs={"class": "input", "type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    input_formats = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")

    def to_python(self, value: Any) -> datetime | None:
        if not isinstance(value, str) or not value.strip():
            return super().to_python(value)
        for form in self.input_formats:
            try:
                return at_local(datetime.strptime(value.strip(), form))
            except ValueError:
                continue
        raise forms.ValidationError(self.error_messages["invalid"], code="invalid")

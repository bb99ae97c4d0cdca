"""Which language a page speaks, how a person changes it, and that programs are always spoken to in English."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone, translation

from apps.accounts.models import User
from apps.accounts.people import update_profile
from apps.core.errors import Invalid
from tests.console.conftest import make_person

Person = Callable[[str], Client]
INDONESIAN = {"Accept-Language": "id-ID,id;q=0.9,en;q=0.5"}


def lang_of(client: Client, path: str = "/login", **headers: str) -> str:
    page = client.get(path, headers=headers).content.decode()
    return page.split('<html lang="')[1].split('"')[0]


def test_the_browser_decides_until_a_person_does(db: None) -> None:
    client = Client()
    assert lang_of(client) == "en"
    assert lang_of(client, **INDONESIAN) == "id"
    assert lang_of(client, **{"Accept-Language": "fr,de;q=0.8"}) == "en"


def test_the_switch_before_the_log_in_is_kept_in_a_cookie(db: None) -> None:
    client = Client()
    answer = client.post("/language", {"language": "id", "next": "/login?next=/outbox"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/login?next=/outbox"
    assert answer.cookies["opsportal_language"]["httponly"]
    assert lang_of(client) == "id"
    client.post("/language", {"language": "en", "next": "/login"})
    assert lang_of(client, **INDONESIAN) == "en"


def test_the_choice_of_a_person_goes_with_them_to_every_browser(db: None, person: Person) -> None:
    client = person("viewer")
    client.post("/language", {"language": "id", "next": "/services"})
    assert User.objects.get(role="viewer").language == "id"
    other = person("viewer")
    assert lang_of(other, "/services") == "id"
    # What the person chose wins over the cookie that somebody left in this browser.
    other.cookies["opsportal_language"] = "en"
    assert lang_of(other, "/services", **{"Accept-Language": "en"}) == "id"


def test_a_page_says_its_language_to_the_browser_and_to_caches(db: None, person: Person) -> None:
    client = person("viewer")
    answer = client.get("/services", headers=INDONESIAN)
    assert answer.headers["Content-Language"] == "id"
    assert {"Cookie", "Accept-Language"} <= {part.strip() for part in answer.headers["Vary"].split(",")}


@pytest.mark.parametrize("language", ["xx", "", "id; drop", "../id", "EN"])
def test_a_language_that_is_none_changes_nothing(db: None, person: Person, language: str) -> None:
    client = person("viewer")
    answer = client.post("/language", {"language": language, "next": "/services"})
    assert answer.status_code == 302
    assert "opsportal_language" not in answer.cookies
    assert User.objects.get(role="viewer").language == ""


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_the_switch_leads_nowhere_else(db: None, target: str) -> None:
    assert Client().post("/language", {"language": "id", "next": target}).headers["Location"] == "/"


def test_the_switch_needs_a_post_with_a_token(db: None, person: Person) -> None:
    assert person("viewer").get("/language").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/language", {"language": "id"}).status_code == 403


def test_both_switches_are_on_the_pages(db: None, person: Person) -> None:
    for page in (Client().get("/login"), person("viewer").get("/services")):
        text = page.content.decode()
        assert 'action="/language"' in text
        assert 'value="id" lang="id" aria-pressed="false">Bahasa Indonesia<' in text
        assert 'value="en" lang="en" aria-pressed="true">English<' in text


def test_pages_that_are_broken_speak_it_too(db: None, person: Person) -> None:
    client = person("viewer")
    User.objects.update(language="id")
    assert "Halaman ini tidak ada" in client.get("/nowhere").content.decode()


def test_programs_are_spoken_to_in_english_whatever_they_ask_for(db: None) -> None:
    client = Client()
    client.cookies["opsportal_language"] = "id"
    for path in ("/api/v1/messages", "/api/v1/nowhere", "/health/live", "/stats/circuit-breaker"):
        answer = client.get(path, headers=INDONESIAN)
        assert "Content-Language" not in answer.headers, path
    said = client.get("/api/v1/messages", headers=INDONESIAN).json()["error"]["message"]
    assert said == client.get("/api/v1/messages", headers={"Accept-Language": "en"}).json()["error"]["message"]
    assert "API key" in said
    assert '<html lang="en">' in client.get("/api/v1/docs", headers=INDONESIAN).content.decode()


def test_one_request_leaves_nothing_behind_for_the_next(db: None, person: Person) -> None:
    User.objects.update(language="id", time_zone="Asia/Jakarta")
    person("viewer").get("/services", headers=INDONESIAN)
    assert translation.get_language() == "en"
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_preference_that_makes_no_sense_is_refused(db: None) -> None:
    someone = make_person("viewer")
    for changes in ({"language": "xx"}, {"time_zone": "Mars/Olympus"}, {"time_zone": "Factory"}):
        with pytest.raises(Invalid):
            update_profile(person=someone, changes=changes)
    update_profile(person=someone, changes={"language": "", "time_zone": "Asia/Jayapura"})
    assert User.objects.get().time_zone == "Asia/Jayapura"


def test_the_zone_is_chosen_in_the_profile_by_any_part_of_its_name(db: None, person: Person) -> None:
    client = person("viewer")
    page = client.get("/settings/profile").content.decode()
    assert '<option value="Asia/Jakarta">Asia/Jakarta (WIB, UTC+07:00)</option>' in page
    given = {"name": "Sari", "language": "id", "time_zone": "Asia/Jakarta"}
    assert client.post("/settings/profile", given).status_code == 302
    assert User.objects.get().time_zone == "Asia/Jakarta"
    assert 'value="Asia/Jakarta"' in client.get("/settings/profile").content.decode()
    refused = client.post("/settings/profile", {**given, "time_zone": "Jakarta"})
    assert refused.status_code == 422
    assert "Tidak ada zona waktu Jakarta" in refused.content.decode()


def test_a_language_or_zone_that_is_gone_does_not_break_pages(db: None, person: Person) -> None:
    client = person("viewer")
    User.objects.update(language="tlh", time_zone="Mars/Olympus")
    answer = client.get("/services")
    assert answer.status_code == 200
    assert answer.headers["Content-Language"] == "en"

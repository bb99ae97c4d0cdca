"""Saved views: one's own filters under a name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.accounts import saved_views as service
from apps.accounts.models import SavedView, User
from apps.core.errors import Conflict, Invalid, NotFound
from tests.console.conftest import make_person

Person = Callable[[str], Client]


def save(client: Client, **fields: str) -> object:
    return client.post("/views/new", {"page": "outbox", "query": "status=waiting", "name": "Waiting", **fields})


def test_the_filters_of_a_list_are_saved_and_opened_again(person: Person, db: None) -> None:
    client = person("viewer")
    page = client.get("/outbox?status=waiting&service=&cursor=9").content.decode()
    assert "/views/new?page=outbox&amp;query=status%3Dwaiting" in page
    response = client.post("/views/new", {"page": "outbox", "query": "status=waiting&service=&cursor=9", "name": " W "})
    assert response.status_code == 302
    assert response.headers["Location"] == "/outbox?status=waiting"
    view = SavedView.objects.get()
    assert (view.name, view.page, view.query) == ("W", "outbox", "status=waiting")
    again = client.get("/outbox?status=waiting").content.decode()
    assert '<a href="/outbox?status=waiting" aria-current="true">' in again
    assert 'href="/outbox?status=waiting"' in client.get("/views").content.decode()


def test_a_page_with_a_name_of_its_own_is_saved_with_it(night: None, person: Person) -> None:
    client = person("viewer")
    save(client, page="cause:0123456789abcdef", query="state=all")
    assert 'href="/dead-letters/causes/0123456789abcdef?state=all"' in client.get("/views").content.decode()


@pytest.mark.parametrize("page", ["", "nothing-like-it", "cause", "https://evil.example", "x" * 41])
def test_only_pages_of_the_portal_are_saved(person: Person, db: None, page: str) -> None:
    assert save(person("viewer"), page=page).status_code == 422  # type: ignore[attr-defined]
    assert not SavedView.objects.exists()


def test_a_name_is_taken_once_for_a_page_and_person(person: Person, db: None) -> None:
    client = person("viewer")
    save(client)
    response = client.post("/views/new", {"page": "outbox", "query": "", "name": "Waiting"})
    assert response.status_code == 422
    assert "already" in response.content.decode()
    save(person("lead"))
    save(client, page="replays")
    assert SavedView.objects.count() == 3


def test_a_view_is_renamed_and_deleted(person: Person, db: None) -> None:
    client = person("viewer")
    save(client)
    view = SavedView.objects.get()
    assert client.get(f"/views/{view.pk}/rename").status_code == 200
    client.post(f"/views/{view.pk}/rename", {"name": "Mine"})
    assert SavedView.objects.get().name == "Mine"
    assert client.post(f"/views/{view.pk}/rename", {"name": " "}).status_code == 422
    assert client.get(f"/views/{view.pk}/delete").status_code == 200
    assert SavedView.objects.exists()
    client.post(f"/views/{view.pk}/delete")
    assert not SavedView.objects.exists()


def test_what_belongs_to_somebody_else_is_not_there(person: Person, db: None) -> None:
    save(person("lead"))
    view = SavedView.objects.get()
    other = person("viewer")
    for path in (f"/views/{view.pk}/rename", f"/views/{view.pk}/delete"):
        assert other.get(path).status_code == 404
        assert other.post(path, {"name": "Stolen"}).status_code == 404
    assert SavedView.objects.get().name == "Waiting"
    assert "Waiting" not in other.get("/views").content.decode()


def test_without_a_csrf_token_nothing_is_saved(person: Person, db: None) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = person("viewer").cookies
    assert save(strict).status_code == 403  # type: ignore[attr-defined]
    assert not SavedView.objects.exists()


def test_names_and_filters_have_limits(db: None) -> None:
    anna = make_person("viewer")
    with pytest.raises(Invalid, match="60"):
        service.save_view(person=anna, page="outbox", name="x" * 61, query="")
    with pytest.raises(Invalid, match="2000"):
        service.save_view(person=anna, page="outbox", name="x", query=f"q={'x' * 2000}")
    for number in range(service.MOST):
        service.save_view(person=anna, page="outbox", name=f"view {number}", query="")
    with pytest.raises(Conflict, match="100"):
        service.save_view(person=anna, page="outbox", name="one more", query="")


def test_a_long_address_still_shows_its_page(person: Person, db: None) -> None:
    assert person("viewer").get(f"/outbox?tenant={'x' * 3000}").status_code == 200


def test_deleting_twice_says_that_it_is_gone(db: None) -> None:
    anna = make_person("viewer")
    view = service.save_view(person=anna, page="outbox", name="x", query="")
    service.delete_view(person=anna, view_id=view.pk)
    with pytest.raises(NotFound):
        service.delete_view(person=anna, view_id=view.pk)
    assert User.objects.get() == anna


def test_a_view_whose_page_has_gone_says_so(person: Person, db: None) -> None:
    client = person("viewer")
    SavedView.objects.create(person=User.objects.get(), page="gone", name="Old")
    assert "its page is gone" in client.get("/views").content.decode()

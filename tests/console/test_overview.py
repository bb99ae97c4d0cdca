"""The overview: throughput, workers with the epochs they have seen, what needs a person, and the cache behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client

from apps.breakers.models import BreakerWorker, SharedBreaker
from apps.breakers.services import force_open
from apps.console.selectors import vitals as module
from apps.console.selectors.flow import accepted, nice
from apps.console.selectors.vitals import Vitals, forget, vitals
from apps.core.actor import Actor
from apps.core.clock import now
from apps.outbox.models import Message
from apps.services.models import Service
from tests.conftest import make_service

Person = Callable[[str], Client]


def words(client: Client, path: str = "/") -> str:
    page = client.get(path).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_each_worker_says_which_epoch_of_which_breaker_it_has_seen(night: None, person: Person) -> None:
    text = words(person("viewer"))
    assert "delivery@b-1 delivery midtrans 40 behind by 1 whatsapp 41 and 5 more, all seen" in text
    assert "delivery@a-1 delivery midtrans 41 whatsapp 41" in text
    assert re.search(r"newest epoch seen by [0-3] of 4", text)


def test_no_worker_at_all_is_what_needs_a_person_first(night: None, person: Person) -> None:
    BreakerWorker.objects.all().delete()
    text = words(person("viewer"))
    assert re.search(r"most urgent first Nothing is delivered: no worker runs [\d,]+ messages wait", text)


def test_figures_lead_to_what_is_behind_them(night: None, person: Person) -> None:
    page = person("viewer").get("/").content.decode()
    tile = page[page.index('data-key="midtrans"') :]
    figures = tile[tile.index("tile-figures") : tile.index("</dl>")]
    assert re.findall(r"<dd>(?!<a )", figures) == []
    assert 'href="/outbox?service=midtrans&amp;status=waiting"' in figures


# --- throughput ----------------------------------------------------------------------------------
def test_accepted_messages_are_counted_by_minute_and_only_the_newest_again(db: None) -> None:
    service = make_service("smtp")
    start = now().replace(second=0, microsecond=0) - timedelta(minutes=59)
    for back, count in ((30, 4), (5, 2), (0, 1)):
        for _ in range(count):
            row = Message.objects.create(service=service, payload="{}")
            Message.objects.filter(pk=row.pk).update(created_at=start + timedelta(minutes=59 - back, seconds=1))
    first = {at: count for at, count in accepted(start).items() if count}
    assert sorted(first.values()) == [1, 2, 4]
    # A minute that is over is remembered; the ones that may still change are counted again.
    Message.objects.all().delete()
    assert sorted(count for count in accepted(start).values() if count) == [2, 4]
    cache.clear()
    assert sum(accepted(start).values()) == 0


@pytest.mark.parametrize(("value", "top"), [(0, 0.1), (0.1, 0.1), (0.11, 0.2), (3.7, 5), (26, 50), (101, 200)])
def test_the_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice(value) == top


# --- what is remembered --------------------------------------------------------------------------
def test_a_change_of_any_process_is_seen_at_once(
    night: None, lead: Actor, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Callable[..., object]
) -> None:
    monkeypatch.setattr(module, "SECONDS", 600)
    assert str(vitals().breakers["smtp"].state) == "CLOSED"
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[attr-defined]
        force_open(service="smtp", actor=lead, reason="mail moves", expires_in=600)
    assert str(vitals().breakers["smtp"].state) == "FORCED_OPEN"


def test_what_was_looked_up_before_a_change_is_not_believed_after_it(
    night: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 600)
    real = module.look

    def slow_look(services: object = None) -> object:
        seen = real()
        SharedBreaker.objects.filter(name="smtp").update(state=1, probe_at=0)
        forget()  # somebody changes it while this one is still looking
        return seen

    monkeypatch.setattr(module, "look", slow_look)
    assert str(vitals().breakers["smtp"].state) == "CLOSED"
    monkeypatch.setattr(module, "look", real)
    assert str(vitals().breakers["smtp"].state) == "HALF_OPEN"


def test_without_a_cache_the_database_answers(night: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OSError("no cache")

    for name in ("get_many", "set", "add", "get"):
        monkeypatch.setattr(module.cache, name, away)
    forget()
    assert isinstance(vitals(), Vitals)
    assert accepted(now() - timedelta(minutes=5)) is not None
    assert Service.objects.exists()

"""A page that asks again: 304 when nothing changed, else only what did."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User
from apps.outbox.models import Message
from apps.services.models import Service
from tests.console.places import PAGES, places

Person = Callable[[str], Client]
REGION = re.compile(r'data-region="([a-z-]+)" data-hash="([0-9a-f]{12})"')


def regions(page: str) -> dict[str, str]:
    return dict(REGION.findall(page))


def poll(client: Client, path: str, known: dict[str, str], **headers: str) -> Any:
    etag = '"' + " ".join(f"{name}.{mark}" for name, mark in sorted(known.items())) + '"'
    return client.get(path, headers={"X-Live": "1", "HX-Request": "true", "If-None-Match": etag, **headers})


def test_every_page_polls_and_is_told_that_nothing_changed(night: None, person: Person) -> None:
    client, known = person("lead"), places()
    for pattern in PAGES:
        path = pattern.format(**known)
        page = client.get(path).content.decode()
        shown = regions(page)
        assert {"nav", "level"} <= set(shown), path
        if 'name="page-mark"' not in page:  # nothing but settings, which are not asked for again
            assert path.startswith("/settings"), path
            continue
        answer = poll(client, path, shown)
        if answer.status_code != 304:  # a countdown may have passed a second in between
            answer = poll(client, path, shown | regions(answer.content.decode()))
        assert answer.status_code == 304, (path, set(regions(answer.content.decode())))
        assert answer.content == b""
        assert answer.headers["ETag"].startswith('"')


def test_only_what_changed_comes_back(night: None, person: Person) -> None:
    client = person("lead")
    shown = regions(client.get("/services/smtp").content.decode())
    Service.objects.filter(pk="smtp").update(
        paused_by="someone", paused_at="2026-11-21T09:00:00Z", paused_reason="mail moves"
    )
    answer = poll(client, "/services/smtp", shown)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "title" in regions(page)
    assert "window" not in regions(page)
    assert "mail moves" in page
    assert 'hx-swap-oob="true"' in page
    assert "<html" not in page
    assert "X-Live" in answer.headers["Vary"]


def test_a_list_keeps_its_rows_and_counts_the_newer_ones(night: None, person: Person) -> None:
    client = person("lead")
    page = client.get("/outbox").content.decode()
    anchor = re.search(r'data-anchor="(\d+)"', page)
    assert anchor is not None
    newer = Message.objects.create(service_id="smtp", payload="{}", recipient="new@example.com")
    cache.clear()
    answer = poll(client, "/outbox", regions(page), **{"X-Live-Anchor": anchor[1]}).content.decode()
    assert "1 new" in answer
    assert f'data-key="m{newer.pk}"' not in answer
    assert f'data-anchor="{anchor[1]}"' in answer


def test_a_poll_after_the_session_ended_leads_to_the_log_in(night: None) -> None:
    answer = poll(Client(), "/", {})
    assert answer.status_code == 302


def test_the_time_that_runs_by_itself_changes_no_region(night: None, person: Person) -> None:
    client = person("lead")
    path = f"/outbox/{places()['dead']}"
    shown = regions(client.get(path).content.decode())
    assert regions(client.get(path).content.decode()) == shown


NUMBER_WITH_COMMA = re.compile(r' (?:x|y|x1|x2|y1|y2|cx|cy|r|width|height)="[^"]*,[^"]*"')
POINTS = re.compile(r' points="([^"]*)"')


def test_what_is_drawn_has_points_in_every_language(night: None, person: Person) -> None:
    """A decimal comma, as Indonesian writes it, would be another co-ordinate to a browser."""
    client, known = person("lead"), places()
    User.objects.update(language="id")
    drawn = 0
    for pattern in (*PAGES, "/services/midtrans/what-if?error_threshold_percentage=40&days=1"):
        page = client.get(pattern.format(**known)).content.decode()
        assert 'lang="id"' in page, pattern
        for svg in re.findall(r"<svg\b.*?</svg>", page, re.DOTALL):
            assert not NUMBER_WITH_COMMA.findall(svg), (pattern, svg[:400])
            for points in POINTS.findall(svg):
                drawn += 1
                assert all(re.fullmatch(r"-?[\d.]+,-?[\d.]+", point) for point in points.split()), (pattern, points)
    assert drawn

"""One portal for all of the walk, and browsers in which people are logged in and listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from playwright.sync_api import Browser, expect, sync_playwright

from scripts.screenshots import CHROMIUM, CHROMIUM_ARGS
from tests.walk.portal import Portal, whole_portal
from tests.walk.visitor import PATIENCE_MS, Visitor

Visit = Callable[..., Visitor]


@pytest.fixture(scope="package")
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """As pytest-django's, for all tests of the walk together: what is in the database stays from one to the next."""
    with django_db_blocker.unblock():
        yield
        call_command("flush", interactive=False, verbosity=0)
        connections.close_all()


@pytest.fixture(scope="package")
def portal(transactional_db: None) -> Iterator[Portal]:
    """The processes. Each test has a service of its own."""
    with pytest.MonkeyPatch.context() as patch, whole_portal() as running:
        # Playwright's own loop runs in this thread; the database is used beside it, not in it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield running


@pytest.fixture(scope="package")
def browser(portal: Portal) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGS))
        yield found
        found.close()
        expect.set_options()
        # Beside Playwright's loop Django keeps connections of their own; nobody else would close them.
        connections.close_all()


@pytest.fixture(scope="package")
def passports() -> dict[str, Any]:
    """The cookies of who has logged in once."""
    return {}


@pytest.fixture
def visit(browser: Browser, portal: Portal, passports: dict[str, Any]) -> Iterator[Visit]:
    """``visit("ana", "/outbox")`` is a browser of its own in which ana looks at the outbox; ``visit()`` is nobody's.

    At the end of the test each of them must have had nothing to say on its console, and have asked nobody else.
    """
    visitors: list[Visitor] = []

    def arrive(person: str = "", path: str = "/", **settings: Any) -> Visitor:
        known = {"storage_state": passports[person]} if person in passports else {}
        visitor = Visitor(browser.new_context(base_url=portal.url, **known, **settings), portal.url)
        visitors.append(visitor)
        if person and not known:
            visitor.log_in(person)
            passports[person] = visitor.context.storage_state()
        if person:
            visitor.page.goto(path)
        return visitor

    yield arrive
    for visitor in visitors:
        visitor.context.close()
    problems = [problem for visitor in visitors for problem in visitor.problems]
    assert problems == [], portal.running.log_of("web")[-3000:]

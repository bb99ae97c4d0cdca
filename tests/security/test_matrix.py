"""Every address with every role, nobody, and API keys of a single scope: exactly the allowed ones answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client

from apps.accounts.models import User
from apps.accounts.roles import permissions_of
from apps.accounts.scopes import SCOPES
from apps.accounts.services import create_key
from apps.core.actor import ALL_PERMISSIONS, SYSTEM
from apps.core.errors import Forbidden
from opsportal.api import api
from tests.security.conftest import ROLES
from tests.security.matrix import ADMIN, ANYONE, BODIES, MAY_BE_ABSENT, NOBODY, OPERATIONS, PAGES, PERSON, PROBES, Rule
from tests.security.walk import Address, admin_pages, filled, known_ids, leads_to_login, pages, query_of

WHO = ("nobody", *ROLES)
HOW_TO_ADD = (
    "has no rule in tests/security/matrix.py. Add a line to PAGES: look(PERMISSION) for a page, dialog(PERMISSION) "
    "for a form and its POST, button(PERMISSION) for a POST alone; ANYONE or PERSON where no permission is needed. "
    "For an argument that is not known yet add it to known_ids() in tests/security/walk.py."
)


class Refusals:
    """Counts refusals by permission: some views turn them into a redirect that carries the words."""

    def __init__(self) -> None:
        self.count = 0


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    seen, make = Refusals(), Forbidden.__init__

    def counting(self: Forbidden, *args: Any, **kwargs: Any) -> None:
        seen.count += 1
        make(self, *args, **kwargs)

    monkeypatch.setattr(Forbidden, "__init__", counting)
    return seen


def holds(who: str, rule: str) -> bool:
    """Is ``who`` (a role, or nobody) allowed what needs ``rule``?"""
    if rule in (ANYONE, NOBODY):
        return rule == ANYONE
    if who == "nobody":
        return False
    return rule == PERSON or rule in permissions_of(who)


def browser(who: str, people: dict[str, User]) -> Client:
    client = Client(raise_request_exception=True)
    if who != "nobody":
        client.force_login(people[who])
    return client


def outcome(answer: HttpResponseBase, refused: int) -> str:
    """answers, refused (no permission, no log-in), or not taken (405)."""
    if answer.status_code == 405:
        return "not taken"
    if refused or answer.status_code in (401, 403) or leads_to_login(answer):
        return "refused"
    return "answers"


def ask(client: Client, method: str, path: str, rule: Rule, known: dict[str, str], seen: Refusals) -> str:
    """One request, and everything it changed undone."""
    seen.count = 0
    with undone():
        if method == "GET":
            answer = client.get(path + query_of(rule, known))
        else:
            answer = client.post(path + query_of(rule, known), filled(rule.sends, known))
        assert answer.status_code < 500, (method, path, answer.status_code)
        return outcome(answer, seen.count)


class undone:
    """Roll back whatever happens inside."""

    def __enter__(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()

    def __exit__(self, *error: Any) -> None:
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)


def test_every_page_has_a_rule() -> None:
    missing = [f"{page.name} (/{page.route}) {HOW_TO_ADD}" for page in pages() if page.name not in PAGES]
    assert not missing, "\n".join(missing)


def test_no_rule_is_left_over() -> None:
    names = {page.name for page in pages()}
    assert [name for name in PAGES if name not in names] == []


def test_every_argument_of_a_page_is_known(portal: dict[str, User]) -> None:
    known = known_ids()
    unknown = {(page.name, name) for page in pages() for name in page.arguments if name not in known}
    assert not unknown, f"add these to known_ids() in tests/security/walk.py, with something that is there: {unknown}"


@pytest.mark.parametrize("who", WHO)
def test_pages_answer_exactly_the_allowed(portal: dict[str, User], refusals: Refusals, who: str) -> None:
    known, wrong = known_ids(), []
    for page in pages():
        rule = PAGES.get(page.name)
        for method, needs in (("GET", rule.get), ("POST", rule.post)) if rule else ():
            client = browser(who, portal)
            got = ask(client, method, page.path(known), rule, known, refusals) if rule else ""
            if got not in expected(who, needs):
                wrong.append(f"{method} {page.name} {page.path(known)}: {who} should be {expected(who, needs)}, {got}")
    assert not wrong, "\n".join(wrong)


def expected(who: str, needs: str) -> tuple[str, ...]:
    if needs == NOBODY:
        return ("not taken", "refused")
    return ("answers",) if holds(who, needs) else ("refused",)


@pytest.mark.parametrize("who", WHO)
def test_what_is_allowed_to_look_at_is_there(portal: dict[str, User], who: str) -> None:
    """An answer of 404 would make the matrix say nothing."""
    known = known_ids()
    for page in pages():
        rule = PAGES.get(page.name)
        if rule and holds(who, rule.get):
            answer = browser(who, portal).get(page.path(known) + query_of(rule, known))
            assert answer.status_code in ((200, 302, 404) if rule.absent else (200, 302)), (
                page.name,
                answer.status_code,
            )


@pytest.mark.parametrize("who", WHO)
def test_djangos_admin_is_for_admins(portal: dict[str, User], who: str) -> None:
    for page in admin_pages():
        if page.name in ("admin:login", "admin:logout"):
            continue
        for method in ("get", "post"):
            with undone():
                answer = getattr(browser(who, portal), method)(page.path({}))
            allowed = holds(who, ADMIN)
            shut = answer.status_code in (401, 403) or "login" in answer.headers.get("Location", "")
            assert shut is not allowed or (allowed and answer.status_code in (302, 403, 404, 405)), (page.name, method)


@pytest.mark.parametrize("who", WHO)
def test_the_admins_own_log_in_takes_no_password(portal: dict[str, User], who: str) -> None:
    sent = {"username": "admin@example.com", "password": "right-password"}
    for answer in (browser(who, portal).get("/admin/login/"), browser(who, portal).post("/admin/login/", sent)):
        assert answer.status_code in (302, 403), who
        assert "/admin/" not in answer.headers.get("Location", "").partition("?")[0], who


def operations() -> Iterator[tuple[str, str, str]]:
    """Of the API's own document: "GET /path", method, path."""
    for path, found in api.get_openapi_schema()["paths"].items():
        for method in found:
            if method in ("get", "post", "put", "patch", "delete"):
                yield f"{method.upper()} {path}", method, path


def test_every_operation_has_a_rule() -> None:
    missing = [name for name, _, _ in operations() if name not in OPERATIONS]
    assert not missing, f"add to OPERATIONS in tests/security/matrix.py (and BODIES, if it takes one): {missing}"
    assert [name for name in OPERATIONS if name not in {found for found, _, _ in operations()}] == []


def call(client: Client, name: str, method: str, path: str, known: dict[str, str], **headers: str) -> HttpResponseBase:
    body = json.dumps(filled(BODIES.get(name, {}), known))
    extra: dict[str, Any] = {} if method == "get" else {"data": body, "content_type": "application/json"}
    with undone():
        answer: HttpResponseBase = getattr(client, method)(path.format(**known), headers=headers, **extra)
    assert answer.status_code < 500, (name, answer.status_code)
    return answer


def answers_of(path: str, *more: int) -> tuple[int, ...]:
    return (200, *more, 404) if path.startswith(MAY_BE_ABSENT) else (200, *more)


@pytest.mark.parametrize("scope", [*SCOPES, ""])
def test_keys_do_exactly_what_their_scope_says(portal: dict[str, User], scope: str) -> None:
    known = known_ids()
    headers = {}
    if scope:
        raw = create_key(name="one-scope", scopes=[scope], actor=SYSTEM).raw
        headers = {"Authorization": f"Bearer {raw}"}
    for name, method, path in operations():
        answer = call(Client(), name, method, path, known, **headers)
        if not scope:
            assert answer.status_code == 401, (name, answer.status_code)
        elif scope.replace(":", ".") == OPERATIONS[name]:
            assert answer.status_code in answers_of(path, 201, 202, 409), (name, scope, answer.status_code)
        else:
            assert answer.status_code == 403, (name, scope, answer.status_code)


@pytest.mark.parametrize("who", WHO)
def test_a_session_may_read_what_its_role_may_and_change_nothing(portal: dict[str, User], who: str) -> None:
    known = known_ids()
    for name, method, path in operations():
        answer = call(browser(who, portal), name, method, path, known)
        if who == "nobody" or method != "get":
            assert answer.status_code == 401, (name, answer.status_code)
        else:
            assert answer.status_code in (answers_of(path) if holds(who, OPERATIONS[name]) else (403,)), name


def test_a_key_opens_no_page(portal: dict[str, User]) -> None:
    raw = create_key(name="all", scopes=list(SCOPES), actor=SYSTEM).raw
    known = known_ids()
    for page in pages():
        rule = PAGES.get(page.name)
        if rule and rule.get not in (ANYONE, NOBODY):
            answer = Client().get(page.path(known), headers={"Authorization": f"Bearer {raw}"})
            assert leads_to_login(answer), page.name


def test_probes_answer_anyone(db: None) -> None:
    for path in PROBES:
        assert Client().get(path).status_code in (200, 503), path


def test_scopes_and_permissions_are_the_ones_the_table_knows() -> None:
    assert {scope.replace(":", ".") for scope in SCOPES} <= ALL_PERMISSIONS
    rules = {needs for rule in PAGES.values() for needs in (rule.get, rule.post)} | set(OPERATIONS.values())
    assert rules <= ALL_PERMISSIONS | {ANYONE, PERSON, NOBODY}


def test_a_page_without_a_rule_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard guards: take a rule away and it says which, and what to do."""
    monkeypatch.delitem(PAGES, "audit")
    with pytest.raises(AssertionError, match=r"audit \(/audit\) has no rule.*Add a line to PAGES"):
        test_every_page_has_a_rule()


def test_a_rule_that_is_wrong_is_found(
    portal: dict[str, User], refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGES, "audit", Rule(get="messages.read"))
    with pytest.raises(AssertionError, match="GET audit /audit: viewer should be"):
        test_pages_answer_exactly_the_allowed(portal, refusals, "viewer")


def test_addresses_are_filled_with_what_is_there() -> None:
    found = next(page for page in pages() if page.name == "service-override")
    assert isinstance(found, Address)
    assert found.path({"name": "smtp"}) == "/services/smtp/override"

"""Every address with every role, nobody, and API keys of a single scope: exactly the allowed ones answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpResponseBase
from django.test import Client

from apps.accounts.models import PersonSession
from apps.accounts.roles import permissions_of
from apps.accounts.scopes import SCOPES
from apps.accounts.services import create_key
from apps.core.actor import ALL_PERMISSIONS, SYSTEM
from apps.core.errors import Forbidden
from opsportal.api import api
from tests.security.matrix import ADMIN, ANYONE, BODIES, NOBODY, OPERATIONS, PAGES, PERSON, PROBES, Rule
from tests.security.portal import PASSWORD, WHO, Portal
from tests.security.walk import Address, admin_pages, filled, leads_to_login, pages, query_of, undone

NO_RULE = Rule()
HOW_TO_ADD = (
    "has no rule in tests/security/matrix.py. Add a line to PAGES: look(PERMISSION) for a page, dialog(PERMISSION) "
    "for a form and its POST, button(PERMISSION) for a POST alone; ANYONE or PERSON where no permission is needed. "
    "For an argument that is not known yet add it to _shared() in tests/security/portal.py."
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


def ask(client: Client, method: str, path: str, body: dict[str, str], seen: Refusals) -> str:
    """One request, and everything it changed undone. What came of it, in a word."""
    seen.count = 0
    with undone():
        answer = client.get(path) if method == "GET" else client.post(path, body)
    assert answer.status_code < 500, (method, path, answer.status_code)
    if answer.status_code == 405:
        return "is not taken"
    if seen.count or answer.status_code in (401, 403) or leads_to_login(answer):
        return "is refused"
    return "is not there" if answer.status_code == 404 else "answers"


def test_every_page_has_a_rule() -> None:
    missing = [f"{page.name} (/{page.route}) {HOW_TO_ADD}" for page in pages() if page.name not in PAGES]
    assert not missing, "\n".join(missing)


def test_no_rule_is_left_over() -> None:
    names = {page.name for page in pages()}
    assert [name for name in PAGES if name not in names] == []


def test_every_argument_of_a_page_is_known(portal: Portal) -> None:
    known = portal.known["admin"]
    unknown = {(page.name, name) for page in pages() for name in page.arguments if name not in known}
    assert not unknown, f"add these to _shared() in tests/security/portal.py, with something that is there: {unknown}"


@pytest.mark.parametrize("who", WHO)
def test_pages_answer_exactly_the_allowed(portal: Portal, refusals: Refusals, who: str) -> None:
    known, client, wrong = portal.known[who], portal.browser(who), []
    logged_in = client.cookies.output()
    for page in pages():
        rule = PAGES.get(page.name, NO_RULE)
        for method, needs in (("GET", rule.get), ("POST", rule.post)):
            # Who may not is refused before what they sent is looked at: they are not told what is wrong with it.
            bodies = [filled(rule.sends, known)] if holds(who, needs) else [filled(rule.sends, known), {}]
            for body in bodies:
                client.cookies.load(logged_in.replace("Set-Cookie: ", ""))
                got = ask(client, method, page.path(known) + query_of(rule, known), body, refusals)
                if not fits(got, who, needs, absent=rule.absent):
                    wrong.append(f"{method} {page.name} {page.path(known)}: {who} needs {needs}, and it {got}")
    assert not wrong, "\n".join(wrong)


def fits(got: str, who: str, needs: str, *, absent: bool) -> bool:
    """Of what is not there (404) nobody is told anything; it counts only where the rule says that it may be so."""
    if needs == NOBODY:
        return got in ("is not taken", "is refused")
    return got in ("answers", "is not there" if absent else "answers") if holds(who, needs) else got == "is refused"


@pytest.mark.parametrize("name", ["view-rename", "view-delete", "mfa_remove_webauthn", "mfa_edit_webauthn"])
def test_what_belongs_to_one_person_is_not_there_for_others(portal: Portal, name: str) -> None:
    """404 and not 403: nobody learns that somebody has it."""
    found = next(page for page in pages() if page.name == name)
    client = portal.browser("admin")
    client.session.save()
    for method in ("get", "post"):
        with undone():
            answer = getattr(client, method)(found.path(portal.known["lead"]))
        assert answer.status_code == 404 or "/account/confirm" in answer.headers.get("Location", ""), name


def test_nobody_ends_a_session_of_somebody_else_as_their_own(portal: Portal) -> None:
    number = portal.known["lead"]["session_id"]
    answer = portal.browser("admin").post(f"/settings/sessions/{number}/end", follow=True)
    assert PersonSession.objects.filter(pk=number).exists()
    assert "That session is ended" not in answer.content.decode()


@pytest.mark.parametrize("who", WHO)
def test_djangos_admin_is_for_admins(portal: Portal, who: str) -> None:
    for page in admin_pages():
        if page.name in ("admin:login", "admin:logout"):
            continue
        for method in ("get", "post"):
            with undone():
                answer = getattr(portal.browser(who), method)(page.path({}))
            allowed = holds(who, ADMIN)
            shut = answer.status_code in (401, 403) or "login" in answer.headers.get("Location", "")
            assert shut is not allowed or (allowed and answer.status_code in (302, 403, 404, 405)), (page.name, method)


@pytest.mark.parametrize("who", WHO)
def test_the_admins_own_log_in_takes_no_password(portal: Portal, who: str) -> None:
    """It leads to the one log-in, or on to where an admin wanted to go; everybody else is told no."""
    sent = {"username": "admin@example.com", "password": PASSWORD}
    expected = {"nobody": (302, "/login"), "admin": (302, "/admin/")}.get(who, (403, ""))
    client = portal.browser(who)
    for answer in (client.get("/admin/login/"), client.post("/admin/login/", sent)):
        assert (answer.status_code, answer.headers.get("Location", "").partition("?")[0]) == expected
    assert ("_auth_user_id" in client.session) is (who != "nobody")


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
    if "/templates/" in path:
        known = known | {"name": known["template.name"]}
    body = json.dumps(filled(BODIES.get(name, {}), known))
    extra: dict[str, Any] = {} if method == "get" else {"data": body, "content_type": "application/json"}
    with undone():
        answer: HttpResponseBase = getattr(client, method)(path.format(**known), headers=headers, **extra)
    assert answer.status_code < 500, (name, answer.status_code)
    return answer


@pytest.mark.parametrize("scope", [*SCOPES, ""])
def test_keys_do_exactly_what_their_scope_says(portal: Portal, scope: str) -> None:
    known = portal.known["admin"]
    headers = {}
    if scope:
        raw = create_key(name="one-scope", scopes=[scope], actor=SYSTEM).raw
        headers = {"Authorization": f"Bearer {raw}"}
    for name, method, path in operations():
        answer = call(Client(), name, method, path, known, **headers)
        if not scope:
            assert answer.status_code == 401, (name, answer.status_code)
        elif scope.replace(":", ".") == OPERATIONS[name]:
            assert answer.status_code in (200, 201, 202, 409), (name, scope, answer.status_code)
        else:
            assert answer.status_code == 403, (name, scope, answer.status_code)


@pytest.mark.parametrize("who", WHO)
def test_a_session_may_read_what_its_role_may_and_change_nothing(portal: Portal, who: str) -> None:
    known = portal.known["admin"]
    for name, method, path in operations():
        answer = call(portal.browser(who), name, method, path, known)
        if who == "nobody" or method != "get":
            assert answer.status_code == 401, (name, answer.status_code)
        else:
            assert answer.status_code in ((200,) if holds(who, OPERATIONS[name]) else (403,)), name


def test_a_key_opens_no_page(portal: Portal) -> None:
    raw = create_key(name="all", scopes=list(SCOPES), actor=SYSTEM).raw
    known = portal.known["admin"]
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


def test_a_rule_that_is_wrong_is_found(portal: Portal, refusals: Refusals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PAGES, "audit", Rule(get="messages.read"))
    only = [page for page in pages() if page.name == "audit"]
    monkeypatch.setitem(globals(), "pages", lambda: only)
    with pytest.raises(AssertionError, match=r"GET audit /audit: viewer needs messages.read, and it is refused"):
        test_pages_answer_exactly_the_allowed(portal, refusals, "viewer")


def test_addresses_are_filled_with_what_is_there() -> None:
    found = next(page for page in pages() if page.name == "service-override")
    assert isinstance(found, Address)
    assert found.path({"name": "smtp"}) == "/services/smtp/override"

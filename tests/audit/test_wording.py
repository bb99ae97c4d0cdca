"""Every action that the code writes has words."""

from __future__ import annotations

import ast
from pathlib import Path

from apps.audit.wording import ACTIONS, action_words
from apps.breakers.machine import Kind
from apps.console.selectors.audit_links import KEY, MANY_ALERTS, MANY_LETTERS, PAGES, PERSON, WHOLE, WITHOUT_PAGE

APPS = Path(__file__).resolve().parents[2] / "apps"
PREFIXES = tuple(sorted({code.partition(".")[0] + "." for code in ACTIONS}))
CALLS = ("record", "_record", "_move", "_triage", "_written", "_note", "noted", "_noted")


def written_actions() -> set[str]:
    """``action="..."`` anywhere, and texts given to the functions that hand an action on."""
    found: set[str] = set()
    for path in APPS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "action":
                found |= texts(node.value)
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in CALLS:
                found |= {text for item in node.args for text in texts(item) if text.startswith(PREFIXES)}
    return {text for text in found if "." in text}


def texts(node: ast.AST) -> set[str]:
    return {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)}


def test_every_action_has_words() -> None:
    missing = sorted(action for action in written_actions() - set(ACTIONS) if not action.startswith("breaker."))
    assert not missing, f"add to ACTIONS in apps/audit/wording.py what these are in words: {missing}"


def test_what_operators_do_to_breakers_has_words() -> None:
    by_people = (Kind.FORCED_OPEN, Kind.FORCED_CLOSED, Kind.METRICS_ONLY, Kind.RESET, Kind.TEST_ASKED, Kind.CONFIGURED)
    assert {f"breaker.{kind.value}" for kind in by_people} <= set(ACTIONS)


def spelled(node: ast.AST) -> set[str]:
    """The texts of an expression, without the names by which something is looked up."""
    looked_up = {text for item in ast.walk(node) if isinstance(item, ast.Subscript) for text in texts(item.slice)}
    return texts(node) - looked_up


def written_targets() -> set[str]:
    """What ``target=`` begins with, or ends with, in calls that write to the trail."""
    found: set[str] = set()
    for path in APPS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {item.arg for item in node.keywords} if isinstance(node, ast.Call) else set()
            if isinstance(node, ast.Call) and {"target", "actor"} <= names and names & {"action", "reason", "after"}:
                found |= {text for item in node.keywords if item.arg == "target" for text in spelled(item.value)}
    return found - {""}


def test_every_target_has_a_page_or_is_known_to_have_none() -> None:
    starts = (PERSON, KEY, *PAGES)
    unknown = [
        text
        for text in sorted(written_targets())
        if text not in (*WHOLE, *WITHOUT_PAGE, MANY_LETTERS, MANY_ALERTS) and not text.startswith(starts)
    ]
    assert len(written_targets()) > 8
    assert not unknown, f"say in apps/console/selectors/audit_links.py which page these targets have: {unknown}"


def test_an_action_of_another_release_is_shown_as_it_is() -> None:
    assert action_words("gone.long_ago") == "gone.long_ago"
    assert action_words("service.paused") == "Paused a service"

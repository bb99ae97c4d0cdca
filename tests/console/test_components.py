"""The living page of components: complete, for admins, and true to its code."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.utils.html import escape

from apps.console.shell import SCRIPTS, STYLES
from apps.console.views.components import EXAMPLES, FOLDER

Person = Callable[[str], Client]
STATIC = Path(settings.BASE_DIR) / "static"


@pytest.mark.parametrize("role", ["viewer", "operator", "lead"])
def test_it_is_for_admins(person: Person, role: str) -> None:
    client = person(role)
    assert client.get("/components").status_code == 403
    assert 'href="/components"' not in client.get("/").content.decode()


def test_every_example_is_shown_with_its_code(person: Person) -> None:
    client = person("admin")
    page = client.get("/components").content.decode()
    files = sorted((Path(settings.BASE_DIR) / "templates" / FOLDER).glob("*.html"))
    assert {path.stem for path in files} == {name for name, _, _ in EXAMPLES}
    for path in files:
        assert f'id="{path.stem}"' in page
        assert escape(path.read_text().strip()) in page, path.stem
    assert 'href="/components"' in client.get("/").content.decode()


def test_every_part_is_shown(person: Person) -> None:
    """A component that is added is added to the page too."""
    source = "".join(path.read_text() for path in (Path(settings.BASE_DIR) / "templates" / FOLDER).glob("*.html"))
    parts = (Path(settings.BASE_DIR) / "apps/core/templatetags/parts.py").read_text()
    for tag in re.findall(r"^@register[^\n]*\ndef (\w+)", parts, re.MULTILINE):
        assert f"{{% {tag} " in source, tag


def test_a_page_weighs_less_than_100_kb_with_its_files(night: None, person: Person) -> None:
    """As it goes over the wire: files are compressed once, pages by the proxy in front."""
    client = person("admin")
    files = sum(len(gzip.compress((STATIC / name).read_bytes())) for name in (*STYLES, *SCRIPTS))
    for path in ("/", "/outbox", "/dead-letters", "/components"):
        page = len(gzip.compress(client.get(path).content))
        assert files + page < 100_000, (path, files, page)


def test_another_session_is_another_mark(person: Person) -> None:
    marks = set()
    for role in ("viewer", "lead"):
        client = person(role)
        page = client.get("/services").content.decode()
        mark = re.search(r'name="page-mark" content="(\w+)"', page)
        assert mark is not None
        assert client.get("/services", headers={"X-Live": "1"}).headers["X-Page-Mark"] == mark[1]
        marks.add(mark[1])
    assert len(marks) == 2

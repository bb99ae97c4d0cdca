"""Pages in Indonesian: what machines read stays as it is, and nothing of one person's language reaches another."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

from django.core.cache import cache
from django.test import Client

from apps.accounts.models import User
from tests.console.conftest import make_person
from tests.console.places import DIALOGS, PAGES, places

Person = Callable[[str], Client]
FIGURE = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?%?")
FIGURES = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "rx", "ry", "width", "height", "min", "max", "step"}
LISTS = {"points", "viewbox", "d"}
LIST = re.compile(r"[-\d.,\sMmLlHhVvCcSsQqTtAaZz%e]*")


class Machine(HTMLParser):
    """Collects attributes that a browser reads as figures and cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            text = value or ""
            wrong = name in FIGURES and text not in ("any", "device-width") and not FIGURE.fullmatch(text)
            # 12,5 for 12.5 would make a pair of one figure.
            wrong |= name == "viewbox" and len(text.replace(",", " ").split()) != 4
            wrong |= name in LISTS and not LIST.fullmatch(text)
            # A day, or a moment with at most the three digits that HTML knows.
            wrong |= name == "datetime" and not re.fullmatch(r"[\d-]{10}(T[\d:]{8}(\.\d{3})?Z)?", text)
            if tag not in ("meta", "svg") or name == "viewbox":
                self.bad += [f"<{tag} {name}={text!r}>"] if wrong else []
            if name == "points" and any(pair.count(",") != 1 for pair in text.split()):
                self.bad.append(f"<{tag} points={text!r}>")


def test_figures_that_machines_read_are_the_same_in_every_language(night: None, person: Person) -> None:
    client, known = person("admin"), places()
    User.objects.update(language="id", time_zone="Asia/Jakarta")
    bad: dict[str, str] = {}
    for path in (*PAGES, *DIALOGS):
        parser = Machine()
        parser.feed(client.get(path.format(**known)).content.decode())
        bad |= dict.fromkeys(parser.bad, path)
    assert not bad, bad


def test_every_page_answers_in_indonesian_and_polls_to_rest(night: None, person: Person) -> None:
    client, known = person("lead"), places()
    User.objects.update(language="id", time_zone="Asia/Jakarta")
    for pattern in PAGES:
        path = pattern.format(**known)
        answer = client.get(path)
        assert answer.status_code == 200, path
        page = answer.content.decode()
        assert '<html lang="id"' in page, path
        if 'id="live"' not in page:
            continue
        shown = dict(re.findall(r'data-region="([a-z-]+)" data-hash="([0-9a-f]{12})"', page))
        for _ in range(4):  # a countdown or a rate may have passed a second in between
            etag = '"' + " ".join(f"{name}.{mark}" for name, mark in sorted(shown.items())) + '"'
            poll = client.get(path, headers={"X-Live": "1", "HX-Request": "true", "If-None-Match": etag})
            if poll.status_code == 304:
                break
            shown |= dict(re.findall(r'data-region="([a-z-]+)" data-hash="([0-9a-f]{12})"', poll.content.decode()))
        assert poll.status_code == 304, path


def test_what_is_kept_for_all_holds_no_language(night: None, person: Person) -> None:
    """The shared cache is filled by an Indonesian reader, then read by an English one, and the other way round."""
    english, indonesian = person("lead"), Client()
    indonesian.force_login(make_person("operator"))
    User.objects.filter(role="operator").update(language="id")
    for first, second, words, foreign in (
        (indonesian, english, "Dead letters", "Dead letter per penyebab"),
        (english, indonesian, "Dead letter per penyebab", "Needs a person"),
    ):
        cache.clear()
        first.get("/")
        page = second.get("/").content.decode()
        assert words in page
        assert foreign not in page


def test_scripts_are_given_their_words_in_the_language_of_the_page(db: None, person: Person) -> None:
    client = person("viewer")
    User.objects.update(language="id")
    page = client.get("/services").content.decode()
    told = re.search(r'<body data-words="([^"]*)"', page)
    assert told is not None
    words = json.loads(told[1].replace("&quot;", '"').replace("&#x27;", "'").replace("&amp;", "&"))
    assert words["ago"] == "{time} lalu"
    assert words["minutes"] == "{number} mnt"
    assert "words.js" in page
    assert page.index("words.js") < page.index("times.js")

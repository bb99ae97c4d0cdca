"""Every word on every page can be translated: shown in a made-up language, nothing may be left in English."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.test import Client

from apps.accounts.models import User
from apps.outbox.models import MessageStatus
from tests.console.places import DIALOGS, PAGES, places
from tests.languages.pseudo import Data, accented, seen

Person = Callable[[str], Client]
ALONE = ("/nowhere", "/services/nope", "/outbox/999999999", "/outbox?status=nonsense")


def speak(client: Client) -> None:
    User.objects.update(language="id")


def plain_words(client: Client, paths: Iterable[str], data: Data) -> dict[str, str]:
    """Texts that hold a word in plain English, and the first page that shows each."""
    left: dict[str, str] = {}
    for path in paths:
        left |= {
            text: path for text in seen(client.get(path).content.decode()) if data.plain(text) and text not in left
        }
    return left


def told(left: dict[str, str]) -> str:
    return f"{len(left)} texts are not translatable:\n" + "\n".join(f"{path}: {text}" for text, path in left.items())


def test_no_page_holds_a_word_that_cannot_be_translated(night: None, person: Person, pseudo: None) -> None:
    client, known = person("admin"), places()
    speak(client)
    left = plain_words(
        client, [path.format(**known) for path in (*PAGES, *ALONE)], Data(["nope", "NONSENSE", *MessageStatus])
    )
    assert not left, told(left)


def test_no_dialog_holds_one(night: None, person: Person, pseudo: None) -> None:
    client, known = person("admin"), places()
    speak(client)
    left = plain_words(client, [path.format(**known) for path in DIALOGS], Data())
    assert not left, told(left)


def test_what_a_form_refuses_can_be_translated(night: None, person: Person, pseudo: None) -> None:
    client, known = person("admin"), places()
    speak(client)
    data, left = Data(), {}
    for path in DIALOGS:
        answer = client.post(path.format(**known), {}, headers={"HX-Request": "true"})
        left |= {text: path for text in seen(answer.content.decode()) if data.plain(text)}
    assert not left, told(left)


def test_the_pages_before_the_log_in(pseudo: None, db: None) -> None:
    client = Client(headers={"Accept-Language": "id"})
    left = plain_words(client, ("/login",), Data())
    assert not left, told(left)
    answer = client.post("/login", {"login": "nobody@example.com", "username": "nobody@example.com", "password": "x"})
    page = answer.content.decode()
    assert "⟦" in page
    assert not [text for text in seen(page) if Data(["nobody@example.com"]).plain(text)]


def test_it_would_be_noticed(night: None, pseudo: None) -> None:
    data = Data()
    assert data.plain("Utterly unheard") == ("Utterly", "unheard")
    assert data.plain("Wonders of midtrans") == ("Wonders", "of")
    assert not data.plain("midtrans · HTTP 503")
    assert not data.plain(accented("Replay of {name}").format(name="midtrans"))
    assert data.plain(accented("Replay of {name}").format(name="wonders")) == ("wonders",)
    assert seen('<p title="One">Two <code>three</code> <b>four</b></p>') == ["One", "Two", "four"]

"""What people do with a timeline: their lines, pins, what they hide; and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.incidents.models import Incident, TimelineEntry
from apps.incidents.timeline import collect, lines
from apps.incidents.timeline.services import add_line, clean_link, delete_line, edit_line, hide, pin
from tests.incidents.conftest import service
from tests.incidents.timelines import incident, minute

MIN = timedelta(minutes=1)


@pytest.fixture
def made(now: datetime) -> Incident:
    service()
    found = incident(now - 20 * MIN, "midtrans")
    minute("midtrans", now - 10 * MIN, 3)
    collect(found, now)
    return found


def _actions(made: Incident) -> list[str]:
    rows = AuditEntry.objects.filter(target=f"incident:{made.pk}").order_by("pk")
    return [row.action.removeprefix("incident.line_") for row in rows]


def test_a_line_is_now_unless_it_was_before(made: Incident, now: datetime, ana: Actor) -> None:
    assert add_line(incident_id=made.pk, actor=ana, text="now").at >= now
    assert add_line(incident_id=made.pk, actor=ana, text="then", at=now - 15 * MIN).at == now - 15 * MIN
    assert [line.title for line in lines(made) if line.by_hand] == ["then", "now"]


def test_everything_is_in_the_trail(made: Incident, now: datetime, ana: Actor) -> None:
    line = add_line(incident_id=made.pk, actor=ana, text="one")
    edit_line(incident_id=made.pk, line_id=line.pk, actor=ana, text="two", at=line.at, url="https://x.example/1")
    for verb in (pin, hide):
        verb(incident_id=made.pk, line_id=line.pk, actor=ana)
        verb(incident_id=made.pk, line_id=line.pk, actor=ana)
        verb(incident_id=made.pk, line_id=line.pk, actor=ana, on=False)
    delete_line(incident_id=made.pk, line_id=line.pk, actor=ana)
    assert _actions(made) == ["added", "changed", "pinned", "unpinned", "hidden", "shown", "deleted"]
    gone = AuditEntry.objects.get(action="incident.line_deleted")
    assert gone.before["text"] == "two"


def test_changing_nothing_writes_nothing(made: Incident, ana: Actor) -> None:
    line = add_line(incident_id=made.pk, actor=ana, text="one")
    edit_line(incident_id=made.pk, line_id=line.pk, actor=ana, text=" one ", at=line.at)
    assert _actions(made) == ["added"]


def test_hiding_unpins_and_pinning_shows(made: Incident, ana: Actor) -> None:
    fact = lines(made)[0]
    pin(incident_id=made.pk, line_id=fact.id, actor=ana)
    hide(incident_id=made.pk, line_id=fact.id, actor=ana)
    row = TimelineEntry.objects.get(pk=fact.id)
    assert (row.pinned, row.hidden) == (False, True)
    pin(incident_id=made.pk, line_id=fact.id, actor=ana)
    row.refresh_from_db()
    assert (row.pinned, row.hidden) == (True, False)


def test_only_who_wrote_a_line_changes_it_and_nobody_a_fact(made: Incident, ana: Actor, budi: Actor) -> None:
    line, fact = add_line(incident_id=made.pk, actor=ana, text="one"), lines(made)[0]
    for pk, what in ((line.pk, "only they"), (fact.id, "wrote this line from a fact")):
        with pytest.raises(Conflict, match=what):
            edit_line(incident_id=made.pk, line_id=pk, actor=budi, text="x", at=line.at)
        with pytest.raises(Conflict, match=what):
            delete_line(incident_id=made.pk, line_id=pk, actor=budi)


def test_who_looked_at_another_text_is_told(made: Incident, ana: Actor) -> None:
    line = add_line(incident_id=made.pk, actor=ana, text="one")
    with pytest.raises(Conflict, match="changed meanwhile"):
        edit_line(incident_id=made.pk, line_id=line.pk, actor=ana, text="x", at=line.at, seen="none")


def test_a_viewer_may_do_none_of_it(made: Incident, ana: Actor, viewer: Actor) -> None:
    line = add_line(incident_id=made.pk, actor=ana, text="one")
    one = {"incident_id": made.pk, "line_id": line.pk, "actor": viewer}
    for act in (
        lambda: add_line(incident_id=made.pk, actor=viewer, text="x"),
        lambda: edit_line(**one, text="x", at=line.at),
        lambda: delete_line(**one),
        lambda: pin(**one),
        lambda: hide(**one),
    ):
        with pytest.raises(Forbidden):
            act()


def test_lines_of_another_incident_are_not_here(made: Incident, now: datetime, ana: Actor) -> None:
    other = incident(now - MIN)
    line = add_line(incident_id=other.pk, actor=ana, text="x")
    for act in (pin, hide, delete_line):
        with pytest.raises(NotFound):
            act(incident_id=made.pk, line_id=line.pk, actor=ana)
    with pytest.raises(NotFound):
        add_line(incident_id=987_654, actor=ana, text="x")


def test_a_merged_incident_takes_no_lines(made: Incident, now: datetime, ana: Actor) -> None:
    merged = incident(now - MIN, state="merged", merged_into=made)
    with pytest.raises(Conflict, match=f"INC-{made.pk}"):
        add_line(incident_id=merged.pk, actor=ana, text="x")


def test_after_the_end_lines_are_taken_for_the_post_mortem(made: Incident, now: datetime, ana: Actor) -> None:
    Incident.objects.filter(pk=made.pk).update(state="resolved", resolved_at=now)
    assert add_line(incident_id=made.pk, actor=ana, text="it was the certificate").pk


@pytest.mark.parametrize("text", ["", "  \n ", "\x00", "x" * 2001])
def test_a_line_says_something_and_not_a_novel(text: str, made: Incident, ana: Actor) -> None:
    with pytest.raises(Invalid, match="text"):
        add_line(incident_id=made.pk, actor=ana, text=text)


def test_a_line_is_not_of_the_future_and_has_a_zone(made: Incident, now: datetime, ana: Actor) -> None:
    for at in (now + 60 * MIN, now.replace(tzinfo=None)):
        with pytest.raises(Invalid, match="at"):
            add_line(incident_id=made.pk, actor=ana, text="x", at=at)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        " data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https:///x",
        "http://",
        "https://user:secret@evil.example",
        "https://[",
        'https://x.example/"onclick=',
        "https://x.example/\u202etxt",
        "ftp://x.example",
        "x.example",
        "/" + "x" * 300,
    ],
)
def test_links_lead_to_the_web_or_to_this_portal(url: str, made: Incident, ana: Actor) -> None:
    with pytest.raises(Invalid, match="url"):
        add_line(incident_id=made.pk, actor=ana, text="x", url=url)


@pytest.mark.parametrize("url", ["", "/services/midtrans", "https://x.example/a?b=c#d", "HTTP://x.example", "/"])
def test_what_may_be_linked(url: str) -> None:
    assert clean_link(f" {url} ") == url

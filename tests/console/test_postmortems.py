"""The pages of post-mortems: reading, writing, two who write at once, later facts, and text from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.core.actor import SYSTEM
from apps.core.db import database_now
from apps.postmortems import renewing
from apps.postmortems.models import ActionItem, PostMortem
from apps.postmortems.sections import KEYS
from apps.postmortems.services import draft, save
from tests.postmortems.outages import GOOD, about, at, drafted, episode, line, make_incident, message, outage
from tests.postmortems.test_drafting import HOSTILE

Person = Callable[[str], Client]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def postmortem(db: None) -> PostMortem:
    return draft(incident_id=outage().pk, actor=SYSTEM)


def url(postmortem: PostMortem, more: str = "") -> str:
    return f"/post-mortems/{postmortem.pk}{more}"


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, path
    return answer.content.decode()


def typed(postmortem: PostMortem, **changes: Any) -> dict[str, Any]:
    return {**postmortem.sections, "title": postmortem.title, "seen": postmortem.version, "note": "", **changes}


# --- the list ---------------------------------------------------------------------------------------
def test_an_empty_portal_says_how_one_comes_about(person: Person) -> None:
    assert "No post-mortem yet" in text_of(person("viewer"), "/post-mortems")


def test_the_list_says_what_is_open_and_overdue(person: Person, postmortem: PostMortem) -> None:
    today = timezone.localdate()
    for days in (-3, 5):
        ActionItem.objects.create(
            postmortem=postmortem, text="x", owner="a@b.c", due=today + timedelta(days=days), created_by="ana"
        )
    html = text_of(person("viewer"), "/post-mortems")
    assert re.search(r'data-label="Open items"><a [^>]*>2<', html)
    assert re.search(r'bad-text strong" data-label="Overdue">1<', html)
    assert "40 min" in html
    assert postmortem.title in text_of(person("viewer"), "/post-mortems?state=overdue")
    assert postmortem.title not in text_of(person("viewer"), "/post-mortems?state=published")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=certificate", True),
        ("q=CERTIFICATE+ran", True),
        ("q=payments+certificate", True),
        ("q=nothing+certificate", False),
        ("q=%25", False),
        ("severity=sev1", True),
        ("severity=sev3", False),
        ("state=newer", False),
        ("state=no-such-state", True),
        ("q=%00", True),
    ],
)
def test_filters(person: Person, db: None, query: str, found: bool) -> None:
    made = drafted()
    save(postmortem_id=made.pk, actor=SYSTEM, title=made.title, sections=GOOD, seen=1)
    assert ("Payments fail" in text_of(person("viewer"), f"/post-mortems?{query}")) is found


def test_keyset(person: Person, db: None) -> None:
    for number in range(53):
        drafted(title=f"outage {number:02d}")
    client = person("viewer")
    first = text_of(client, "/post-mortems")
    cursor = re.search(r"cursor=(\d+)", first)
    assert cursor
    assert "outage 52" in first
    assert "outage 02" not in first
    assert "outage 02" in text_of(client, f"/post-mortems?cursor={cursor[1]}")
    assert client.get("/post-mortems?cursor=x").status_code == 422


# --- reading ----------------------------------------------------------------------------------------
def test_figures_say_how_they_are_counted_and_lead_to_their_rows(person: Person, postmortem: PostMortem) -> None:
    html = text_of(person("viewer"), url(postmortem))
    assert 'aria-label="Messages delayed: 6"' in html
    assert "/outbox?after=" in html
    assert "Due is when a message was accepted" in html
    assert "midtrans <b>4</b>" in html
    assert "note 1" in html
    assert "note 2" not in html
    assert "Root causes says nothing yet." in html


def test_one_that_is_not_there(person: Person) -> None:
    assert person("viewer").get("/post-mortems/999999").status_code == 404
    assert person("operator").get("/post-mortems/999999/edit").status_code == 404
    assert person("operator").post("/post-mortems/999999/preview").status_code == 404


def test_times_are_those_of_the_reader(person: Person, postmortem: PostMortem) -> None:
    client = person("viewer")
    client.cookies["opsportal_tz"] = "UTC"
    assert ">12:03:00</time>" in text_of(client, url(postmortem))


def test_who_may_what_is_offered(person: Person, postmortem: PostMortem) -> None:
    assert "/edit" not in text_of(person("viewer"), url(postmortem))
    assert "/edit" in text_of(person("operator"), url(postmortem))
    PostMortem.objects.update(state="in_review", reviewer="lena@example.com")
    assert "/publish" not in text_of(person("operator"), url(postmortem))
    assert "/publish" in text_of(person("lead"), url(postmortem))
    PostMortem.objects.update(state="published", published_at=database_now(), published_by="lena@example.com")
    html = text_of(person("lead"), url(postmortem))
    assert "/reopen" in html
    assert "/edit" not in html
    assert "says nothing yet" not in html


def test_the_page_lives(person: Person, postmortem: PostMortem) -> None:
    client = person("viewer")
    known = " ".join(
        f"{n}.{h}"
        for n, h in re.findall(r'data-region="([a-z-]+)" data-hash="([0-9a-f]+)"', text_of(client, url(postmortem)))
    )
    assert client.get(url(postmortem), headers={"X-Live": "1", "If-None-Match": known}).status_code == 304
    save(postmortem_id=postmortem.pk, actor=SYSTEM, title="Another title", sections=postmortem.sections, seen=1)
    answer = client.get(url(postmortem), headers={"X-Live": "1", "If-None-Match": known})
    assert "Another title" in answer.content.decode()


# --- writing ----------------------------------------------------------------------------------------
def test_saving(person: Person, postmortem: PostMortem) -> None:
    client = person("operator")
    answer = client.post(url(postmortem, "/edit"), typed(postmortem, root_causes="Why *so*?", note="found it"))
    assert answer.headers["Location"] == url(postmortem)
    html = text_of(client, url(postmortem))
    assert "Why <em>so</em>?" in html
    assert "found it" in html
    assert PostMortem.objects.get().version == 2


def test_the_preview_works_without_script_and_with(person: Person, postmortem: PostMortem) -> None:
    client = person("operator")
    fields = typed(postmortem, lucky="**luck**")
    answer = client.post(url(postmortem, "/edit"), {**fields, "verb": "preview"}).content.decode()
    assert "<strong>luck</strong>" in answer
    assert ">**luck**</textarea>" in answer.replace("\n", "")
    assert PostMortem.objects.get().version == 1
    assert "<strong>luck</strong>" in client.post(url(postmortem, "/preview"), fields).content.decode()
    assert client.post(url(postmortem, "/preview"), {}).status_code == 200


@pytest.mark.parametrize("changes", [{"title": ""}, {"title": "x" * 300}, {"lucky": "a\x00b"}, {"seen": "x"}])
def test_what_was_typed_survives_an_error(person: Person, postmortem: PostMortem, changes: dict[str, str]) -> None:
    fields = typed(postmortem, root_causes="an hour of work", **changes)
    answer = person("operator").post(url(postmortem, "/edit"), fields)
    assert answer.status_code == 422
    assert "an hour of work</textarea>" in answer.content.decode()
    assert PostMortem.objects.get().version == 1


def test_two_who_write_at_once(person: Person, postmortem: PostMortem) -> None:
    """The second sees both texts, keeps their own, and takes over what only the other has changed."""
    theirs = {**postmortem.sections, "root_causes": "theirs", "lucky": "their luck"}
    save(postmortem_id=postmortem.pk, actor=SYSTEM, title=postmortem.title, sections=theirs, seen=1)
    client = person("operator")
    answer = client.post(url(postmortem, "/edit"), typed(postmortem, root_causes="mine", went_well="my good"))
    html = answer.content.decode()
    assert answer.status_code == 409
    fields = dict(re.findall(r'<textarea name="(\w+)"[^>]*>\s*([^<]*)</textarea>', html))
    assert (fields["root_causes"], fields["went_well"], fields["lucky"]) == ("mine", "my good", "their luck")
    assert "system:opsportal saved version 2" in html
    assert 'name="seen" value="2"' in html
    assert "theirs</pre>" in html
    assert "you had not changed it: Where we were lucky." in html
    saved = client.post(url(postmortem, "/edit"), {**fields, "title": postmortem.title, "seen": "2"})
    assert saved.status_code == 302
    kept = PostMortem.objects.get().sections
    assert (kept["root_causes"], kept["went_well"], kept["lucky"]) == ("mine", "my good", "their luck")


def test_published_meanwhile_the_text_is_still_there(person: Person, postmortem: PostMortem) -> None:
    client = person("operator")
    PostMortem.objects.update(state="published", published_at=database_now())
    answer = client.post(url(postmortem, "/edit"), typed(postmortem, root_causes="an hour of work"))
    assert answer.status_code == 422
    assert "an hour of work</textarea>" in answer.content.decode()
    assert client.get(url(postmortem, "/edit")).status_code == 409


# --- what is pressed --------------------------------------------------------------------------------
def test_its_whole_way(person: Person, postmortem: PostMortem) -> None:
    lead = person("lead")
    client = person("operator")
    save(postmortem_id=postmortem.pk, actor=SYSTEM, title=postmortem.title, sections=GOOD, seen=1)
    assert client.post(url(postmortem, "/review?seen=2"), {"reviewer": "lead@example.com"}).status_code == 302
    assert client.post(url(postmortem, "/withdraw?seen=3"), {"reason": "not yet"}).status_code == 302
    assert client.post(url(postmortem, "/review?seen=4"), {"reviewer": "lead@example.com"}).status_code == 302
    assert "Publish" in text_of(lead, url(postmortem, "/publish?seen=5"))
    assert lead.post(url(postmortem, "/publish?seen=5"), {"note": ""}).status_code == 302
    assert PostMortem.objects.get().state == "published"
    assert lead.post(url(postmortem, "/reopen"), {"reason": "one more cause"}).status_code == 302
    restored = client.post(url(postmortem, "/versions/1/restore?seen=7"), {"reason": "begin anew"})
    assert restored.status_code == 302
    assert PostMortem.objects.get().version == 8


def test_what_is_missing_stands_in_the_dialog(person: Person, postmortem: PostMortem) -> None:
    PostMortem.objects.update(state="in_review")
    client = person("lead")
    html = client.get(url(postmortem, "/publish"), headers=HTMX).content.decode()
    assert "Root causes says nothing yet." in html
    assert 'type="submit"' not in html
    answer = client.post(url(postmortem, "/publish"), {}, headers=HTMX)
    assert answer.status_code == 422
    assert "no word on why" in answer.content.decode()


def test_a_stale_dialog_is_refused_in_words(person: Person, postmortem: PostMortem) -> None:
    save(postmortem_id=postmortem.pk, actor=SYSTEM, title="x", sections=GOOD, seen=1)
    person("lead")
    answer = person("operator").post(url(postmortem, "/review?seen=1"), {"reviewer": "lead@example.com"}, headers=HTMX)
    assert answer.status_code == 422
    assert "has become version 2" in answer.content.decode()


def test_later_facts_line_by_line(person: Person, postmortem: PostMortem) -> None:
    line(postmortem.incident, at(9), "9", text="we found a log")
    message("midtrans", sent_at=at(39))
    renewing.renew(postmortem.pk)
    client = person("operator")
    html = text_of(client, url(postmortem))
    assert "Later facts wait to be accepted" in html
    assert "<del>6 (midtrans 4, smtp 2)</del>" in html
    assert "<ins>7 (midtrans 5, smtp 2)</ins>" in html
    assert "<ins>we found a log</ins>" in html
    assert "later facts wait" in text_of(client, "/post-mortems?state=newer")
    href = re.search(r'href="([^"]*/accept\?[^"]*)"', html)
    assert href
    accept = href[1].replace("&amp;", "&")
    assert "2 lines of the facts change." in text_of(client, accept)
    assert client.post(accept, {"note": "seen"}).status_code == 302
    assert "Later facts" not in text_of(client, url(postmortem))
    assert client.post(accept, {"note": "twice"}).status_code == 422
    assert client.get(url(postmortem, "/accept?facts=x")).status_code == 200
    assert client.post(url(postmortem, "/accept?facts=x"), {}).status_code == 422


def test_dismissing_asks_why(person: Person, postmortem: PostMortem) -> None:
    message("midtrans", sent_at=at(39))
    renewing.renew(postmortem.pk)
    client = person("operator")
    assert client.post(url(postmortem, "/dismiss"), {"reason": ""}).status_code == 422
    assert client.post(url(postmortem, "/dismiss"), {"reason": "ours"}).status_code == 302
    assert "Later facts" not in text_of(client, url(postmortem))


def test_versions(person: Person, postmortem: PostMortem) -> None:
    save(postmortem_id=postmortem.pk, actor=SYSTEM, title="Another", sections=GOOD, seen=1)
    client = person("operator")
    html = text_of(client, url(postmortem, "/versions"))
    assert "<ins>+ A certificate ran out.</ins>" in html
    assert "<ins>+ Another</ins>" in html
    assert "There is nothing to compare" in text_of(client, url(postmortem, "/versions?version=1"))
    assert "<del>− A certificate ran out.</del>" in text_of(client, url(postmortem, "/versions?version=1&against=2"))
    assert client.get(url(postmortem, "/versions?version=9")).status_code == 404
    for wrong in ("x", "-1", "9" * 30, "²"):
        assert client.get(url(postmortem, f"/versions?version={wrong}")).status_code == 422


def test_one_can_be_begun_by_hand(person: Person, db: None) -> None:
    running = make_incident(state="investigating", resolved_at=None, title="Still going on")
    client = person("operator")
    assert "Still going on" in text_of(client, f"/post-mortems/new?incident={running.pk}")
    answer = client.post("/post-mortems/new", {"incident": running.pk})
    assert answer.headers["Location"] == url(PostMortem.objects.get())
    assert "Every incident has one already" in text_of(client, "/post-mortems/new")
    assert client.post("/post-mortems/new", {"incident": "7777777"}).status_code == 422


# --- text from outside ------------------------------------------------------------------------------
@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_shown_harmless(person: Person, db: None, hostile: str) -> None:
    incident = make_incident(
        title=hostile[:200], culprit={"kind": "x", "ref": "1", "title": hostile, "url": "javascript:alert(1)"}
    )
    about(incident, "midtrans")
    episode(incident, hostile, "midtrans")
    line(incident, at(3), "1", text=hostile, pinned=True, actor=hostile, url="javascript:alert(1)")
    made = draft(incident_id=incident.pk, actor=SYSTEM)
    texts = dict.fromkeys(KEYS, hostile)
    save(postmortem_id=made.pk, actor=SYSTEM, title=made.title, sections=texts, seen=1, note=hostile)
    line(incident, at(4), "2", text=hostile)
    renewing.renew(made.pk)
    client = person("operator")
    pages = [text_of(client, path) for path in ("/post-mortems", url(made), url(made, "/edit"), url(made, "/versions"))]
    pages.append(client.post(url(made, "/preview"), {**texts, "title": made.title}).content.decode())
    for page in pages:
        # What is edited must stay as it is; a field shows no markup.
        html = re.sub(r"<textarea.*?</textarea>", "", page, flags=re.DOTALL)
        assert not re.search(r"<script>alert|<img|href=\"javascript:|\u202e", html)
        assert "opsportal-tests" not in html


def test_two_who_write_hostile_text(person: Person, postmortem: PostMortem) -> None:
    theirs = {**postmortem.sections, "root_causes": "<script>alert(1)</script>\u202e"}
    save(postmortem_id=postmortem.pk, actor=SYSTEM, title=postmortem.title, sections=theirs, seen=1)
    answer = person("operator").post(url(postmortem, "/edit"), typed(postmortem, root_causes="</textarea><b>x"))
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "&lt;/textarea&gt;&lt;b&gt;x</textarea>" in html
    assert "<script>alert" not in html

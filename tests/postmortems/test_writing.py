"""Writing, versions, two people at once, review and publishing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.audit.models import AuditEntry
from apps.core.actor import INCIDENTS_WORK, Actor
from apps.core.errors import Conflict, Forbidden, Invalid, NotFound
from apps.postmortems import publishing, services
from apps.postmortems.models import ActionItem, PostMortem, State
from apps.postmortems.sections import KEYS, LONGEST, tidy
from tests.postmortems.outages import GOOD, drafted

OPERATOR = Actor("person", "ana@example.com", frozenset({INCIDENTS_WORK}))


@pytest.fixture
def begun(db: None) -> PostMortem:
    return drafted()


def write(postmortem: PostMortem, seen: int = 1, actor: Actor = OPERATOR, **sections: str) -> PostMortem:
    texts = {**postmortem.sections, **sections}
    return services.save(
        postmortem_id=postmortem.pk, actor=actor, title=postmortem.title, sections=texts, seen=seen, note="why"
    )


# --- saving -----------------------------------------------------------------------------------------
def test_every_save_is_a_version(begun: PostMortem) -> None:
    saved = write(begun, root_causes="A certificate ran out.")
    saved = write(saved, seen=2, lucky="It was noon.")
    assert saved.version == 3
    rows = [(row.number, row.actor, row.note) for row in saved.versions.all()]
    assert rows == [(3, "ana@example.com", "why"), (2, "ana@example.com", "why"), (1, "system:opsportal", "")]
    assert saved.versions.get(number=2).sections["lucky"] == ""
    assert saved.touched == ["lucky", "root_causes"]
    assert AuditEntry.objects.filter(action="postmortem.saved").count() == 2
    assert AuditEntry.objects.order_by("-id")[0].after == {"version": 3, "state": "draft", "sections": ["lucky"]}


def test_saving_what_is_there_changes_nothing(begun: PostMortem) -> None:
    assert write(begun).version == 1
    assert write(begun, seen=99).version == 1


def test_line_ends_and_what_no_database_takes(begun: PostMortem) -> None:
    saved = write(begun, root_causes="one\r\ntwo\rthree\x00\ud800 \n")
    assert saved.sections["root_causes"] == "one\ntwo\nthree\ufffd?"
    saved.refresh_from_db()
    assert saved.sections["root_causes"] == "one\ntwo\nthree\ufffd?"


def test_only_known_sections_are_kept(begun: PostMortem) -> None:
    assert set(write(begun, evil="x", lucky="y").sections) == set(KEYS)


def test_too_long_and_without_title(begun: PostMortem) -> None:
    with pytest.raises(Invalid) as error:
        write(begun, lucky="x" * (LONGEST + 1))
    assert error.value.detail[0]["field"] == "lucky"
    for title in ("", " \t ", "\u202e\u200b", "x" * 201):
        with pytest.raises(Invalid) as error:
            services.save(postmortem_id=begun.pk, actor=OPERATOR, title=title, sections={}, seen=1)
        assert error.value.detail[0]["field"] == "title"


def test_who_may_not_write(begun: PostMortem, viewer: Actor) -> None:
    with pytest.raises(Forbidden):
        write(begun, actor=viewer, lucky="x")
    with pytest.raises(NotFound):
        services.save(postmortem_id=10**9, actor=OPERATOR, title="x", sections={}, seen=1)


def test_a_second_writer_is_told_and_loses_nothing(begun: PostMortem) -> None:
    write(begun, root_causes="Mine.")
    with pytest.raises(services.EditConflict) as error:
        write(begun, seen=1, root_causes="Yours.")
    assert error.value.theirs.sections["root_causes"] == "Mine."
    assert error.value.detail == {"version": 2, "by": "ana@example.com"}
    begun.refresh_from_db()
    assert begun.sections["root_causes"] == "Mine."


@pytest.mark.django_db(transaction=True)
def test_of_many_who_save_at_once_one_does() -> None:
    begun = drafted()

    def save(number: int) -> str:
        try:
            write(begun, lucky=f"text {number}")
        except services.EditConflict:
            return "conflict"
        finally:
            connection.close()
        return "saved"

    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(save, range(6)))
    assert found == ["conflict"] * 5 + ["saved"]
    begun.refresh_from_db()
    assert begun.version == begun.versions.count() == 2


def test_an_older_version_is_restored_as_a_newer_one(begun: PostMortem) -> None:
    write(write(begun, summary="Better."), seen=2, summary="Worse.")
    restored = services.restore(postmortem_id=begun.pk, number=2, actor=OPERATOR, reason="it was better", seen=3)
    assert restored.version == 4
    assert restored.sections["summary"] == "Better."
    assert restored.versions.get(number=3).sections["summary"] == "Worse."
    with pytest.raises(Conflict, match="says the same"):
        services.restore(postmortem_id=begun.pk, number=2, actor=OPERATOR, reason="again")
    with pytest.raises(NotFound, match="no version 77"):
        services.restore(postmortem_id=begun.pk, number=77, actor=OPERATOR, reason="x")
    with pytest.raises(services.EditConflict):
        services.restore(postmortem_id=begun.pk, number=1, actor=OPERATOR, reason="x", seen=3)


def test_tidy_keeps_what_people_mean() -> None:
    assert tidy("  a\n\n  b\t\n") == "a\n\n  b"


# --- its way ----------------------------------------------------------------------------------------
@pytest.fixture
def reviewed(begun: PostMortem) -> PostMortem:
    User.objects.create_user("lena@example.com", "right-password", role="lead")
    write(begun, **GOOD)
    return publishing.submit(postmortem_id=begun.pk, reviewer="lena@example.com", actor=OPERATOR, seen=2)


def test_from_draft_to_published_and_back(reviewed: PostMortem, lead: Actor) -> None:
    assert (reviewed.state, reviewed.reviewer) == (State.IN_REVIEW, "lena@example.com")
    published = publishing.publish(postmortem_id=reviewed.pk, actor=lead)
    assert published.state == State.PUBLISHED
    assert published.published_by == "lead@example.com"
    with pytest.raises(Conflict):
        write(published, seen=published.version, lucky="too late")
    again = publishing.reopen(postmortem_id=reviewed.pk, actor=lead, reason="one more cause")
    assert (again.state, again.published_at) == (State.DRAFT, None)
    assert [row.state for row in again.versions.order_by("number")] == [
        "draft",
        "draft",
        "in_review",
        "published",
        "draft",
    ]
    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == [f"postmortem.{verb}" for verb in ("drafted", "saved", "submitted", "published", "reopened")]


def test_what_is_missing_is_named(reviewed: PostMortem, lead: Actor) -> None:
    write(reviewed, seen=3, root_causes=" ", no_items="", impact="")
    with pytest.raises(Invalid) as error:
        publishing.publish(postmortem_id=reviewed.pk, actor=lead)
    assert [problem["field"] for problem in error.value.detail] == ["impact", "root_causes", "no_items"]
    assert "Root causes says nothing yet." in error.value.message


def test_an_action_item_or_a_reason_why_there_is_none(reviewed: PostMortem, lead: Actor) -> None:
    write(reviewed, seen=3, no_items="")
    with pytest.raises(Invalid, match="no action item"):
        publishing.publish(postmortem_id=reviewed.pk, actor=lead)
    ActionItem.objects.create(
        postmortem=reviewed, text="Renew it", owner="ana@example.com", due=date(2030, 1, 1), created_by="ana"
    )
    assert publishing.publish(postmortem_id=reviewed.pk, actor=lead).state == State.PUBLISHED


def test_an_incident_that_runs_is_not_published(reviewed: PostMortem, lead: Actor) -> None:
    type(reviewed.incident).objects.update(state="investigating")
    with pytest.raises(Conflict, match="not over yet"):
        publishing.publish(postmortem_id=reviewed.pk, actor=lead)


def test_only_who_may_publishes(reviewed: PostMortem) -> None:
    with pytest.raises(Forbidden):
        publishing.publish(postmortem_id=reviewed.pk, actor=OPERATOR)
    with pytest.raises(Forbidden):
        publishing.reopen(postmortem_id=reviewed.pk, actor=OPERATOR, reason="x")


def test_no_step_is_skipped_or_done_twice(begun: PostMortem, lead: Actor) -> None:
    with pytest.raises(Conflict):
        publishing.publish(postmortem_id=begun.pk, actor=lead)
    with pytest.raises(Conflict):
        publishing.withdraw(postmortem_id=begun.pk, actor=lead, reason="x")
    with pytest.raises(Conflict):
        publishing.reopen(postmortem_id=begun.pk, actor=lead, reason="x")


def test_a_stale_page_publishes_nothing(reviewed: PostMortem, lead: Actor) -> None:
    write(reviewed, seen=3, lucky="new")
    with pytest.raises(Conflict, match="version 4"):
        publishing.publish(postmortem_id=reviewed.pk, actor=lead, seen=3)


def test_the_reviewer_is_somebody(begun: PostMortem) -> None:
    User.objects.create_user("gone@example.com", "right-password", role="lead", is_active=False)
    for reviewer in ("nobody@example.com", "gone@example.com", ""):
        with pytest.raises(Invalid, match="reviewer"):
            publishing.submit(postmortem_id=begun.pk, reviewer=reviewer, actor=OPERATOR)


def test_a_review_can_be_taken_back(reviewed: PostMortem) -> None:
    assert publishing.withdraw(postmortem_id=reviewed.pk, actor=OPERATOR, reason="not yet").state == State.DRAFT

"""Every version of a service's settings is kept, and an earlier one comes back as a new change."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.audit.models import AuditEntry
from apps.core.actor import Actor
from apps.core.errors import Conflict, Forbidden, NotFound
from apps.services.models import Service, ServiceVersion
from apps.services.services import create_service, pause, restore_version, resume, update_service
from apps.services.sync import sync_services
from apps.services.versions import drift, versions
from tests.conftest import make_service

pytestmark = pytest.mark.django_db


def edit(lead: Actor, **breaker: float) -> Service:
    return update_service(name="midtrans", changes={"breaker": breaker}, actor=lead, reason="too nervous at night")


def test_the_first_change_keeps_what_was_before_too(lead: Actor) -> None:
    make_service("midtrans", breaker={"volume_threshold": 5})
    edit(lead, volume_threshold=10)
    newest, first = versions("midtrans")[0]
    assert [(row.path, row.before, row.after) for row in newest.changes] == [("breaker.volume_threshold", 5, 10)]
    assert (newest.row.by, newest.row.reason) == ("lead@example.com", "too nervous at night")
    assert first.first
    assert first.row.definition["breaker"] == {"volume_threshold": 5}


def test_an_edit_that_changes_nothing_and_a_pause_make_no_version(lead: Actor) -> None:
    create_service(
        name="midtrans", definition={"channel": "http", "settings": {"url": "http://x.example/"}}, actor=lead
    )
    update_service(name="midtrans", changes={"owner": ""}, actor=lead)
    pause(name="midtrans", actor=lead, reason="maintenance")
    resume(name="midtrans", actor=lead)
    assert ServiceVersion.objects.count() == 1


def test_an_earlier_version_comes_back_as_a_new_change(lead: Actor) -> None:
    make_service("midtrans", breaker={"volume_threshold": 5})
    edit(lead, volume_threshold=10)
    service = restore_version(name="midtrans", version=1, actor=lead, reason="it was better", seen_version=2)
    assert (service.config_version, service.breaker) == (3, {"volume_threshold": 5})
    assert [view.row.version for view in versions("midtrans")[0]] == [3, 2, 1]
    assert AuditEntry.objects.filter(action="service.changed").count() == 2


def test_a_header_that_is_masked_everywhere_comes_back_as_it_was(lead: Actor) -> None:
    old = {"url": "http://x.example/", "headers": {"Authorization": "Bearer first"}}
    make_service("midtrans", settings=old)
    update_service(
        name="midtrans", changes={"settings": {**old, "headers": {"Authorization": "Bearer second"}}}, actor=lead
    )
    (change,) = versions("midtrans")[0][0].changes
    assert "second" not in str(change)
    assert "first" not in str(change)
    restore_version(name="midtrans", version=1, actor=lead, reason="back")
    assert Service.objects.get(pk="midtrans").settings["headers"] == {"Authorization": "Bearer first"}


def test_restoring_is_refused_without_permission_on_a_stale_page_and_for_what_is_not_there(
    lead: Actor, viewer: Actor
) -> None:
    make_service("midtrans", breaker={"volume_threshold": 5})
    edit(lead, volume_threshold=10)
    with pytest.raises(Forbidden):
        restore_version(name="midtrans", version=1, actor=viewer, reason="x")
    with pytest.raises(Conflict):
        restore_version(name="midtrans", version=1, actor=lead, reason="x", seen_version=1)
    with pytest.raises(NotFound):
        restore_version(name="midtrans", version=77, actor=lead, reason="x")
    assert Service.objects.get(pk="midtrans").breaker == {"volume_threshold": 10}


def test_pages_of_versions_compare_across_their_edge(lead: Actor) -> None:
    make_service("midtrans", breaker={"volume_threshold": 1})
    for volume in range(2, 7):
        edit(lead, volume_threshold=volume)
    shown, page = versions("midtrans", limit=2)
    assert [view.changes[0].before for view in shown] == [5, 4]
    shown, page = versions("midtrans", limit=2, cursor=page.next_cursor)
    assert [view.changes[0].before for view in shown] == [3, 2]


def test_drift_from_the_file(lead: Actor, tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    file.write_text(
        "services:\n  midtrans:\n    channel: http\n    settings: {url: 'http://x.example/'}\n"
        "    breaker: {volume_threshold: 5}\n"
    )
    sync_services(path=file, actor=lead)
    assert drift(Service.objects.get(pk="midtrans")) == []
    edit(lead, volume_threshold=9)
    (found,) = drift(Service.objects.get(pk="midtrans")) or []
    assert (found.path, found.before, found.after) == ("breaker.volume_threshold", 5, 9)
    assert [view.row.version for view in versions("midtrans")[0]] == [2, 1]


def test_a_service_that_was_never_in_a_file_does_not_drift() -> None:
    assert drift(make_service("midtrans")) is None

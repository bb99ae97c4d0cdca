from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command

from apps.audit.models import AuditEntry
from apps.core.actor import SYSTEM, Actor
from apps.core.errors import Forbidden
from apps.services.models import Service
from apps.services.services import update_service
from apps.services.sync import ServicePlan, sync_services
from apps.services.yamlfile import ServicesFileInvalid

MIDTRANS: dict[str, Any] = {
    "owner": "payments",
    "criticality": "critical",
    "channel": "http",
    "settings": {"url": "https://api.example.com/charge", "secret_ref": "MIDTRANS_KEY"},
    "retry": {"max_attempts": 5, "cap": 60},
    "limits": {"max_in_flight": 64, "max_per_second": None},
}
SLACK: dict[str, Any] = {"channel": "http", "settings": {"url": "https://hooks.example.com/x"}}


class File:
    """A services file that a test rewrites."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def holds(self, **services: Any) -> File:
        self.write(yaml.safe_dump({"services": services}))
        return self

    def sync(self, **options: Any) -> dict[str, ServicePlan]:
        return {plan.name: plan for plan in sync_services(path=self.path, actor=SYSTEM, **options)}


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "services.yaml")


def changed(plan: ServicePlan) -> dict[str, tuple[Any, Any]]:
    return {change.path: (change.before, change.after) for change in plan.changes}


@pytest.mark.django_db
class TestSync:
    def test_first_sync_makes_services(self, file: File) -> None:
        plans = file.holds(midtrans=MIDTRANS, slack=SLACK).sync()
        assert {name: plan.kind for name, plan in plans.items()} == {"midtrans": "new", "slack": "new"}
        service = Service.objects.get(pk="midtrans")
        assert service.secret_ref == "MIDTRANS_KEY"
        assert service.retry_policy.cap == 60
        assert service.criticality == "critical"
        assert AuditEntry.objects.filter(action="service.created").count() == 2

    def test_a_second_sync_does_nothing(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS).sync()
        before = Service.objects.values().get()
        plan = file.sync()["midtrans"]
        assert (plan.kind, plan.changes, plan.kept) == ("same", [], [])
        assert Service.objects.values().get() == before
        assert AuditEntry.objects.count() == 1

    def test_a_dry_run_changes_nothing(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS)
        assert file.sync(dry_run=True)["midtrans"].kind == "new"
        assert not Service.objects.exists()
        assert not AuditEntry.objects.exists()

    def test_what_the_file_changes_is_applied_and_audited(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS).sync()
        file.holds(midtrans=MIDTRANS | {"owner": "pay", "retry": {"max_attempts": 7}})
        plan = file.sync()["midtrans"]
        assert changed(plan) == {
            "owner": ("payments", "pay"),
            "retry.max_attempts": (5, 7),
            "retry.cap": (60, None),
        }
        service = Service.objects.get()
        assert service.retry == {"max_attempts": 7}
        assert service.config_version == 2
        entry = AuditEntry.objects.get(action="service.changed")
        assert entry.before == {"owner": "payments", "retry": {"max_attempts": 5, "cap": 60}}
        assert entry.reason == "sync of services.yaml"

    def test_an_edit_in_the_portal_stays_until_the_file_changes_that_very_option(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS).sync()
        update_service(name="midtrans", changes={"retry": {"max_attempts": 9, "cap": 60, "base": 3}}, actor=SYSTEM)

        plan = file.sync()["midtrans"]
        assert plan.kind == "same"
        assert {change.path for change in plan.kept} == {"retry.max_attempts", "retry.base"}

        file.holds(midtrans=MIDTRANS | {"retry": {"max_attempts": 5, "cap": 90}}).sync()
        assert Service.objects.get().retry == {"max_attempts": 9, "cap": 90, "base": 3}

        file.holds(midtrans=MIDTRANS | {"retry": {"max_attempts": 6, "cap": 90}}).sync()
        assert Service.objects.get().retry == {"max_attempts": 6, "cap": 90, "base": 3}

    def test_another_channel_brings_its_own_settings(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS).sync()
        whatsapp = {"channel": "whatsapp", "settings": {"phone_number_id": "1"}}
        file.holds(midtrans=whatsapp).sync()
        assert Service.objects.get().settings == {"phone_number_id": "1"}

    def test_services_that_left_the_file_are_reported_and_paused_on_request(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS, slack=SLACK).sync()
        Service.objects.create(name="made-in-portal", channel="http", settings=SLACK["settings"])
        file.holds(midtrans=MIDTRANS)
        plans = file.sync()
        assert plans["slack"].kind == "missing"
        assert "made-in-portal" not in plans
        assert Service.objects.get(pk="slack").paused_at is None
        assert file.sync(disable_missing=True)["slack"].kind == "pause"
        assert "no longer in services.yaml" in Service.objects.get(pk="slack").paused_reason
        assert file.sync(disable_missing=True)["slack"].kind == "missing"

    def test_an_edit_that_contradicts_the_new_file_is_told(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS | {"breaker": {"half_open_permits": 5}}).sync()
        update_service(
            name="midtrans", changes={"breaker": {"half_open_permits": 5, "success_threshold": 5}}, actor=SYSTEM
        )
        file.holds(midtrans=MIDTRANS | {"breaker": {"half_open_permits": 2}})
        with pytest.raises(ServicesFileInvalid, match="edited in the portal"):
            file.sync()
        assert Service.objects.get().breaker["half_open_permits"] == 5

    def test_needs_the_permission(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS)
        with pytest.raises(Forbidden):
            sync_services(path=file.path, actor=Actor("person", "viewer"))


BAD: list[tuple[str, list[str]]] = [
    ("services: [", [":1: is not valid YAML"]),
    ("services:\n  a: {channel: http\n  b:\n", [":3: is not valid YAML"]),
    ("", [':1: must begin with "services:"']),
    ("- a\n", [':1: must begin with "services:"']),
    ("services:\n", [':1: must begin with "services:"']),
    ("services: {}\nservice: {}\n", [":2: service: is not a known key. Did you mean services?"]),
    ("services:\n  Mid Trans: {channel: http}\n", [":2: services.Mid Trans: is not a service name"]),
    ("services:\n  1: {channel: http}\n", [":2: services.1: is not a service name"]),
    ("services:\n  a:\n", [":2: services.a: must be a mapping"]),
    ("services:\n  a:\n    owner: x\n", [":2: services.a.channel: is missing"]),
    ("services:\n  a:\n    channel: pigeon\n", [":3: services.a.channel: 'pigeon' is not known"]),
    (
        "services:\n  a:\n    channel: http\n    settings: {url: https://x.example}\n  a:\n    channel: http\n",
        [":5: services.a: is given twice"],
    ),
    (
        "services:\n  a:\n    channel: http\n    setings: {}\n    settings:\n      url: https://x.example\n"
        "      uri: x\n    retry:\n      max_attempts: many\n      bse: 1\n    breaker: 7\n    criticality: high\n",
        [
            ":4: services.a.setings: is not a known key. Did you mean settings?",
            ":7: services.a.settings.uri: is not a known option",
            ":9: services.a.retry.max_attempts: should be a valid integer",
            ":10: services.a.retry.bse: is not a known option",
            ":11: services.a.breaker: must be a mapping",
            ":12: services.a.criticality: 'high' is not known",
        ],
    ),
    (
        "services:\n  a:\n    channel: http\n    settings:\n      url: http://169.254.169.254/latest\n",
        [":5: services.a.settings.url: cannot be delivered to: 169.254.169.254 is a cloud metadata address"],
    ),
    (
        "services:\n  a:\n    channel: http\n    settings:\n      url: https://x.example\n"
        '      headers: {X-A: "a\\r\\nb"}\n',
        [":6: services.a.settings.headers"],
    ),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("text", "expected"), BAD)
def test_errors_name_file_line_and_field_and_nothing_is_stored(file: File, text: str, expected: list[str]) -> None:
    file.write(text)
    with pytest.raises(ServicesFileInvalid) as caught:
        file.sync()
    for part in expected:
        assert f"{file.path}{part}" in caught.value.message
    assert not Service.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_one_bad_service_stops_all(file: File) -> None:
    file.holds(midtrans=MIDTRANS, broken={"channel": "http", "settings": {"url": "nonsense"}})
    with pytest.raises(ServicesFileInvalid):
        file.sync()
    assert not Service.objects.exists()


@pytest.mark.django_db
def test_the_private_network_policy_counts(file: File, settings: Any) -> None:
    file.holds(inside={"channel": "http", "settings": {"url": "http://10.0.0.5/hook"}})
    settings.DELIVERY_PRIVATE_NETWORKS = "deny"
    with pytest.raises(ServicesFileInvalid, match="DELIVERY_PRIVATE_NETWORKS is deny"):
        file.sync()
    settings.DELIVERY_PRIVATE_NETWORKS = "allow"
    assert file.sync()["inside"].kind == "new"


@pytest.mark.django_db
class TestCommand:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("sync_services", *arguments, stdout=out)
        return out.getvalue()

    def test_dry_run_prints_a_diff_without_secrets(self, file: File) -> None:
        settings = MIDTRANS["settings"] | {"headers": {"X-Api-Key": "hush", "X-Team": "pay"}}
        file.holds(midtrans=MIDTRANS | {"settings": settings})
        said = self.run("--file", str(file.path), "--dry-run")
        assert "+ midtrans (new)" in said
        assert "    retry.cap: 60" in said
        assert "hush" not in said
        assert "would add 1, change 0, leave 0" in said
        assert not Service.objects.exists()

    def test_changes_and_kept_edits_are_shown(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS)
        self.run("--file", str(file.path))
        update_service(name="midtrans", changes={"owner": "us"}, actor=SYSTEM)
        file.holds(midtrans=MIDTRANS | {"retry": {"max_attempts": 5, "cap": 61}})
        said = self.run("--file", str(file.path))
        assert "retry.cap: 60 -> 61" in said
        assert "owner: kept us, edited in the portal; the file says payments" in said

    def test_json(self, file: File) -> None:
        file.holds(midtrans=MIDTRANS)
        found = json.loads(self.run("--file", str(file.path), "--json"))
        assert found["services"][0]["action"] == "new"

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="cannot be read: No such file"):
            self.run("--file", str(tmp_path / "none.yaml"))

    def test_the_shipped_file_is_right(self) -> None:
        self.run()
        assert set(Service.objects.values_list("name", flat=True)) >= {"midtrans", "smtp", "whatsapp", "database"}
        shipped = {service.name: service.breaker_policy for service in Service.objects.all()}
        figures = {
            name: (p.timeout, p.error_threshold_percentage, p.reset_timeout, p.rolling_count_timeout)
            for name, p in shipped.items()
        }
        assert figures["midtrans"] == (10, 50, 60, 10)
        assert figures["smtp"] == (5, 60, 120, 30)
        assert figures["whatsapp"] == (8, 70, 300, 60)
        assert figures["database"] == (3, 50, 10, 5)

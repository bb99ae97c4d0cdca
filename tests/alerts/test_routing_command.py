"""``manage.py alertrouting``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from apps.alerts.models import RoutingVersion
from apps.alerts.policies import in_force
from apps.alerts.routing import DEFAULT, parsed
from apps.audit.models import AuditEntry
from apps.services.yamlfile import read_services_file

pytestmark = pytest.mark.django_db
CONFIG = Path(__file__).resolve().parents[2] / "config"


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("alertrouting", *words, stdout=out)
    return out.getvalue()


def test_what_is_shown_can_be_loaded_and_is_in_the_trail(tmp_path: Path) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(run("show"))
    assert "in force as version" in run("load", str(path), "--reason", "a copy")
    assert in_force()[1] == parsed(DEFAULT)
    assert AuditEntry.objects.get(action="routing.saved").reason == "a copy"
    assert json.loads(run("show", "--json")) == in_force()[1].model_dump()


def test_if_none_leaves_what_somebody_saved() -> None:
    run("load", str(CONFIG / "sandbox-routing.yaml"), "--if-none")
    assert "nothing was changed" in run("load", str(CONFIG / "sandbox-routing.yaml"), "--if-none")
    assert RoutingVersion.objects.count() == 1


@pytest.mark.parametrize(("text", "complaint"), [("targets: [", "no YAML"), ("routes: []", "routes"), ("", "routing")])
def test_a_file_that_is_none_is_refused_with_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "routing.yaml"
    path.write_text(text)
    with pytest.raises(CommandError, match=complaint):
        run("load", str(path))
    assert not RoutingVersion.objects.exists()


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CommandError, match=r"/nowhere.yaml cannot be read"):
        run("load", "/nowhere.yaml")


def test_the_sandbox_reaches_everybody_it_names() -> None:
    document = yaml.safe_load((CONFIG / "sandbox-routing.yaml").read_text())
    services = read_services_file(CONFIG / "sandbox.yaml").services
    routing = parsed(document)
    assert {target.service for target in routing.targets.values() if target.service} <= set(services)
    assert {definition["owner"] for definition in services.values()} <= set(routing.owners)
    steps = {route.name: route.model_dump()["steps"] for route in parsed(DEFAULT).routes}
    assert {route.name: route.model_dump()["steps"] for route in routing.routes} == steps

"""The two shipped services files: valid, and true to what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.channels.registry import validate_settings
from apps.sandbox import services_file
from apps.sandbox.running import SECRET_NAMES
from apps.sandbox.stations import OFFSETS
from apps.services.yamlfile import read_services_file

CONFIG = services_file.SHIPPED.parent
# timeout, threshold, reset, window, buckets: the table of product.md.
DEFAULTS = {
    "midtrans": (10, 50, 60, 10, 10),
    "smtp": (5, 60, 120, 30, 30),
    "whatsapp": (8, 70, 300, 60, 60),
    "database": (3, 50, 10, 5, 5),
    # Those that page people are ours.
    "slack": (5, 50, 30, 30, 30),
    "pagerduty": (5, 50, 30, 30, 30),
}
OPTIONS = (
    "timeout",
    "error_threshold_percentage",
    "reset_timeout",
    "rolling_count_timeout",
    "rolling_count_buckets",
)


def services(path: Path) -> dict[str, dict[str, Any]]:
    return dict(read_services_file(path).services)


@pytest.mark.parametrize("name", ["services.yaml", "sandbox.yaml"])
def test_a_shipped_file_is_valid_down_to_the_settings_of_its_channels(name: str) -> None:
    for definition in services(CONFIG / name).values():
        validate_settings(definition["channel"], definition["settings"])


def test_the_shipped_policies_are_the_promised_ones() -> None:
    found = services(CONFIG / "services.yaml")
    assert {name: tuple(found[name]["breaker"][option] for option in OPTIONS) for name in found} == DEFAULTS
    assert {name: found[name]["breaker"]["half_open_permits"] for name in found} == dict.fromkeys(DEFAULTS, 1)
    assert found["database"]["breaker"]["scope"] == "local"


def test_the_example_of_a_partner_works_when_it_is_uncommented(tmp_path: Path) -> None:
    lines = (CONFIG / "services.yaml").read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if "# billing-webhook:" in line)
    opened = [line.replace("  # ", "  ", 1) for line in lines[start:]]
    path = tmp_path / "services.yaml"
    path.write_text("\n".join([*lines[:start], *opened]))
    assert "billing-webhook" in services(path)


def test_the_sandbox_differs_only_in_where_things_are_and_how_long_breakers_wait() -> None:
    real, played = services(CONFIG / "services.yaml"), services(CONFIG / "sandbox.yaml")
    for name, definition in real.items():
        assert played[name]["retry"] == definition["retry"]
        assert {**played[name]["breaker"], "reset_timeout": 0} == {**definition["breaker"], "reset_timeout": 0}
    resets = {name: played[name]["breaker"]["reset_timeout"] for name in ("midtrans", "smtp", "whatsapp")}
    assert resets == {"midtrans": 15, "smtp": 20, "whatsapp": 30}


def test_its_ports_are_those_of_the_sandbox() -> None:
    ports = {name: services_file.DEFAULT_BASE + offset for name, offset in OFFSETS.items()}
    played = services(CONFIG / "sandbox.yaml")
    assert played["midtrans"]["settings"]["url"] == f"http://127.0.0.1:{ports['midtrans']}/v2/charge"
    assert played["whatsapp"]["settings"]["base_url"] == f"http://127.0.0.1:{ports['whatsapp']}"
    assert played["billing-webhook"]["settings"]["url"] == f"http://127.0.0.1:{ports['billing-webhook']}/hooks/billing"
    assert played["smtp"]["settings"]["port"] == ports["smtp"]
    assert played["slack"]["settings"]["base_url"] == f"http://127.0.0.1:{ports['slack']}/api"
    assert played["pagerduty"]["settings"]["base_url"] == f"http://127.0.0.1:{ports['pagerduty']}"
    assert 1 + len(OFFSETS) == services_file.PORTS


def test_the_secret_the_partner_checks_is_the_one_the_portal_signs_with() -> None:
    played = services(CONFIG / "sandbox.yaml")
    assert {"billing-webhook": played["billing-webhook"]["settings"]["secret_ref"]} == SECRET_NAMES


def test_another_base_port_moves_every_port_and_nothing_else(tmp_path: Path) -> None:
    path = services_file.prepared(18090, tmp_path)
    assert path == tmp_path / services_file.COPY_NAME
    moved, shipped = path.read_text(), services_file.SHIPPED.read_text()
    content = [line for line in moved.splitlines() if not line.startswith("#")]
    assert not any(":80" in line or " 80" in line.replace("max_per_second: 80", "") for line in content)
    assert yaml.safe_load(moved.replace(":1809", ":809").replace(" 1809", " 809")) == yaml.safe_load(shipped)


def test_with_the_default_port_the_shipped_file_is_used_as_it_is(tmp_path: Path) -> None:
    assert services_file.prepared(8090, tmp_path) == services_file.SHIPPED
    assert list(tmp_path.iterdir()) == []

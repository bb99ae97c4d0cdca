"""The README is true: its first curl is run exactly as printed, and its links lead somewhere."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tooling.conftest import ROOT, Portal

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")


def first_curl() -> str:
    """The first block of shell that calls curl."""
    return next(block for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL) if "curl" in block)


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed (apt-get install curl)")
def test_the_first_curl_works_exactly_as_printed(make_run: Callable[..., Portal], tmp_path: Path) -> None:
    portal = make_run(sandbox=True)
    portal.wait_for("The portal is up")
    # The block names port 8000, where something else may listen here: curl's own file leads it to ours.
    (tmp_path / ".curlrc").write_text(f'connect-to = "127.0.0.1:8000:127.0.0.1:{portal.port}"\nfail-with-body\n')
    answer = json.loads(shell(portal, tmp_path, first_curl()))
    assert (answer["service"], answer["duplicate"]) == ("billing-webhook", False)
    deadline = time.monotonic() + 60
    command = f".venv/bin/python manage.py outbox show {answer['id']} --json"
    while (status := json.loads(shell(portal, tmp_path, command))["status"]) != "SENT":
        assert time.monotonic() < deadline, f"still {status}:\n{portal.said}"
        time.sleep(0.5)


def shell(portal: Portal, home: Path, script: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=portal.folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{portal.said}"
    return done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing, f"{document.name} links to {missing}"

"""Log lines: one JSON object each, with the ids of the request they belong to."""

from __future__ import annotations

import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
import structlog

from apps.core import context
from opsportal.logs import logging_config


@pytest.fixture
def json_logs(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """``capsys`` first: a handler keeps the stream it finds."""
    kept = structlog.get_config()
    handlers, level = logging.root.handlers[:], logging.root.level
    logging.config.dictConfig(logging_config("json", "INFO"))
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.configure(**kept)


@pytest.mark.usefixtures("json_logs")
def test_an_event_carries_its_keys_and_the_ids_of_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    token = context.request_id.set("req-1")
    try:
        structlog.get_logger("portal.test").info("delivery.failed", message_id=7)
    finally:
        context.request_id.reset(token)
    line = json.loads(capsys.readouterr().err)
    assert line["event"] == "delivery.failed"
    assert (line["message_id"], line["request_id"], line["level"], line["logger"]) == (
        7,
        "req-1",
        "info",
        "portal.test",
    )
    assert line["timestamp"].endswith("Z")
    assert "tenant_id" not in line


@pytest.mark.usefixtures("json_logs")
def test_a_library_that_logs_the_plain_way_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("some.library").exception("it %s", "failed")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("it failed", "error")
    assert "ValueError: broken" in line["exception"]

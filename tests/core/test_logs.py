"""Log lines: one JSON object each, with the ids of the request they belong to."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
import structlog

from apps.core import context
from opsportal.logs import logging_config


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What the handler of the portal writes, with LOG_FORMAT=json."""
    kept, handlers, level = structlog.get_config(), logging.root.handlers[:], logging.root.level
    logging.config.dictConfig(logging_config("json", "INFO"))
    written = io.StringIO()
    for handler in logging.root.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.get_name() == "out":
            handler.setStream(written)
    yield written
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.configure(**kept)


def test_an_event_carries_its_keys_and_the_ids_of_the_request(lines: io.StringIO) -> None:
    token = context.request_id.set("req-1")
    try:
        structlog.get_logger("portal.test").info("delivery.failed", message_id=7)
    finally:
        context.request_id.reset(token)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["message_id"], line["request_id"]) == ("delivery.failed", 7, "req-1")
    assert (line["level"], line["logger"]) == ("info", "portal.test")
    assert line["timestamp"].endswith("Z")
    assert "tenant_id" not in line


def test_a_library_that_logs_the_plain_way_is_json_too(lines: io.StringIO) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("some.library").exception("it %s", "failed")
    line = json.loads(lines.getvalue())
    assert (line["event"], line["level"]) == ("it failed", "error")
    assert "ValueError: broken" in line["exception"]

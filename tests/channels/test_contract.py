from __future__ import annotations

from tests.channels.contract import HttpContract, subject

__all__ = ["subject"]


class TestHttpContract(HttpContract):
    """The suite for http, whatsapp, slack (both modes), telegram, pagerduty and plane."""

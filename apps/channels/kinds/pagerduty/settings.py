"""Settings of a PagerDuty service (Events API v2)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from apps.channels.settings import ChannelSettings, WebAddress, host_of

Severity = Literal["critical", "error", "warning", "info"]


class PagerdutySettings(ChannelSettings):
    """The secret is the integration key, which PagerDuty calls routing_key."""

    base_url: WebAddress = "https://events.pagerduty.com"
    source: str = Field("opsportal", min_length=1, max_length=255)
    severity: Severity = "critical"
    client: str = Field("opsportal", max_length=255)
    client_url: WebAddress | Literal[""] = ""

    def hosts(self) -> dict[str, str]:
        return {"base_url": host_of(self.base_url)}

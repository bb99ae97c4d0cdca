"""Settings of a WhatsApp Business number (Cloud API)."""

from __future__ import annotations

from pydantic import Field

from apps.channels.settings import ChannelSettings, WebAddress, host_of


class WhatsappSettings(ChannelSettings):
    """The secret is the permanent access token of a system user."""

    phone_number_id: str = Field(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z_-]+$")
    base_url: WebAddress = "https://graph.facebook.com"
    api_version: str = Field("v23.0", pattern=r"^v[0-9]{1,3}\.[0-9]{1,2}$")
    preview_url: bool = False

    def hosts(self) -> dict[str, str]:
        return {"base_url": host_of(self.base_url)}

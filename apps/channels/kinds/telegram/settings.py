"""Settings of a Telegram bot."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from apps.channels.settings import ChannelSettings, WebAddress, host_of


class TelegramSettings(ChannelSettings):
    """The secret is the bot's token. ``chat_id`` is where messages without a recipient go."""

    base_url: WebAddress = "https://api.telegram.org"
    chat_id: str = Field("", max_length=64, pattern=r"^(-?[0-9]+|@[A-Za-z0-9_]+)?$")
    parse_mode: Literal["", "HTML", "MarkdownV2"] = ""
    disable_notification: bool = False

    def hosts(self) -> dict[str, str]:
        return {"base_url": host_of(self.base_url)}

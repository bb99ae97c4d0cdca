"""Settings of a Slack workspace."""

from __future__ import annotations

from typing import Literal, Self

from django.utils.translation import gettext as _
from pydantic import Field, model_validator

from apps.channels.settings import ChannelSettings, WebAddress, host_of


class SlackSettings(ChannelSettings):
    """``webhook``: an incoming webhook; its URL is a secret, so it is the service's secret, unless
    ``url`` is given (a gateway of your own). ``api``: chat.postMessage, the secret is the bot token,
    ``channel`` is where messages without a recipient go.
    """

    mode: Literal["webhook", "api"] = "webhook"
    url: WebAddress | Literal[""] = ""
    base_url: WebAddress = "https://slack.com/api"
    channel: str = Field("", max_length=100, pattern=r"^[^\x00-\x1f]*$")

    @model_validator(mode="after")
    def _fields_fit_the_mode(self) -> Self:
        if self.mode == "api" and self.url:
            raise ValueError(_("url belongs to mode: webhook; in mode: api set base_url"))
        if self.mode == "webhook" and self.channel:
            raise ValueError(_("a webhook posts to the channel it was made for: remove channel, or set mode: api"))
        return self

    def hosts(self) -> dict[str, str]:
        if self.mode == "api":
            return {"base_url": host_of(self.base_url)}
        return {"url": host_of(self.url)}

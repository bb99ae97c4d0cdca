"""Settings of a project in Plane."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from apps.channels.settings import ChannelSettings, WebAddress, host_of

UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


class PlaneSettings(ChannelSettings):
    """The secret is an API token. ``project`` is where messages without a recipient go.

    ``resource`` is ``issues`` for a Plane of before 2025, which does not know work items by that name.
    ``done_state`` is the state a work item gets whose message says ``"completed": true``.
    """

    base_url: WebAddress = "https://api.plane.so"
    workspace: str = Field(min_length=1, max_length=48, pattern=r"^[A-Za-z0-9_-]+$")
    project: str = Field(pattern=f"^{UUID}$")
    resource: Literal["work-items", "issues"] = "work-items"
    external_source: str = Field("opsportal", min_length=1, max_length=255)
    done_state: str = Field("", pattern=f"^({UUID})?$")

    def hosts(self) -> dict[str, str]:
        return {"base_url": host_of(self.base_url)}

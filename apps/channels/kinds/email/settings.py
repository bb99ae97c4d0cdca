"""Settings of a mail server."""

from __future__ import annotations

from typing import Literal, Self

from django.utils.translation import gettext as _
from pydantic import Field, field_validator, model_validator

from apps.channels.kinds.email.recipients import address_problem
from apps.channels.settings import ChannelSettings, Host

Tls = Literal["none", "starttls", "tls", "starttls_optional"]
DEFAULT_PORTS: dict[Tls, int] = {"none": 25, "starttls": 587, "tls": 465, "starttls_optional": 25}


class EmailSettings(ChannelSettings):
    """The secret is the password of ``username``.

    ``tls``: starttls upgrades or fails, tls speaks TLS from the first byte, starttls_optional upgrades
    where the server offers it (no password is sent otherwise), none never does.
    ``max_connections`` keeps below what the server allows one client; 0 means as many as in flight.
    """

    host: Host
    port: int | None = Field(None, ge=1, le=65535)
    tls: Tls = "starttls"
    verify: bool = True
    ca_file: str = ""
    username: str = Field("", max_length=320, pattern=r"^[^\x00-\x1f]*$")
    from_address: str = Field(max_length=320)
    from_name: str = Field("", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
    reply_to: str = Field("", max_length=320)
    hello: str = Field("", max_length=253, pattern=r"^[A-Za-z0-9.:\[\]-]*$")
    max_connections: int = Field(10, ge=0, le=1000)
    max_messages_per_connection: int = Field(100, ge=1, le=100_000)

    @field_validator("from_address", "reply_to")
    @classmethod
    def _is_address(cls, value: str) -> str:
        problem = address_problem(value) if value else None
        if problem:
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _sender_is_given(self) -> Self:
        if not self.from_address:
            raise ValueError(_("from_address is required: the sender of every message"))
        return self

    @property
    def smtp_port(self) -> int:
        return self.port or DEFAULT_PORTS[self.tls]

    def hosts(self) -> dict[str, str]:
        return {"host": self.host}

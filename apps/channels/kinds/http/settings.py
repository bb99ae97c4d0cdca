"""Settings of an HTTP destination."""

from __future__ import annotations

from typing import Literal, Self

from django.utils.translation import gettext as _
from pydantic import Field, model_validator

from apps.channels.settings import ChannelSettings, HeaderMap, WebAddress, host_of

Auth = Literal["signature", "bearer", "basic", "header", "none"]


class HttpSettings(ChannelSettings):
    """``auth`` says what the secret is for; unset, it signs when there is one.

    signature: Standard Webhooks. bearer: ``Authorization: Bearer SECRET``. basic: with ``username``
    the secret is the password; without, it is ``user:password`` or a user name with no password
    (Midtrans' server key). header: the secret is the value of ``auth_header``.
    """

    url: WebAddress
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: HeaderMap = Field(default_factory=dict)
    auth: Auth | None = None
    username: str = Field("", max_length=200, pattern=r"^[^:\x00-\x1f]*$")
    auth_header: str = Field("", max_length=100, pattern=r"^[A-Za-z0-9-]*$")
    proxy: WebAddress | Literal[""] = ""
    ca_file: str = ""

    @model_validator(mode="after")
    def _auth_is_complete(self) -> Self:
        if (self.auth == "header") != bool(self.auth_header):
            raise ValueError(_("auth: header and auth_header go together: give both or neither"))
        if self.username and self.auth != "basic":
            raise ValueError(_("username is only used with auth: basic"))
        own = {"bearer": "authorization", "basic": "authorization", "header": self.auth_header.lower()}
        taken = own.get(self.auth or "")
        if taken and taken in {name.lower() for name in self.headers}:
            raise ValueError(_("headers must not hold {name}: it is made from the secret").format(name=taken))
        return self

    def hosts(self) -> dict[str, str]:
        return {"url": host_of(self.url)}

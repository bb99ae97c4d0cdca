"""Base of the settings of every kind of channel: strict, and errors name the field as people wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from django.utils.translation import gettext as _
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from yarl import URL

from apps.channels import headers as rules
from apps.channels.addresses import host_refusal
from apps.channels.base import NetworkPolicy
from apps.core.errors import Invalid
from apps.services.policies import problems_of

# What holds under every policy; ``check_destination`` applies the installation's own.
LENIENT: Final = NetworkPolicy(allow_private=True)


def _web_address(text: str) -> str:
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError as error:
        raise ValueError(_("is not a URL: {error}").format(error=error)) from None
    if url.scheme not in ("http", "https") or not host or not port:
        raise ValueError(_("must be a whole URL that begins with https:// or http://"))
    if url.user is not None or url.password is not None:
        raise ValueError(_("must not hold a user name or password: store it as the secret and set `auth`"))
    if any(character.isspace() or character < " " for character in text):
        raise ValueError(_("must not hold spaces or control characters"))
    refused = host_refusal(url.raw_host or "", LENIENT)
    if refused:
        raise ValueError(_("cannot be delivered to: {reason}").format(reason=refused))
    return text


def _host(text: str) -> str:
    if not text or any(character.isspace() or character in "/@" or character < " " for character in text):
        raise ValueError(_("must be a host name or an IP address, without scheme, port or path"))
    refused = host_refusal(text, LENIENT)
    if refused:
        raise ValueError(_("cannot be delivered to: {reason}").format(reason=refused))
    return text


def _header_map(values: dict[str, str]) -> dict[str, str]:
    seen: set[str] = set()
    for name, value in values.items():
        found = rules.problem(name, value)
        if rules.is_reserved(name):
            found = _("is set by the portal itself and cannot be configured: remove it")
        elif name.lower() in seen:
            found = _("is given twice")
        if found:
            raise ValueError(f"{rules.shown(name)} {found}")
        seen.add(name.lower())
    return values


WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(_web_address)]
Host = Annotated[str, Field(max_length=253), AfterValidator(_host)]
HeaderMap = Annotated[dict[str, str], Field(max_length=50), AfterValidator(_header_map)]


class ChannelSettings(BaseModel):
    """Settings of one service. ``secret_ref`` names an environment variable; a secret is never in here.

    ``destinations`` names the settings that hold an address, for the check against the network policy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    secret_ref: str = Field("", max_length=100, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$|^$")

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Raises :class:`Invalid` with ``settings.field`` for each problem."""
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise Invalid.fields([_readable(item) for item in problems_of(error, "settings")]) from None

    def hosts(self) -> dict[str, str]:
        """Field name to the host it points at."""
        return {}

    def destination_problems(self, network: NetworkPolicy) -> list[dict[str, str]]:
        """What the network policy has against these settings, as far as it shows without a look-up."""
        reasons = {field: host_refusal(host, network) for field, host in self.hosts().items() if host}
        return [
            {"field": f"settings.{field}", "message": _("cannot be delivered to: {reason}").format(reason=reason)}
            for field, reason in reasons.items()
            if reason
        ]


def _readable(item: dict[str, str]) -> dict[str, str]:
    return {"field": item["field"], "message": item["message"].removeprefix("Value error, ")}


def host_of(url: str) -> str:
    return URL(url).raw_host or "" if url else ""

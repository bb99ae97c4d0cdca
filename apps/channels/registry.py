"""The kinds of channels, and how one is made from the plain values of a service. No ORM here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from apps.channels.base import Channel, NetworkPolicy
from apps.channels.kinds.email.channel import EmailChannel
from apps.channels.kinds.email.recipients import recipient_problem as email_recipient
from apps.channels.kinds.email.settings import EmailSettings
from apps.channels.kinds.http.channel import HttpChannel
from apps.channels.kinds.http.settings import HttpSettings
from apps.channels.kinds.pagerduty.channel import PagerdutyChannel
from apps.channels.kinds.pagerduty.settings import PagerdutySettings
from apps.channels.kinds.plane.channel import PlaneChannel
from apps.channels.kinds.plane.channel import recipient_problem as plane_recipient
from apps.channels.kinds.plane.settings import PlaneSettings
from apps.channels.kinds.slack.channel import SlackChannel
from apps.channels.kinds.slack.settings import SlackSettings
from apps.channels.kinds.telegram.channel import TelegramChannel
from apps.channels.kinds.telegram.channel import recipient_problem as telegram_recipient
from apps.channels.kinds.telegram.settings import TelegramSettings
from apps.channels.kinds.whatsapp.channel import WhatsappChannel
from apps.channels.kinds.whatsapp.channel import recipient_problem as whatsapp_recipient
from apps.channels.kinds.whatsapp.settings import WhatsappSettings
from apps.channels.settings import ChannelSettings
from apps.core.errors import Invalid


def _any_recipient(recipient: str) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """``recipient_problem`` says what is wrong with a message's recipient, or None."""

    settings: type[ChannelSettings]
    channel: Callable[..., Channel]
    recipient_problem: Callable[[str], str | None] = _any_recipient


KINDS: Final[dict[str, Kind]] = {
    "http": Kind(HttpSettings, HttpChannel),
    "email": Kind(EmailSettings, EmailChannel, email_recipient),
    "whatsapp": Kind(WhatsappSettings, WhatsappChannel, whatsapp_recipient),
    "slack": Kind(SlackSettings, SlackChannel),
    "telegram": Kind(TelegramSettings, TelegramChannel, telegram_recipient),
    "pagerduty": Kind(PagerdutySettings, PagerdutyChannel),
    "plane": Kind(PlaneSettings, PlaneChannel, plane_recipient),
}


def kinds() -> list[str]:
    """The words a service may give as its ``channel``."""
    return list(KINDS)


def kind_of(name: str) -> Kind:
    """Raises :class:`Invalid` for a kind that does not exist."""
    if name not in KINDS:
        raise Invalid.field(
            "channel",
            _("{name} is not a kind of channel: use one of {kinds}").format(name=repr(name), kinds=", ".join(KINDS)),
        )
    return KINDS[name]


def validate_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they should be stored; raises :class:`Invalid` that names ``settings.field``."""
    return kind_of(kind).settings.parse(settings).model_dump(mode="json", exclude_unset=True)


def build(
    kind: str,
    *,
    service: str,
    settings: Mapping[str, Any],
    secrets: Sequence[str],
    timeout: float,
    max_in_flight: int,
    network: NetworkPolicy,
) -> Channel:
    """A channel for one service. ``timeout`` is total, in seconds; ``secrets`` are the live ones, current first.

    Raises :class:`Invalid` for settings or secrets the channel cannot work with. Opens nothing yet:
    an address that may not be reached shows when a message is sent, as ``address_refused``.
    """
    found = kind_of(kind)
    parsed = found.settings.parse(settings)
    return found.channel(parsed, list(secrets), timeout=timeout, max_in_flight=max_in_flight, network=network)

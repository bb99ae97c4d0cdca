"""Telegram: sendMessage of the Bot API. The token is part of the URL, so a URL is never shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from django.utils.translation import gettext as _
from yarl import URL

from apps.channels.api import ApiChannel, Call, answer_object, as_integer, body_object, with_subject
from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.headers import refused
from apps.channels.kinds.telegram.settings import TelegramSettings
from apps.channels.network import Lookup, system_lookup
from apps.channels.retry_after import CAP_S
from apps.channels.wire import Answer
from apps.core.errors import Invalid

_TOKEN: Final = re.compile(r"[A-Za-z0-9:_-]{3,200}\Z")
_CHAT: Final = re.compile(r"(-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64})\Z", re.ASCII)
# 401: the token was revoked. 404: there is no bot of this token. Both hold for every message.
_UNUSABLE: Final = frozenset({401, 404})


def recipient_problem(recipient: str) -> str | None:
    if recipient and not _CHAT.match(recipient):
        return _("is not a chat: use its number, such as -1001234567890, or @channelname")
    return None


class TelegramChannel(ApiChannel):
    def __init__(
        self,
        settings: TelegramSettings,
        secrets: Sequence[str],
        *,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        lookup: Lookup = system_lookup,
    ) -> None:
        super().__init__(
            secrets=secrets,
            setting="settings.base_url",
            timeout=timeout,
            max_in_flight=max_in_flight,
            network=network,
            lookup=lookup,
        )
        if not _TOKEN.match(self._secret):
            raise Invalid.field("secret", _("is not a bot token, such as 123456:ABC-DEF"))
        self._url = URL(settings.base_url) / f"bot{self._secret}" / "sendMessage"
        self._chat = settings.chat_id
        self._options: dict[str, Any] = {"disable_notification": True} if settings.disable_notification else {}
        if settings.parse_mode:
            self._options["parse_mode"] = settings.parse_mode

    def compose(self, envelope: Envelope) -> Call:
        """JSON goes as it is (parse_mode, reply_markup, ...); text becomes ``text``."""
        body = body_object(envelope)
        if body is None:
            body = {"text": with_subject(envelope)}
        chat = str(envelope.recipient or body.get("chat_id") or self._chat)
        problem = recipient_problem(chat) if chat else "is empty and settings.chat_id is too: name a chat"
        if problem:
            raise refused("recipient", problem)
        return Call(self._url, self._options | body | {"chat_id": chat}, {})

    def judge(self, answer: Answer, envelope: Envelope) -> Receipt:
        found = answer_object(answer)
        if found is None or not isinstance(found.get("ok"), bool):
            raise self.unreadable(answer) if answer.is_success else self.by_status(answer)
        if found["ok"] and answer.is_success:
            result = found.get("result")
            return self.receipt(answer, result.get("message_id") if isinstance(result, dict) else "")
        raise self._failure(answer, found)

    def _failure(self, answer: Answer, found: dict[str, Any]) -> DeliveryError:
        """By ``error_code``, which repeats the HTTP status; ``parameters`` says how long to wait."""
        code = as_integer(found.get("error_code")) or answer.status
        slow = code == 429
        permanent = 400 <= code < 500 and not slow
        return self.error(
            answer,
            f"Telegram error {code}: {found.get('description') or 'no text'}",
            error_class=_class_of(code),
            permanent=permanent,
            retry_after=_seconds(found.get("parameters")) if slow else None,
            counts_as_failure=not permanent and not slow,
            pauses_service=code in _UNUSABLE,
        )


def _class_of(code: int) -> str:
    if code in _UNUSABLE:
        return "unauthorized"
    return "rate_limited" if code == 429 else "rejected" if 400 <= code < 500 else "server_error"


def _seconds(parameters: Any) -> float | None:
    value = as_integer(parameters.get("retry_after")) if isinstance(parameters, dict) else None
    return None if value is None else min(max(float(value), 0.0), CAP_S)

"""WhatsApp through Meta's Cloud API: texts, templates, and any other message type as JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.utils.translation import gettext as _
from yarl import URL

from apps.channels.api import ApiChannel, Call, answer_object, as_integer, body_object, with_subject
from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.headers import refused
from apps.channels.kinds.whatsapp.errors import UNAVAILABLE, meaning_of
from apps.channels.kinds.whatsapp.settings import WhatsappSettings
from apps.channels.network import Lookup, system_lookup
from apps.channels.retry_after import retry_after
from apps.channels.transport import utc_now
from apps.channels.wire import Answer

_SEPARATORS: Final = re.compile(r"[ ().-]")
_NUMBER: Final = re.compile(r"\+?[0-9]{6,15}\Z", re.ASCII)


def recipient_problem(recipient: str) -> str | None:
    if not recipient:
        return _("is required: the phone number with its country code, such as +6281234567890")
    if not _NUMBER.match(_SEPARATORS.sub("", recipient)):
        return _("is not a phone number with its country code, such as +6281234567890")
    return None


class WhatsappChannel(ApiChannel):
    def __init__(
        self,
        settings: WhatsappSettings,
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
        self._url = URL(settings.base_url) / settings.api_version / settings.phone_number_id / "messages"
        self._preview = settings.preview_url
        self._bearer = {"Authorization": f"Bearer {self._secret}"}

    def compose(self, envelope: Envelope) -> Call:
        problem = recipient_problem(envelope.recipient)
        if problem:
            raise refused("recipient", problem)
        body = {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": _SEPARATORS.sub("", envelope.recipient).removeprefix("+"),
            # Comes back in the status webhooks, so that they can be matched to the message.
            "biz_opaque_callback_data": envelope.wire_id,
        }
        return Call(self._url, self._content(envelope) | body, self._bearer)

    def _content(self, envelope: Envelope) -> dict[str, Any]:
        given = body_object(envelope)
        if given is None:
            return self._text(with_subject(envelope))
        if "template" in given:
            return {"type": "template", "template": given["template"]}
        if isinstance(given.get("text"), str):
            return self._text(given["text"])
        if "type" not in given:
            raise refused("json", "must hold `template`, `text`, or `type` and what the Cloud API wants for it")
        return given

    def _text(self, text: str) -> dict[str, Any]:
        return {"type": "text", "text": {"preview_url": self._preview, "body": text}}

    def judge(self, answer: Answer, envelope: Envelope) -> Receipt:
        found = answer_object(answer)
        error = (found or {}).get("error")
        if isinstance(error, dict):
            raise self._failure(answer, error, now=utc_now())
        if not answer.is_success:
            raise self.by_status(answer)
        messages = (found or {}).get("messages")
        if not isinstance(messages, list) or not messages or not isinstance(messages[0], dict):
            raise self.unreadable(answer)
        return self.receipt(answer, messages[0].get("id"))

    def _failure(self, answer: Answer, error: dict[str, Any], *, now: datetime) -> DeliveryError:
        code = as_integer(error.get("code"))
        meaning = meaning_of(code) if code is not None else None
        if meaning is None and error.get("is_transient") is True:
            meaning = UNAVAILABLE
        if meaning is None:
            return self.by_status(answer) if not answer.is_success else self.unreadable(answer)
        return self.error(
            answer,
            _text_of(error, code),
            error_class=meaning.error_class,
            permanent=meaning.permanent,
            retry_after=retry_after(answer.headers.get("Retry-After"), now=now),
            counts_as_failure=meaning.counts,
            pauses_service=meaning.pauses,
        )


def _text_of(error: dict[str, Any], code: int | None) -> str:
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    return f"WhatsApp error {code}: {details or error.get('message') or 'no text'}"

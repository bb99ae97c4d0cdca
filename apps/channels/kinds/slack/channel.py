"""Slack: an incoming webhook, or chat.postMessage with a bot token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _
from yarl import URL

from apps.channels.api import ApiChannel, Call, answer_object, body_object, with_subject
from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.headers import refused
from apps.channels.kinds.slack.errors import BY_WORD, meaning_of
from apps.channels.kinds.slack.settings import SlackSettings
from apps.channels.network import Lookup, system_lookup
from apps.channels.retry_after import retry_after
from apps.channels.settings import host_of
from apps.channels.transport import utc_now
from apps.channels.wire import Answer
from apps.core.errors import Invalid


class SlackChannel(ApiChannel):
    def __init__(
        self,
        settings: SlackSettings,
        secrets: Sequence[str],
        *,
        timeout: float,
        max_in_flight: int,
        network: NetworkPolicy,
        lookup: Lookup = system_lookup,
    ) -> None:
        super().__init__(
            secrets=[*secrets, settings.url] if settings.url else secrets,
            setting="settings.base_url" if settings.mode == "api" else "the webhook's URL",
            timeout=timeout,
            max_in_flight=max_in_flight,
            network=network,
            lookup=lookup,
        )
        self._api = settings.mode == "api"
        self._channel = settings.channel
        self._url = URL(settings.base_url) / "chat.postMessage" if self._api else _webhook(settings, self._secret)
        self._headers = {"Authorization": f"Bearer {self._secret}"} if self._api else {}

    def compose(self, envelope: Envelope) -> Call:
        """JSON goes as it is (blocks, attachments, thread_ts); text becomes ``text``."""
        body = body_object(envelope)
        if body is None:
            body = {"text": with_subject(envelope, "*{}*")}
        return Call(self._url, body | self._destination(envelope, body), self._headers)

    def _destination(self, envelope: Envelope, body: dict[str, Any]) -> dict[str, str]:
        if not self._api:
            return {}
        channel = envelope.recipient or body.get("channel") or self._channel
        if not channel:
            raise refused("recipient", "is empty and settings.channel is too: name a Slack channel")
        return {"channel": str(channel)}

    def judge(self, answer: Answer, envelope: Envelope) -> Receipt:
        return self._judge_api(answer) if self._api else self._judge_webhook(answer)

    def _judge_api(self, answer: Answer) -> Receipt:
        """chat.postMessage answers 200 for its refusals too; ``ok`` decides."""
        found = answer_object(answer)
        if found is None or not isinstance(found.get("ok"), bool):
            raise self.unreadable(answer) if answer.is_success else self.by_status(answer)
        if found["ok"] and answer.is_success:
            return self.receipt(answer, found.get("ts"))
        raise self._failure(answer, str(found.get("error") or "no error given")[:100])

    def _judge_webhook(self, answer: Answer) -> Receipt:
        """A webhook says what was wrong in one word of plain text."""
        if answer.is_success:
            return self.receipt(answer)
        word = answer.body[:100].decode("ascii", "replace").strip()
        raise self._failure(answer, word) if word in BY_WORD else self.by_status(answer)

    def _failure(self, answer: Answer, word: str) -> DeliveryError:
        meaning = meaning_of(word)
        return self.error(
            answer,
            f"Slack refused the message: {word}",
            error_class=meaning.error_class,
            permanent=meaning.permanent,
            retry_after=retry_after(answer.headers.get("Retry-After"), now=utc_now()),
            counts_as_failure=meaning.counts,
            pauses_service=meaning.pauses,
        )


def _webhook(settings: SlackSettings, secret: str) -> URL:
    address = settings.url or secret
    if not settings.url and (not address.startswith(("https://", "http://")) or not host_of(address)):
        raise Invalid.field("secret", _("is not a URL: in mode: webhook the secret is the webhook's URL"))
    return URL(address)

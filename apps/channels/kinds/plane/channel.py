"""Plane: work items through its REST API, one for each external id.

A work item is created; if Plane has one of this external id already it answers 409 and names it, and that one is
brought up to date instead. So a message that is sent twice makes one work item, and a later one about the same thing
changes it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from html import escape
from typing import Any, Final

from django.utils.translation import gettext as _
from yarl import URL

from apps.channels import failures
from apps.channels.api import ApiChannel, Call, answer_object, body_object, body_text, own_headers
from apps.channels.base import DeliveryError, Envelope, NetworkPolicy, Receipt
from apps.channels.headers import refused
from apps.channels.kinds.plane.settings import UUID, PlaneSettings
from apps.channels.network import Lookup, system_lookup
from apps.channels.wire import Answer

_ID: Final = re.compile(rf"{UUID}\Z")
_NAME_CHARS: Final = 255
# 401 and 403: the token, or what it may do in this project. 404: no such workspace or project.
_UNUSABLE: Final = {401: "unauthorized", 403: "unauthorized", 404: "not_found"}


def recipient_problem(recipient: str) -> str | None:
    if recipient and not _ID.match(recipient):
        return _("is not a project of Plane: use its id, such as 4af68566-94a4-4eb3-94aa-50dc9427067b")
    return None


class PlaneChannel(ApiChannel):
    def __init__(
        self,
        settings: PlaneSettings,
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
        self._settings = settings
        self._timeout = timeout

    async def send(self, envelope: Envelope) -> Receipt:
        try:
            return await self._kept_once(envelope)
        except DeliveryError as error:
            raise error.without(self._redact) from None

    async def _kept_once(self, envelope: Envelope) -> Receipt:
        """Both requests together take at most the time-out."""
        deadline = asyncio.get_running_loop().time() + self._timeout
        call = self.compose(envelope)
        answer = await self._asked("POST", call, envelope)
        known = self._known(answer)
        if not known:
            return self.judge(answer, envelope)
        try:
            async with asyncio.timeout_at(deadline):
                changed = await self._asked("PATCH", Call(call.url / known / "", call.body, call.headers), envelope)
        except TimeoutError:
            raise failures.timed_out(self._timeout, sent=True) from None
        return self._changed(changed)

    async def _asked(self, method: str, call: Call, envelope: Envelope) -> Answer:
        body = json.dumps(call.body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return await self._transport.exchange(method, call.url, own_headers(envelope) | call.headers, body)

    def compose(self, envelope: Envelope) -> Call:
        """JSON goes as it is (name, description_html, priority, target_date, ...); text becomes the description."""
        item = self._item(envelope)
        problem = recipient_problem(envelope.recipient)
        if problem:
            raise refused("recipient", problem)
        item.setdefault("external_id", envelope.idempotency_key or envelope.wire_id)
        item.setdefault("external_source", self._settings.external_source)
        if item.pop("completed", False) and self._settings.done_state:
            item["state"] = self._settings.done_state
        return Call(self._url(envelope.recipient), item, {"X-API-Key": self._secret})

    def _url(self, project: str) -> URL:
        base = URL(self._settings.base_url) / "api" / "v1" / "workspaces" / self._settings.workspace
        return base / "projects" / (project or self._settings.project) / self._settings.resource / ""

    def _item(self, envelope: Envelope) -> dict[str, Any]:
        item = body_object(envelope)
        if item is None:
            item = {"text": body_text(envelope)}
        text = item.pop("text", None)
        if isinstance(text, str):
            item.setdefault("description_html", f"<pre>{escape(text)}</pre>")
        name = " ".join(str(item.get("name") or envelope.subject or _first_line(text)).split())
        if not name:
            raise refused("subject", "is empty: a work item needs a name, as subject, text or json.name")
        return item | {"name": name[:_NAME_CHARS]}

    def judge(self, answer: Answer, envelope: Envelope) -> Receipt:
        if not answer.is_success:
            raise self._refused(answer)
        made = (answer_object(answer) or {}).get("id")
        if not isinstance(made, str):
            raise self.unreadable(answer)
        return self.receipt(answer, made)

    def _known(self, answer: Answer) -> str:
        """The id of the work item that is there already."""
        found = (answer_object(answer) or {}).get("id") if answer.status == 409 else None
        return found if isinstance(found, str) and _ID.match(found) else ""

    def _changed(self, answer: Answer) -> Receipt:
        if answer.status == 404:
            # Deleted between the two requests: the next attempt makes it anew.
            raise self.error(answer, "The work item was deleted meanwhile", error_class="gone_meanwhile")
        if not answer.is_success:
            raise self._refused(answer)
        return self.receipt(answer, (answer_object(answer) or {}).get("id"))

    def _refused(self, answer: Answer) -> DeliveryError:
        if answer.status not in _UNUSABLE:
            return self.by_status(answer)
        found = answer_object(answer) or {}
        said = found.get("error") or found.get("detail") or "no reason given"
        return self.error(
            answer,
            f"Plane answered {answer.status}: {said}. Check the token, settings.workspace and settings.project",
            error_class=_UNUSABLE[answer.status],
            permanent=True,
            counts_as_failure=False,
            pauses_service=True,
        )


def _first_line(text: Any) -> str:
    return text.strip().partition("\n")[0] if isinstance(text, str) else ""

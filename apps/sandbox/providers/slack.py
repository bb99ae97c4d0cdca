"""Slack's Web API: ``POST /api/chat.postMessage`` (api.slack.com, "chat.postMessage").

Channels whose name begins with ``#nowhere`` do not exist. A refusal is answered with 200 and ``ok: false``, trouble
with a status as well.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from apps.sandbox.providers.base import Answer, Incoming, body_excerpt, header_key

PATH: Final = "/api/chat.postMessage"
NOT_THERE: Final = "#nowhere"
_WORDS: Final = {"error": "internal_error", "rate_limit": "ratelimited", "gone": "team_disabled"}


class Slack:
    name = "slack"
    title = "A Slack workspace: pages and news of alerts"
    endpoint = f"POST {PATH}"
    reject_status = 200

    def takes(self, incoming: Incoming) -> bool:
        return incoming.method == "POST" and incoming.path == PATH

    def key(self, incoming: Incoming) -> str:
        """Slack knows no idempotency key: what is said, and where, stands for it."""
        return header_key(incoming) or hashlib.blake2b(incoming.body, digest_size=8).hexdigest()

    def excerpt(self, incoming: Incoming) -> str:
        said = incoming.object()
        if not said.get("channel"):
            return body_excerpt(incoming)
        where = f"{said['channel']}, in a thread" if said.get("thread_ts") else str(said["channel"])
        return f"{where}: {str(said.get('text', ''))[:900]}"

    def signature(self, incoming: Incoming) -> str:
        return ""

    def answer(self, incoming: Incoming) -> Answer:
        said = incoming.object()
        if not incoming.headers.get("Authorization", "").startswith("Bearer "):
            return self._no(200, "not_authed", "no bot token")
        if not said.get("channel") or str(said["channel"]).startswith(NOT_THERE):
            return self.refuse(incoming, self.reject_status, "no such channel", "reject")
        if not any(said.get(name) for name in ("text", "blocks", "attachments")):
            return self._no(200, "no_text", "text, blocks and attachments are missing")
        return Answer(200, {"ok": True, "channel": said["channel"], "ts": f"{incoming.at:.6f}", "message": _echo(said)})

    def refuse(self, incoming: Incoming, status: int, text: str, code: str) -> Answer:
        return self._no(status, _WORDS.get(code, "channel_not_found"), text)

    def _no(self, status: int, word: str, text: str) -> Answer:
        return Answer(status, {"ok": False, "error": word}, f"{word}: {text}", refused=True)


def _echo(said: dict[str, Any]) -> dict[str, Any]:
    return {name: said[name] for name in ("text", "thread_ts") if name in said}

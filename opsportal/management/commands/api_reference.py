"""``manage.py api_reference``: docs/reference/api.md, made from the API's own document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from opsportal.api_docs import Field, Operation, Section, page_content

HEAD = """# HTTP API

<!-- Made from the code by `manage.py api_reference --write`; edit the operations in apps/*/api. -->

The running portal has the whole of it at `/api/v1/docs` (a page) and `/api/v1/openapi.json` (OpenAPI 3.1).

JSON in UTF-8, times RFC 3339 in UTC. Authenticate with an [API key](../howto/api-keys.md):
`Authorization: Bearer KEY` or `X-Internal-API-Key: KEY`. Someone who is logged in may read (GET) in the browser, but
every change needs a key. `X-Request-ID`, `X-Tenant-ID` and `traceparent` are taken from the caller or made, and reach
logs, rows and the wire; `X-Request-ID` is in every answer.

```
curl -X POST http://127.0.0.1:8000/api/v1/messages \\
  -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" -H "Idempotency-Key: order-1001" \\
  -d '{"service": "midtrans", "json": {"order_id": "1001", "amount": 125000}}'
```

## Errors

`{"error": {"code", "message", "detail"}}`; `message` is for people, `detail` is a list of `{"field", "message"}` where
fields are wrong. Nothing of a refused request is stored.

| status | codes | when |
|---|---|---|
| 400 | `bad_json`, `bad_request` | not JSON (NaN and Infinity are not), not UTF-8, a host name that is not ours |
| 401 | `unauthorized` | no key, or an unknown, expired or revoked one: `detail.reason` |
| 403 | `forbidden` | the key lacks the scope in `detail.permission`, or acts for another tenant |
| 404 | `not_found` | no such thing, no such service, no such path |
| 405 | `method_not_allowed` | `Allow` says what would do |
| 409 | `conflict`, `in_flight` | not legal in this state; the first use of the idempotency key is not finished |
| 413 | `too_large` | the body; a message may carry MAX_BODY_BYTES, a batch 25 MB in all |
| 415 | `unsupported_media_type` | a body that is not `application/json` |
| 422 | `invalid`, `idempotency_key_reused` | wrong fields, all of them named; the key came before with other content |
| 429 | `rate_limited` | `Retry-After` says how many seconds |
| 500, 503 | `internal`, `unavailable` | a bug (the log has it under the request id); the database is away |

## Idempotency

Send `Idempotency-Key` (header) or `idempotency_key` (field). Within one API key and tenant: the same key with the same
content gives the first answer again, 200 with `Idempotency-Replayed: true` and `"duplicate": true`; with other content
422; while the first is under way 409. Kept for IDEMPOTENCY_TTL_S. In a batch the key goes into each item.

## Batches

`POST /api/v1/messages/batch` takes `{"messages": [...]}` or the bare list, up to 1,000. It is one transaction with an
answer per item, in order: a wrong item does not stop the others. 202 when all were accepted, 207 when one was not; look
into `results`.

## Other addresses

| path | what |
|---|---|
| GET /health/live | 200 as long as the process answers |
| GET /health/ready | 200 while the database answers within a second, else 503 |
| GET /health | database, broker and workers with details; 503 when one fails |
| GET /metrics | Prometheus, all processes of the host added up |
"""


class Command(BaseCommand):
    help = "Write or check docs/reference/api.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="write the file")
        parser.add_argument("--check", action="store_true", help="fail if the file is not in step")

    def handle(self, *_: Any, write: bool, check: bool, **__: Any) -> None:
        path = settings.BASE_DIR / "docs" / "reference" / "api.md"
        text = reference()
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != text):
            raise CommandError("docs/reference/api.md is not in step with the code: manage.py api_reference --write")
        if write:
            path.write_text(text, encoding="utf-8")
        elif not check:
            self.stdout.write(text)


def reference() -> str:
    """The whole file."""
    sections, schemas = page_content()
    parts = [HEAD, *(part for section in sections for part in _section(section))]
    parts += ["## Fields of a message\n", *_table(schemas["MessageIn"])]
    return "\n".join(parts).rstrip() + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {section.name}\n"
    for operation in section.operations:
        yield from _operation(operation)


def _operation(operation: Operation) -> Iterator[str]:
    yield f"### {operation.method} {operation.path}\n"
    yield f"{operation.text}\n"
    names = [f"`{found.name}`" for found in operation.parameters if found.place == "query"]
    if names:
        yield f"Query: {', '.join(names)}.\n"
    if operation.body:
        yield f"Body: {', '.join(_short(found) for found in operation.body)}.\n"
    yield f"Answers: {', '.join(answer.status for answer in operation.answers)}.\n"


def _short(found: Field) -> str:
    return f"`{found.name}`{' (required)' if found.required else ''}"


def _table(fields: list[Field]) -> Iterator[str]:
    yield "| field | type | meaning |\n|---|---|---|"
    for found in fields:
        kind = found.kind.replace("|", "\\|")
        yield f"| `{found.name}`{' (required)' if found.required else ''} | {kind} | {found.text} |"

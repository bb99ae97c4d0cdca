"""What travels with a request: into logs, rows and onto the wire."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
tenant_id: ContextVar[str] = ContextVar("tenant_id", default="")
traceparent: ContextVar[str] = ContextVar("traceparent", default="")

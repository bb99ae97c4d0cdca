"""Errors a person or a program may meet, with one HTTP mapping for all of them."""

from __future__ import annotations

from typing import Any


class PortalError(Exception):
    """Base of every expected error.

    ``message`` says what happened, to what, and what to do next. ``detail`` is machine readable:
    a list of ``{"field", "message"}`` or a mapping. ``status`` is the HTTP status it maps to.
    """

    code = "error"
    status = 400

    def __init__(self, message: str, *, detail: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    def as_dict(self) -> dict[str, Any]:
        """The body of product.md: ``{"error": {"code", "message", "detail"}}``."""
        return {"error": {"code": self.code, "message": self.message, "detail": self.detail}}


class NotFound(PortalError):
    code = "not_found"
    status = 404


class Conflict(PortalError):
    code = "conflict"
    status = 409


class Invalid(PortalError):
    code = "invalid"
    status = 422

    @classmethod
    def field(cls, field: str, message: str) -> Invalid:
        """An error about one field."""
        return cls(f"{field}: {message}", detail=[{"field": field, "message": message}])

    @classmethod
    def fields(cls, problems: list[dict[str, str]]) -> Invalid:
        """An error about several fields, all named."""
        text = "; ".join(f"{p['field']}: {p['message']}" for p in problems)
        return cls(text, detail=problems)


class Unauthorized(PortalError):
    code = "unauthorized"
    status = 401


class Forbidden(PortalError):
    code = "forbidden"
    status = 403


class TooLarge(PortalError):
    code = "too_large"
    status = 413


class RateLimited(PortalError):
    """``retry_after`` is in seconds."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, retry_after: float, detail: Any = None) -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class Unavailable(PortalError):
    """``retry_after`` is in seconds."""

    code = "unavailable"
    status = 503

    def __init__(self, message: str, *, retry_after: float | None = None, detail: Any = None) -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after

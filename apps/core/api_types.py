"""Types that the operations of the HTTP API share."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from django.utils.dateparse import parse_datetime
from ninja import Schema
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

BIGGEST_ID: Final = 2**63 - 1
# What cannot be stored or would be invisible: control characters and halves of surrogate pairs.
PRINTABLE: Final = r"^[^\x00-\x1f\x7f\ud800-\udfff]*$"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def _one_line(value: str) -> str:
    if _CONTROL.search(value) or not _encodable(value):
        raise ValueError("holds a control character or half of a surrogate pair: remove it")
    return value


def _storable(value: str) -> str:
    if "\x00" in value or not _encodable(value):
        raise ValueError("holds a NUL character or half of a surrogate pair: remove it")
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time(value: Any) -> Any:
    """RFC 3339 with a zone. A number is refused: seconds or milliseconds, nobody could tell."""
    if isinstance(value, datetime) or value is None:
        return value
    try:
        parsed = parse_datetime(value) if isinstance(value, str) and "T" in value.upper() else None
        moment = parsed.astimezone(UTC) if parsed is not None and parsed.tzinfo is not None else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise ValueError("must be a time with its zone, such as 2026-01-31T09:00:00Z")
    return moment


OneLine = Annotated[str, AfterValidator(_one_line)]
Text = Annotated[str, AfterValidator(_storable)]
Time = Annotated[datetime, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]
ServiceName = Annotated[OneLine, Field(max_length=64)]
RowId = Annotated[int, Field(ge=1, le=BIGGEST_ID)]
Cursor = Annotated[str, Field(pattern=r"^[0-9]{1,19}$", description="`next_cursor` of the page before")]
Limit = Annotated[int, Field(ge=1, le=500, description="rows per page")]


class Body(BaseModel):
    """Base of request bodies: an unknown field is an error, and "5" is not 5."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ErrorInfo(Schema):
    code: str = Field(description="stable, for programs: invalid, not_found, conflict, in_flight, ...")
    message: str = Field(description="for people: what happened, to what, what to do next")
    detail: Any = Field(None, description="a list of {field, message}, or an object, or null")


class Error(Schema):
    """Every error of the API has this shape."""

    error: ErrorInfo


def with_errors(answers: dict[int, Any], *more: int) -> dict[int, Any]:
    """The answers of an operation with every error it may give: those all have, and ``more``."""
    statuses = sorted({400, 401, 403, 422, 429, 500, 503, *more})
    return {**answers, **{status: Error for status in statuses if status not in answers}}

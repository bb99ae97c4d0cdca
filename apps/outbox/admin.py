"""The outbox in Django's admin: to look things up, never to change them past the audit trail."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest

from apps.outbox.models import Cause, DeadLetter, Message, MessageTemplate, Replay

# Counting millions of rows for a page number would take seconds.
MOST_SHOWN: Final = 10_000


class UncountedPaginator(Paginator):  # type: ignore[type-arg]  # generic only in the stubs
    """Pages over the newest rows only, without counting the table."""

    count = MOST_SHOWN


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    """Looking only: every change goes through a service, which checks permissions and writes the trail."""

    show_full_result_count = False
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    paginator = UncountedPaginator
    list_display = ("id", "service_id", "status", "tenant_id", "attempt_count", "created_at", "sent_at")
    list_filter = ("status",)
    # What a message says is shown by the portal's own page, to those who may reveal it.
    exclude = ("payload", "json", "body_template", "body_data", "headers", "subject", "recipient")


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    paginator = UncountedPaginator
    list_display = ("id", "message_id", "service", "reason", "status_code", "state", "died_at")
    list_filter = ("state", "reason")
    raw_id_fields = ("message", "cause")


@admin.register(Cause)
class CauseAdmin(ReadOnlyAdmin):
    list_display = ("fingerprint", "service", "error_class", "status_code", "message", "last_seen")
    ordering = ("-last_seen",)


@admin.register(Replay)
class ReplayAdmin(ReadOnlyAdmin):
    list_display = ("id", "state", "total", "sent", "failed", "skipped", "created_by", "created_at")
    list_filter = ("state",)


@admin.register(MessageTemplate)
class MessageTemplateAdmin(ReadOnlyAdmin):
    list_display = ("name", "version", "content_type", "created_at", "created_by")
    ordering = ("name", "-version")

"""Messages, what they are made from, and each try to deliver one."""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils.translation import gettext_lazy as _

from apps.core.db import Folded, RandomUUID
from apps.services.models import Service


class MessageStatus(models.TextChoices):
    PENDING = "PENDING", _("Waiting")
    RETRYING = "RETRYING", _("Waiting to be tried again")
    SENDING = "SENDING", _("On its way")
    SENT = "SENT", _("Sent")
    DLQ = "DLQ", _("Dead letter")
    CANCELLED = "CANCELLED", _("Cancelled")
    EXPIRED = "EXPIRED", _("Expired")


WAITING: Final = (MessageStatus.PENDING, MessageStatus.RETRYING)
LIVE: Final = (*WAITING, MessageStatus.SENDING)
# What ended without being sent: few, and looked for.
UNSENT: Final = (MessageStatus.DLQ, MessageStatus.CANCELLED, MessageStatus.EXPIRED)


class MessageTemplate(models.Model):
    """One version of a named template, for one channel and in one language; its text is never changed.

    A line of versions is (name, channel, language). Its active version is used, else the newest that is no draft.
    An empty channel is one of every channel: those written before templates had one.
    """

    name = models.CharField(max_length=100)
    channel = models.CharField(max_length=16, blank=True, db_default="")
    language = models.CharField(max_length=35, default="en", db_default="en")
    version = models.PositiveIntegerField(default=1)
    subject = models.TextField(blank=True, db_default="")
    body = models.TextField()
    content_type = models.CharField(
        max_length=100, default="text/plain; charset=utf-8", db_default="text/plain; charset=utf-8"
    )
    description = models.TextField(blank=True, db_default="")
    sample_data: models.JSONField[Any, Any] = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField())
    )
    draft = models.BooleanField(default=False, db_default=False)
    active = models.BooleanField(default=False, db_default=False)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200, blank=True, db_default="")

    class Meta:
        db_table = "message_template"
        constraints = [
            models.UniqueConstraint(fields=["name", "channel", "language", "version"], name="template_version_once"),
            models.UniqueConstraint(
                fields=["name", "channel", "language"], name="template_active_once", condition=Q(active=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version} ({self.channel or 'any channel'}, {self.language})"


class Message(models.Model):
    """One call that must not be lost.

    Exactly one of ``body_template``, ``template``, ``json`` and ``payload`` makes the body. ``json``
    and ``payload`` are text, never jsonb: key order and large numbers matter and the signature covers
    the exact bytes. ``due_at`` is what claiming looks at. ``held`` marks a message that waits for an
    earlier one of its ordering_key; it keeps such rows out of the claim index.
    """

    uid = models.UUIDField(db_default=RandomUUID(), editable=False)
    service = models.ForeignKey(Service, on_delete=models.PROTECT, db_column="service", db_index=False)
    tenant_id = models.CharField(max_length=64, blank=True, db_default="")
    recipient = models.TextField(blank=True, db_default="")
    subject = models.TextField(blank=True, db_default="")
    body_template = models.TextField(blank=True, db_default="")
    body_data: models.JSONField[Any, Any] = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField())
    )
    template = models.CharField(max_length=100, blank=True, db_default="")
    # Pinned when accepted, so that a retry sends what the first attempt sent.
    template_version = models.PositiveIntegerField(null=True, blank=True)
    # The row of message_template: name and version alone do not say which channel and language.
    template_id = models.BigIntegerField(null=True, blank=True)
    json = models.TextField(null=True, blank=True)
    payload = models.TextField(null=True, blank=True)
    content_type = models.CharField(max_length=100, blank=True, db_default="")
    headers: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField())
    )
    priority = models.SmallIntegerField(db_default=5)
    ordering_key = models.CharField(max_length=255, blank=True, db_default="")
    idempotency_key = models.CharField(max_length=255, blank=True, db_default="")
    send_after = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    max_attempts = models.SmallIntegerField(null=True, blank=True)

    status = models.CharField(max_length=10, choices=MessageStatus.choices, db_default=MessageStatus.PENDING)
    held = models.BooleanField(db_default=False)
    attempt_count = models.SmallIntegerField(db_default=0)
    attempt_total = models.IntegerField(db_default=0)
    next_attempt_at = models.DateTimeField(db_default=Now())
    due_at = models.GeneratedField(
        expression=Greatest(F("next_attempt_at"), Coalesce(F("send_after"), F("next_attempt_at"))),
        output_field=models.DateTimeField(),
        db_persist=True,
    )
    claim_id = models.UUIDField(null=True)
    claimed_by = models.CharField(max_length=100, blank=True, db_default="")
    lease_until = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True, db_default="")
    replay_id = models.BigIntegerField(null=True)
    request_id = models.CharField(max_length=128, blank=True, db_default="")
    traceparent = models.CharField(max_length=64, blank=True, db_default="")
    source = models.CharField(max_length=100, blank=True, db_default="")
    edited_from = models.BigIntegerField(null=True, help_text="The dead message this one is a corrected copy of.")
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "notification_outbox"
        constraints = [
            models.CheckConstraint(condition=Q(priority__range=(0, 9)), name="outbox_priority_0_to_9"),
            models.CheckConstraint(condition=Q(status__in=MessageStatus.values), name="outbox_status_known"),
            models.CheckConstraint(
                condition=Q(max_attempts__isnull=True) | Q(max_attempts__gte=1), name="outbox_max_attempts_1"
            ),
        ]
        # Claiming must not cost more when ten million rows were delivered: every index it uses is
        # partial and holds live rows only.
        indexes = [
            models.Index(
                F("service"),
                F("tenant_id"),
                9 - F("priority"),
                F("due_at"),
                F("id"),
                name="outbox_claim",
                condition=Q(status__in=WAITING, held=False),
            ),
            models.Index(
                fields=["service", "lease_until"], name="outbox_sending", condition=Q(status=MessageStatus.SENDING)
            ),
            models.Index(
                fields=["service", "ordering_key", "id"],
                name="outbox_ordering",
                condition=Q(status__in=LIVE) & ~Q(ordering_key=""),
            ),
            models.Index(
                fields=["expires_at"],
                name="outbox_expiring",
                condition=Q(status__in=WAITING, expires_at__isnull=False),
            ),
            models.Index(fields=["idempotency_key"], name="outbox_idempotency", condition=~Q(idempotency_key="")),
            models.Index(fields=["service", "-id"], name="outbox_service_newest"),
            models.Index(fields=["replay_id"], name="outbox_replay", condition=Q(replay_id__isnull=False)),
            models.Index(fields=["edited_from"], name="outbox_edited", condition=Q(edited_from__isnull=False)),
            models.Index(fields=["template", "-id"], name="outbox_template", condition=~Q(template="")),
            models.Index(
                fields=["template_id", "-id"],
                name="outbox_template_version",
                condition=Q(template_id__isnull=False),
            ),
            # For people who search. The last two are partial, so that accepting and delivering hardly meet them.
            models.Index(fields=["uid"], name="outbox_uid"),
            models.Index(fields=["created_at"], name="outbox_created"),
            models.Index(Folded("recipient"), name="outbox_recipient", condition=~Q(recipient="")),
            models.Index(fields=["-id"], name="outbox_live", condition=Q(status__in=LIVE)),
            models.Index(fields=["status", "-id"], name="outbox_unsent", condition=Q(status__in=UNSENT)),
        ]

    def __str__(self) -> str:
        return f"message {self.pk}"

    @property
    def wire_id(self) -> str:
        """The identity on the wire, the same on every attempt and replay.

        Random rather than the row's number, which a restored or second database would use again:
        a receiver that remembers keys would then drop the newcomer as a duplicate.
        """
        return f"msg_{self.uid.hex}"


class AttemptOutcome(models.TextChoices):
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")
    TIMED_OUT = "timed_out", _("Timed out")
    AMBIGUOUS = "ambiguous", _("Unknown: it may have arrived")
    SLOWED = "slowed", _("Asked to slow down")
    LOST = "lost", _("Worker lost")
    STALE = "stale", _("Reported after the lease was lost")


class Attempt(models.Model):
    """One try to deliver a message. No foreign key constraint: it would cost a row lock per attempt,
    and pruning removes the attempts of a message together with it.
    """

    message = models.ForeignKey(Message, on_delete=models.DO_NOTHING, db_constraint=False, related_name="attempts")
    number = models.IntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.IntegerField()
    worker = models.CharField(max_length=100)
    outcome = models.CharField(max_length=10, choices=AttemptOutcome.choices)
    status_code = models.IntegerField(null=True)
    error_class = models.CharField(max_length=64, blank=True, db_default="")
    error = models.TextField(blank=True, db_default="")
    response = models.TextField(blank=True, db_default="")
    replay_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "delivery_attempt"

    def __str__(self) -> str:
        return f"attempt {self.number} of message {self.message_id}"

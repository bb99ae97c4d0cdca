"""The tables of the outbox. Other programs write and read them, so defaults live in the database."""

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


class DeadLetterState(models.TextChoices):
    OPEN = "open", _("Open")
    REPLAYED = "replayed", _("Replayed")
    DISCARDED = "discarded", _("Discarded")


class DeathReason(models.TextChoices):
    PERMANENT = "permanent", _("Refused for good")
    EXHAUSTED = "exhausted", _("Out of attempts")
    TEMPLATE = "template", _("Template error")
    WORKER_LOST = "worker_lost", _("Worker lost each time")
    ORDERING = "ordering", _("Its ordering_key does not wait")
    CONFIGURATION = "configuration", _("Service misconfigured")


class Cause(models.Model):
    """Why letters die: (service, error class, status, normalised message), known by its fingerprint."""

    fingerprint = models.CharField(max_length=16, primary_key=True)
    service = models.CharField(max_length=64)
    error_class = models.CharField(max_length=64, blank=True)
    status_code = models.IntegerField(null=True)
    message = models.TextField(blank=True)
    first_seen = models.DateTimeField(db_default=Now())
    last_seen = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "dead_letter_cause"

    def __str__(self) -> str:
        return f"{self.service} {self.error_class} {self.status_code or ''}".strip()


class DeadLetter(models.Model):
    """A message that will not be tried again on its own. Each death of a message is its own row."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="deaths")
    service = models.CharField(max_length=64)
    tenant_id = models.CharField(max_length=64, blank=True, db_default="")
    cause = models.ForeignKey(Cause, on_delete=models.PROTECT, db_column="cause", db_constraint=False, db_index=False)
    reason = models.CharField(max_length=16, choices=DeathReason.choices)
    status_code = models.IntegerField(null=True)
    error_class = models.CharField(max_length=64, blank=True, db_default="")
    error = models.TextField(blank=True, db_default="")
    attempts = models.IntegerField(db_default=0)
    ambiguous = models.BooleanField(db_default=False)
    state = models.CharField(max_length=10, choices=DeadLetterState.choices, db_default=DeadLetterState.OPEN)
    replay_id = models.BigIntegerField(null=True)
    died_at = models.DateTimeField(db_default=Now())
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=200, blank=True, db_default="")
    note = models.TextField(blank=True, db_default="")
    assignee = models.CharField(max_length=200, blank=True, db_default="")
    snoozed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "dead_letter"
        indexes = [
            models.Index(fields=["cause", "id"], name="dead_letter_open_cause", condition=Q(state="open")),
            models.Index(fields=["service", "id"], name="dead_letter_open_service", condition=Q(state="open")),
            models.Index(fields=["replay_id", "id"], name="dead_letter_replay", condition=Q(replay_id__isnull=False)),
            models.Index(fields=["died_at"], name="dead_letter_died"),
            # Grouping 100,000 open letters reads this index and nothing else.
            models.Index(
                fields=["cause", "service", "tenant_id", "died_at", "ambiguous", "snoozed_until", "assignee", "id"],
                name="dead_letter_open_groups",
                condition=Q(state="open"),
            ),
            models.Index(fields=["cause", "-id"], name="dead_letter_cause_newest"),
            models.Index(fields=["tenant_id", "id"], name="dead_letter_open_tenant", condition=Q(state="open")),
            models.Index(fields=["assignee", "id"], name="dead_letter_open_assignee", condition=Q(state="open")),
            models.Index(
                fields=["snoozed_until"],
                name="dead_letter_snoozed",
                condition=Q(state="open", snoozed_until__isnull=False),
            ),
            models.Index(fields=["state", "-id"], name="dead_letter_state_newest"),
            models.Index(fields=["resolved_at"], name="dead_letter_closed", condition=~Q(state="open")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["message"], name="dead_letter_open_once", condition=Q(state="open"))
        ]

    def __str__(self) -> str:
        return f"dead letter {self.pk} of message {self.message_id}"


class TriageVerb(models.TextChoices):
    ASSIGN = "assign", _("Assigned")
    NOTE = "note", _("Noted")
    SNOOZE = "snooze", _("Snoozed")
    DISCARD = "discard", _("Discarded")
    UNDO = "undo", _("Undone")


class TriageState(models.TextChoices):
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    STOPPED = "stopped", _("Stopped")


class Triage(models.Model):
    """One verb somebody pressed, on one letter or on 100,000: what it is, how far it is, what it undoes.

    ``text`` is the note, or why it was discarded. Letters above ``newest`` died later and are not meant;
    those up to ``reached`` are done. ``token`` is the form it came from, so that a form counts once.
    """

    verb = models.CharField(max_length=10, choices=TriageVerb.choices)
    state = models.CharField(max_length=10, choices=TriageState.choices, db_default=TriageState.RUNNING)
    selection: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    text = models.TextField(blank=True, db_default="")
    assignee = models.CharField(max_length=200, blank=True, db_default="")
    until = models.DateTimeField(null=True)
    undoes = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="undone_by")
    actor_kind = models.CharField(max_length=16)
    actor = models.CharField(max_length=200)
    ip = models.CharField(max_length=64, blank=True, db_default="")
    total = models.PositiveIntegerField(db_default=0)
    done = models.PositiveIntegerField(db_default=0)
    newest = models.BigIntegerField()
    reached = models.BigIntegerField(db_default=0)
    token = models.CharField(max_length=64, null=True, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    moved_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "dead_letter_triage"
        indexes = [models.Index(fields=["id"], name="triage_running", condition=Q(state="running"))]

    def __str__(self) -> str:
        return f"triage {self.pk}: {self.verb}"


class TriageMark(models.Model):
    """One letter that a triage touched, and what it had ``before``: its history, and what undo gives back."""

    triage = models.ForeignKey(Triage, on_delete=models.CASCADE, related_name="marks", db_index=False)
    letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="marks", db_constraint=False)
    before = models.CharField(max_length=200, blank=True, db_default="")

    class Meta:
        db_table = "dead_letter_triage_mark"
        constraints = [models.UniqueConstraint(fields=["triage", "letter"], name="triage_mark_once")]

    def __str__(self) -> str:
        return f"dead letter {self.letter_id} in triage {self.triage_id}"


class ReplayState(models.TextChoices):
    PREPARING = "preparing", _("Taking in letters")
    CANARY = "canary", _("Trying the first few")
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    STOPPED = "stopped", _("Stopped: too many failed again")
    DONE = "done", _("Done")
    CANCELLED = "cancelled", _("Cancelled")


class Replay(models.Model):
    """An operator's job that puts dead letters back. ``per_second`` null means as fast as limits allow."""

    state = models.CharField(max_length=10, choices=ReplayState.choices)
    resume_state = models.CharField(max_length=10, blank=True, db_default="")
    selection: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    reason = models.TextField(blank=True, db_default="")
    created_by = models.CharField(max_length=200)
    canary = models.PositiveIntegerField(db_default=0)
    per_second = models.FloatField(null=True)
    stop_above_percent = models.FloatField(db_default=20.0)
    total = models.PositiveIntegerField(db_default=0)
    # While it is prepared: how many letters are in it, and the message up to which all are.
    prepared = models.PositiveIntegerField(db_default=0)
    reached = models.BigIntegerField(db_default=0)
    skipped = models.PositiveIntegerField(db_default=0)
    released = models.PositiveIntegerField(db_default=0)
    sent = models.PositiveIntegerField(db_default=0)
    failed = models.PositiveIntegerField(db_default=0)
    tokens = models.FloatField(db_default=0.0)
    advanced_at = models.DateTimeField(null=True)
    # The last minute, as [seconds since the epoch, letters settled by then]: the rate now.
    pace: models.JSONField[list[list[float]], list[list[float]]] = models.JSONField(
        default=list, db_default=models.Value([], models.JSONField())
    )
    canary_passed_at = models.DateTimeField(null=True)
    left_out: models.JSONField[dict[str, int], dict[str, int]] = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField())
    )
    token = models.CharField(max_length=64, null=True, unique=True)
    note = models.TextField(blank=True, db_default="")
    created_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "replay"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"replay {self.pk}"


class ReplayItem(models.Model):
    """One dead letter in a replay and what became of it."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RELEASED = "released", _("On its way")
        SENT = "sent", _("Sent")
        FAILED = "failed", _("Failed again")
        SKIPPED = "skipped", _("Left out")

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="items")
    dead_letter = models.ForeignKey(DeadLetter, on_delete=models.CASCADE, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    state = models.CharField(max_length=10, choices=State.choices, db_default=State.WAITING)
    note = models.CharField(max_length=200, blank=True, db_default="")
    # What it died of again, so that failures can be grouped.
    cause = models.CharField(max_length=16, blank=True, db_default="")
    released_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "replay_item"
        indexes = [
            models.Index(fields=["replay", "state", "id"], name="replay_item_state"),
            models.Index(fields=["replay", "cause"], name="replay_item_failed", condition=Q(state="failed")),
            models.Index(fields=["replay", "note"], name="replay_item_skipped", condition=Q(state="skipped")),
        ]
        constraints = [
            # The guard against two operators: a letter is in one unfinished replay at most.
            models.UniqueConstraint(
                fields=["dead_letter"], name="replay_item_active_once", condition=Q(state__in=("waiting", "released"))
            )
        ]

    def __str__(self) -> str:
        return f"dead letter {self.dead_letter_id} in replay {self.replay_id}"


class DeliveryLane(models.Model):
    """What all workers share about delivering to one service: one locked row per claim.

    ``tokens`` is the rate limit's bucket; ``slowed_until`` is where Retry-After put it;
    ``tenant_cursor`` is the tenant served last.
    """

    service = models.OneToOneField(Service, on_delete=models.CASCADE, primary_key=True, db_column="service")
    tokens = models.FloatField(db_default=0.0)
    refilled_at = models.DateTimeField(db_default=Now())
    slowed_until = models.DateTimeField(null=True)
    slowed_by = models.TextField(blank=True, db_default="")
    tenant_cursor = models.CharField(max_length=64, blank=True, db_default="")

    class Meta:
        db_table = "delivery_lane"

    def __str__(self) -> str:
        return f"lane of {self.service_id}"


class DeliveryMinute(models.Model):
    """Deliveries of one service in one minute: exact counters, added to by each settled batch.

    ``latency`` counts successes by duration; its bounds are ``apps.outbox.stats.LATENCY_BOUNDS_MS``.
    """

    service = models.CharField(max_length=64)
    minute = models.DateTimeField()
    sent = models.IntegerField(db_default=0)
    failed = models.IntegerField(db_default=0)
    timed_out = models.IntegerField(db_default=0)
    slowed = models.IntegerField(db_default=0)
    died = models.IntegerField(db_default=0)
    expired = models.IntegerField(db_default=0)
    duration_ms = models.BigIntegerField(db_default=0)
    latency: models.JSONField[list[int], list[int]] = models.JSONField(default=list)

    class Meta:
        db_table = "delivery_minute"
        constraints = [models.UniqueConstraint(fields=["service", "minute"], name="delivery_minute_once")]
        indexes = [models.Index(fields=["minute"], name="delivery_minute_minute")]

    def __str__(self) -> str:
        return f"{self.service} {self.minute:%H:%M}"

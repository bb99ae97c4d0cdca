"""Messages that will not be tried again on their own, why, and what people did about them."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.outbox.models.messages import Message


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
            # The same of one service, and how many there are awake.
            models.Index(
                fields=["service", "cause", "tenant_id", "died_at", "ambiguous", "snoozed_until", "assignee", "id"],
                name="dead_letter_service_groups",
                condition=Q(state="open"),
            ),
            models.Index(fields=["id", "snoozed_until"], name="dead_letter_open_awake", condition=Q(state="open")),
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

"""Where alerts come from, what was posted, and what became of it."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.alerts.episodes import OPEN_STATES, Current, State, Verdict
from apps.alerts.severity import Severity
from apps.core.fields import EncryptedTextField


class SourceKind(models.TextChoices):
    ALERTMANAGER = "alertmanager", "Alertmanager"
    GRAFANA = "grafana", "Grafana"
    VMALERT = "vmalert", "vmalert"
    PORTAL = "portal", _("This portal")


class AlertSource(models.Model):
    """One sender of alerts. Two tokens are live at a time, so that rotating one loses nothing.

    Tokens are random, so a plain SHA-256 of each is enough. Seconds everywhere.
    """

    name = models.SlugField(primary_key=True, max_length=64)
    kind = models.CharField(max_length=16, choices=SourceKind.choices, default=SourceKind.ALERTMANAGER)
    token_hash = models.CharField(max_length=64, unique=True, null=True)
    previous_token_hash = models.CharField(max_length=64, unique=True, null=True)
    # Alertmanager's API v2, for what the webhook never tells; empty: not asked.
    api_url = models.CharField(max_length=500, blank=True, default="")
    api_secret = EncryptedTextField(blank=True, default="")
    api_at = models.DateTimeField(null=True)
    api_problem = models.CharField(max_length=500, blank=True, default="")
    watchdog = models.CharField(
        max_length=100, default="Watchdog", help_text="alertname of the alert that always fires."
    )
    watchdog_timeout = models.PositiveIntegerField(default=900)
    watchdog_at = models.DateTimeField(null=True)
    blind_since = models.DateTimeField(null=True)
    alive_since = models.DateTimeField(null=True)
    last_post_at = models.DateTimeField(null=True)
    agent = models.CharField(max_length=200, blank=True, default="")
    payload_version = models.CharField(max_length=16, blank=True, default="")
    truncated = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)
    # Each Alertmanager of a pair by its externalURL: {url: {"at": RFC 3339, "address": ..., "agent": ...}}.
    peers: models.JSONField[dict[str, dict[str, str]], dict[str, dict[str, str]]] = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200, blank=True, default="")
    disabled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_source"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class SourceHour(models.Model):
    """What a source posted within one hour, counted as it is taken in, so that no page counts bodies."""

    source = models.ForeignKey(AlertSource, on_delete=models.CASCADE, db_column="source", related_name="hours")
    hour = models.DateTimeField()
    posts = models.PositiveIntegerField(default=0)
    alerts = models.PositiveBigIntegerField(default=0)
    truncated = models.PositiveBigIntegerField(default=0)
    quarantined = models.PositiveIntegerField(default=0)
    largest = models.PositiveIntegerField(default=0, help_text="Bytes of the largest body.")

    class Meta:
        db_table = "alert_source_hour"
        constraints = [models.UniqueConstraint(fields=["source", "hour"], name="alert_source_hour_once")]

    def __str__(self) -> str:
        return f"{self.source_id} at {self.hour:%Y-%m-%d %H}:00"


class Refusal(models.Model):
    """Posts that were turned away, counted per reason and address, so that a wrong token is seen."""

    reason = models.CharField(max_length=32)
    address = models.CharField(max_length=64)
    agent = models.CharField(max_length=200, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    count = models.BigIntegerField(default=1)
    first_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "alert_refusal"
        constraints = [models.UniqueConstraint(fields=["reason", "address"], name="alert_refusal_once")]

    def __str__(self) -> str:
        return f"{self.reason} from {self.address}"


class DeliveryState(models.TextChoices):
    STORED = "stored", _("Stored")
    PROCESSED = "processed", _("Processed")
    QUARANTINED = "quarantined", _("Quarantined")


class AlertDelivery(models.Model):
    """A body as it was posted, byte for byte. It is committed before the answer; what it says is found out after."""

    source = models.ForeignKey(AlertSource, on_delete=models.PROTECT, db_column="source", related_name="deliveries")
    received_at = models.DateTimeField(db_default=Now())
    body = models.BinaryField()
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    headers: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    address = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(max_length=16, choices=DeliveryState.choices, db_default=DeliveryState.STORED)
    tries = models.PositiveSmallIntegerField(db_default=0)
    processed_at = models.DateTimeField(null=True)
    problem = models.TextField(blank=True, db_default="")
    receiver = models.CharField(max_length=300, blank=True, db_default="")
    group_key = models.TextField(blank=True, db_default="")
    external_url = models.CharField(max_length=500, blank=True, db_default="")
    truncated = models.PositiveIntegerField(db_default=0)
    alerts = models.PositiveIntegerField(db_default=0)

    class Meta:
        db_table = "alert_delivery"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], name="alert_delivery_stored", condition=Q(state="stored")),
            models.Index(fields=["source", "-id"], name="alert_delivery_source"),
            models.Index(fields=["received_at"], name="alert_delivery_at"),
            models.Index(fields=["source", "-id"], name="alert_delivery_quarantine", condition=Q(state="quarantined")),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk} of {self.source_id}"


class Quarantined(models.Model):
    """One alert of a delivery that could not be taken, and why. The others of its body were."""

    delivery = models.ForeignKey(AlertDelivery, on_delete=models.CASCADE, related_name="rejected")
    position = models.PositiveIntegerField()
    reason = models.TextField()
    raw = models.TextField(blank=True)

    class Meta:
        db_table = "alert_quarantine"
        constraints = [models.UniqueConstraint(fields=["delivery", "position"], name="alert_quarantine_once")]

    def __str__(self) -> str:
        return f"alert {self.position} of delivery {self.delivery_id}"


class Episode(models.Model):
    """One continuous firing of one alert. At most one is open for each (source, fingerprint)."""

    source = models.ForeignKey(AlertSource, on_delete=models.PROTECT, db_column="source", related_name="episodes")
    fingerprint = models.CharField(max_length=64)
    name = models.TextField()
    severity = models.CharField(max_length=16, choices=Severity.choices)
    state = models.CharField(max_length=16, choices=State.choices)
    labels: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    annotations: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    generator_url = models.TextField(blank=True, default="")
    service = models.CharField(max_length=64, blank=True, default="")
    # Of the sender's clock; the others are of the database's.
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField()
    last_fired_at = models.DateTimeField()
    last_resolved_at = models.DateTimeField(null=True)
    normal_since = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    # RFC 3339 texts of the last times it fired again.
    refired: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    fired_again = models.PositiveIntegerField(default=0)
    flapping = models.BooleanField(default=False)
    # What makes the resolution true, and what it lacks: [[word, true], ...]; empty while open.
    proof: models.JSONField[list[list[Any]], list[list[Any]]] = models.JSONField(default=list)
    inferred = models.BooleanField(default=False)
    # As Alertmanager's API told last: since when it is not there, and what keeps it quiet.
    absent_since = models.DateTimeField(null=True)
    suppressed = models.BooleanField(default=False)
    suppressed_by: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    previous = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="followed_by")
    # The same for all severities of one condition; while ``outranked_by`` is open, this one pages nobody.
    condition = models.CharField(max_length=64, blank=True, default="")
    outranked_by = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="outranks")
    # Work of people. An acknowledgement ends by itself at ``acknowledged_until``, if there is one.
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True, default="")
    acknowledged_until = models.DateTimeField(null=True)
    assignee = models.CharField(max_length=200, blank=True, default="")
    snoozed_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_episode"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["source", "fingerprint"], condition=Q(state__in=OPEN_STATES), name="alert_episode_one_open"
            )
        ]
        indexes = [
            models.Index(fields=["source", "fingerprint", "-id"], name="alert_episode_alert"),
            models.Index(fields=["state", "-id"], name="alert_episode_open", condition=Q(state__in=OPEN_STATES)),
            models.Index(
                fields=["source", "condition"], name="alert_episode_condition", condition=Q(state__in=OPEN_STATES)
            ),
            models.Index(fields=["resolved_at"], name="alert_episode_resolved", condition=Q(resolved_at__isnull=False)),
            models.Index(fields=["first_seen_at"], name="alert_episode_first_seen"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"

    def as_current(self) -> Current:
        """For the pure functions that decide."""
        return Current(
            state=self.state,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            last_fired_at=self.last_fired_at,
            last_resolved_at=self.last_resolved_at,
            normal_since=self.normal_since,
            resolved_at=self.resolved_at,
        )


class AlertLog(models.Model):
    """One line for every alert of every delivery, with what it was taken for. Other programs read it."""

    # The body may be purged before the line is.
    delivery = models.ForeignKey(AlertDelivery, on_delete=models.SET_NULL, related_name="lines", null=True)
    position = models.PositiveIntegerField(default=0)
    at = models.DateTimeField()
    source = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=16)
    name = models.TextField()
    severity = models.CharField(max_length=16, choices=Severity.choices)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=24, choices=[(word.value, word.value) for word in Verdict])
    episode = models.ForeignKey(Episode, on_delete=models.SET_NULL, null=True, related_name="lines")
    extra: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "alert_logs"
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["delivery", "position"], name="alert_log_once")]
        indexes = [
            models.Index(fields=["source", "fingerprint", "-id"], name="alert_log_alert"),
            models.Index(fields=["at"], name="alert_log_at"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.status}: {self.verdict}"


class RoutingVersion(models.Model):
    """The routing document (:mod:`apps.alerts.routing`). The newest version is in force; none is ever changed."""

    document: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200)
    reason = models.TextField(blank=True)

    class Meta:
        db_table = "alert_routing"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"routing {self.pk}"


class Rotation(models.Model):
    """People who take turns in being on call."""

    name = models.SlugField(primary_key=True, max_length=64)
    service = models.CharField(max_length=64, help_text="The service that reaches them.")
    # [{"email": ..., "recipient": ...}, ...] in the order of their turns.
    people: models.JSONField[list[dict[str, str]], list[dict[str, str]]] = models.JSONField(default=list)
    days = models.PositiveSmallIntegerField(default=7)
    at = models.TimeField()
    zone = models.CharField(max_length=64, default="UTC")
    begins = models.DateTimeField()
    # Grows with every change, so that two who edit at once notice.
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "on_call_rotation"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RotationOverride(models.Model):
    """Somebody is on call instead of whoever's turn it is."""

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="overrides")
    person = models.CharField(max_length=254)
    # Of somebody who does not take turns; empty: as the rotation reaches them.
    recipient = models.CharField(max_length=500, blank=True, default="")
    since = models.DateTimeField()
    until = models.DateTimeField()
    reason = models.TextField(blank=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "on_call_override"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.person} on {self.rotation_id}"


class SilenceState(models.TextChoices):
    """WANTED: Alertmanager is yet to be told. ENDING: it is yet to be told of the end."""

    WANTED = "wanted", _("Wanted")
    ACTIVE = "active", _("Active")
    ENDING = "ending", _("Ending")
    EXPIRED = "expired", _("Over")
    FAILED = "failed", _("Failed")


class Silence(models.Model):
    """A silence of one alert in its Alertmanager, made from here. The row says what is wanted; a task makes it so.

    ``told_until`` is the end Alertmanager knows; another one than ``until`` is still to be told.
    """

    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="silences")
    source = models.ForeignKey(AlertSource, on_delete=models.PROTECT, db_column="source", related_name="silences")
    matchers: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(default=list)
    reason = models.TextField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    until = models.DateTimeField()
    state = models.CharField(max_length=16, choices=SilenceState.choices, default=SilenceState.WANTED)
    remote_id = models.CharField(max_length=64, blank=True, default="")
    told_until = models.DateTimeField(null=True)
    problem = models.CharField(max_length=500, blank=True, default="")
    tries = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "alert_silence"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["next_try_at"], name="alert_silence_due", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"silence of episode {self.episode_id}"


class Maintenance(models.Model):
    """A time in which the alerts that ``match`` (as a route's match) page nobody. They are logged as ever."""

    match: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.TextField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    # Ended before its time.
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "alert_maintenance"
        ordering = ["-id"]
        indexes = [models.Index(fields=["ends_at"], name="alert_maintenance_end")]

    def __str__(self) -> str:
        return f"maintenance {self.pk}"


class Escalation(models.Model):
    """Where an episode stands in telling people. ``policy`` is its route and targets as they were when it began.

    ``next_at`` is of the database's clock: the planned time of ``step``, absolute, so a clock that jumps back fires
    nothing twice. ``step`` only grows within a ``cycle``.
    """

    episode = models.OneToOneField(Episode, on_delete=models.CASCADE, related_name="escalation")
    route = models.CharField(max_length=64)
    routing = models.ForeignKey(RoutingVersion, on_delete=models.PROTECT, null=True)
    policy: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField()
    started_at = models.DateTimeField()
    cycle = models.PositiveIntegerField(default=0)
    step = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # The maintenance window that holds the step which is due.
    held_by = models.ForeignKey(Maintenance, on_delete=models.SET_NULL, null=True, related_name="holds")
    # The last cycle in which a page that did not arrive brought the next step forward.
    hurried = models.IntegerField(default=-1)

    class Meta:
        db_table = "alert_escalation"
        indexes = [
            models.Index(
                fields=["next_at"], name="escalation_due", condition=Q(ended_at__isnull=True, next_at__isnull=False)
            ),
            models.Index(fields=["id"], name="escalation_running", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"escalation of {self.episode_id}"


class Storm(models.Model):
    """Many alerts of one route and step that are told together: one message, and updates of the counts.

    It takes alerts in until none has come for a while (``closed_at``), and is over when all of them are.
    """

    policy = models.CharField(max_length=100, help_text="Version of the routing, and route.")
    route = models.CharField(max_length=64)
    step = models.PositiveSmallIntegerField()
    opened_at = models.DateTimeField()
    joined_at = models.DateTimeField()
    told_at = models.DateTimeField()
    alerts = models.PositiveIntegerField(default=0)
    told_alerts = models.PositiveIntegerField(default=0)
    closed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "alert_storm"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["policy", "step"], condition=Q(closed_at__isnull=True), name="alert_storm_one_open"
            )
        ]
        indexes = [models.Index(fields=["id"], name="alert_storm_running", condition=Q(ended_at__isnull=True))]

    def __str__(self) -> str:
        return f"storm of {self.route}, step {self.step}"


class Fate(models.TextChoices):
    """What became of the message of a notification. NONE while it is on its way, or when there is none."""

    NONE = "", _("On its way")
    SENT = "sent", _("Delivered")
    DIED = "died", _("Not delivered")
    GONE = "gone", _("Unknown")


class NotificationOutcome(models.TextChoices):
    QUEUED = "queued", _("In the outbox")
    SKIPPED = "skipped", _("Not needed")
    IMPOSSIBLE = "impossible", _("Nobody to send it to")


class Notification(models.Model):
    """One telling of one target at one step, made in the transaction that moved the escalation on.

    ``planned_at`` is when it was due and ``decided_at`` when that was acted upon; the difference is how late it was.
    ``why`` says what led to it, for whoever asks.
    """

    escalation = models.ForeignKey(Escalation, on_delete=models.CASCADE, related_name="notifications")
    cycle = models.PositiveIntegerField(default=0)
    step = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=16)
    target = models.CharField(max_length=64)
    service = models.CharField(max_length=64, blank=True)
    recipient = models.CharField(max_length=500, blank=True)
    outcome = models.CharField(max_length=16, choices=NotificationOutcome.choices)
    message_id = models.BigIntegerField(null=True)
    planned_at = models.DateTimeField()
    decided_at = models.DateTimeField()
    together = models.PositiveIntegerField(default=1, help_text="How many episodes this message speaks of.")
    storm = models.ForeignKey(Storm, on_delete=models.SET_NULL, null=True, related_name="notifications")
    # Seconds by which the engine was late; holding, snoozing and silencing are not lateness.
    late_s = models.PositiveIntegerField(default=0)
    fate = models.CharField(max_length=8, choices=Fate.choices, blank=True, default=Fate.NONE)
    fate_at = models.DateTimeField(null=True)
    # Since when it counts as not arriving in time, so that others were told instead.
    delayed_at = models.DateTimeField(null=True)
    why: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "alert_notification"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["escalation", "cycle", "step", "kind", "target"], name="alert_notification_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["message_id"], name="alert_notification_under_way", condition=Q(fate="", outcome="queued")
            ),
            models.Index(fields=["decided_at"], name="alert_notification_decided"),
            models.Index(fields=["message_id"], name="alert_notification_message"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.target}"


class EpisodeEvent(models.Model):
    """What happened to an episode that no post tells: acknowledged, noted, escalated, resolved."""

    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=24)
    actor = models.CharField(max_length=200, blank=True)
    text = models.TextField(blank=True)
    detail: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)

    class Meta:
        db_table = "alert_event"
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} of episode {self.episode_id}"


class EngineHeartbeat(models.Model):
    """When the escalation sweep last ran to its end, and what those who watch it have seen and done."""

    name = models.SlugField(primary_key=True, max_length=32)
    beat_at = models.DateTimeField()
    problem = models.CharField(max_length=500, blank=True, default="")
    alarmed_at = models.DateTimeField(null=True)
    pinged_at = models.DateTimeField(null=True)
    ping_problem = models.CharField(max_length=500, blank=True, default="")
    watched_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "engine_heartbeat"

    def __str__(self) -> str:
        return self.name

"""What people run while something is broken: the incident, who does what in it, and its one timeline."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.alerts.models import Episode


class Severity(models.TextChoices):
    SEV1 = "sev1", _("SEV1: customers cannot do what they came for")
    SEV2 = "sev2", _("SEV2: much is slow or fails, there is a way around")
    SEV3 = "sev3", _("SEV3: little is affected")
    SEV4 = "sev4", _("SEV4: nobody outside notices")


class State(models.TextChoices):
    """In the order they are gone through. A merged incident lives on in another one."""

    INVESTIGATING = "investigating", _("Investigating")
    IDENTIFIED = "identified", _("Cause identified")
    MONITORING = "monitoring", _("Mended, watching")
    RESOLVED = "resolved", _("Resolved")
    MERGED = "merged", _("Merged")


OPEN_STATES = (State.INVESTIGATING, State.IDENTIFIED, State.MONITORING)


class Origin(models.TextChoices):
    HAND = "hand", _("Opened by hand")
    ALERTS = "alerts", _("Opened from alerts")
    RULE = "rule", _("Opened by a rule")


class Rule(models.Model):
    """Opens an incident by itself: an alert that ``match`` takes (as in the routing) fired ``after_s`` seconds long.

    While an incident of the rule is open, further alerts join it.
    """

    name = models.SlugField(primary_key=True, max_length=64)
    match: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    after_s = models.PositiveIntegerField(default=0)
    at_least = models.PositiveIntegerField(default=1, help_text="Alerts that must fire together.")
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.SEV2)
    enabled = models.BooleanField(default=True)
    # After all its alerts have been resolved for so long, an incident of the rule resolves by itself; none: never.
    resolve_after_s = models.PositiveIntegerField(null=True, default=300)
    # Grows with every change, so that two people do not overwrite each other.
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        db_table = "incident_rule"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Incident(models.Model):
    """``started_at`` is when it began to hurt (people may correct it), ``detected_at`` when the portal first knew,
    ``acknowledged_at`` when the first person was at it. Times are of the database's clock.
    """

    title = models.CharField(max_length=200)
    summary = models.TextField(blank=True, default="")
    severity = models.CharField(max_length=8, choices=Severity.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.INVESTIGATING)
    origin = models.CharField(max_length=8, choices=Origin.choices)
    rule = models.ForeignKey(Rule, on_delete=models.SET_NULL, null=True, related_name="incidents")
    started_at = models.DateTimeField()
    # A person said when it began; alerts that are linked later do not move it.
    started_by_hand = models.BooleanField(default=False)
    detected_at = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True)
    mitigated_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    reopened = models.PositiveIntegerField(default=0)
    merged_into = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="merged")
    # What people hold for the cause: {"kind", "ref", "title", "url"} of a suspect.
    culprit: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200)
    # The timeline was filled up to here.
    collected_at = models.DateTimeField(null=True)
    # How filling it stands, see apps.incidents.timeline.collecting: {"scope", "read_to": {}, "problems": {}}.
    collected: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict, blank=True)

    class Meta:
        db_table = "incident"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"],
                name="incident_open",
                condition=Q(state__in=("investigating", "identified", "monitoring")),
            ),
            models.Index(fields=["-started_at"], name="incident_started"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["rule"],
                condition=Q(state__in=("investigating", "identified", "monitoring")),
                name="incident_one_open_of_a_rule",
            )
        ]

    def __str__(self) -> str:
        return f"INC-{self.pk} {self.title}"


class IncidentEpisode(models.Model):
    """An alert that belongs to an incident. It keeps the episode from being purged."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="links")
    episode = models.ForeignKey(Episode, on_delete=models.PROTECT, related_name="incident_links")
    added_at = models.DateTimeField()
    added_by = models.CharField(max_length=200)

    class Meta:
        db_table = "incident_episode"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["incident", "episode"], name="incident_episode_once")]

    def __str__(self) -> str:
        return f"alert {self.episode_id} of incident {self.incident_id}"


class LeftOut(models.Model):
    """An alert that a person took out of an incident; no rule puts it into one again."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="left_out")
    episode = models.ForeignKey(Episode, on_delete=models.CASCADE, related_name="left_out")
    at = models.DateTimeField()
    by = models.CharField(max_length=200)

    class Meta:
        db_table = "incident_left_out"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["incident", "episode"], name="incident_left_out_once")]

    def __str__(self) -> str:
        return f"alert {self.episode_id} is not of incident {self.incident_id}"


class IncidentThing(models.Model):
    """What else an incident is about: ``kind`` is service or deployment, ``ref`` its slug or id."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="things")
    kind = models.CharField(max_length=16)
    ref = models.CharField(max_length=200)
    added_at = models.DateTimeField()
    added_by = models.CharField(max_length=200)

    class Meta:
        db_table = "incident_thing"
        ordering = ["kind", "ref"]
        constraints = [models.UniqueConstraint(fields=["incident", "kind", "ref"], name="incident_thing_once")]
        indexes = [models.Index(fields=["kind", "ref"], name="incident_thing_of")]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref} of incident {self.incident_id}"


class RoleName(models.TextChoices):
    COMMANDER = "commander", _("Incident commander")
    OPERATIONS = "operations", _("Operations")
    COMMUNICATIONS = "communications", _("Communications")
    SCRIBE = "scribe", _("Scribe")


class IncidentRole(models.Model):
    """Who does what; at most one person in each role."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="roles")
    role = models.CharField(max_length=16, choices=RoleName.choices)
    person = models.CharField(max_length=200)
    since = models.DateTimeField()

    class Meta:
        db_table = "incident_role"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["incident", "role"], name="incident_role_once")]

    def __str__(self) -> str:
        return f"{self.role} of incident {self.incident_id}"


class UpdateKind(models.TextChoices):
    """What an update is about; ``detail`` of each is said beside it."""

    OPENED = "opened", _("Opened")  # {"severity", "origin", "rule"}
    SAID = "said", _("Update")  # {"from": the state before, if it changed}
    SEVERITY = "severity", _("Severity changed")  # {"from", "to"}
    ROLE = "role", _("Role changed")  # {"role", "from", "to"}
    STARTED = "started", _("Start corrected")  # {"from", "to"}
    TOOK_IN = "took_in", _("Took in another incident")  # {"other", "title"}
    MERGED = "merged", _("Merged")  # {"other", "title"}: into which
    RESOLVED = "resolved", _("Resolved")  # {"by_itself", "firing": alerts that still fired}
    REOPENED = "reopened", _("Opened again")  # {"episode"}: what fired again, if that is why


class StatusUpdate(models.Model):
    """What was said of an incident or done with it, and the state it was in from then on.

    ``told`` are the messages to people: [{"service", "recipient", "message_id"}, ...].
    """

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="updates")
    at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State.choices)
    kind = models.CharField(max_length=16, choices=UpdateKind.choices, default=UpdateKind.SAID)
    text = models.TextField(blank=True)
    detail: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    told: models.JSONField[list[dict[str, Any]], list[dict[str, Any]]] = models.JSONField(default=list)
    actor = models.CharField(max_length=200)

    class Meta:
        db_table = "incident_update"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"update of incident {self.incident_id}"


class TimelineEntry(models.Model):
    """One line of the timeline. ``(source, ref)`` names the fact, so collecting it again changes nothing.

    ``source`` is a key of :data:`apps.incidents.timeline.sources.SOURCES`, or ``hand`` for what a person wrote;
    ``what`` and ``detail`` make the words in the reader's language. ``url`` is where the fact can be looked at.
    """

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField()
    source = models.CharField(max_length=24)
    ref = models.CharField(max_length=200)
    what = models.CharField(max_length=48)
    detail: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    url = models.CharField(max_length=300, blank=True, default="")
    actor = models.CharField(max_length=200, blank=True, default="")
    text = models.TextField(blank=True, default="")
    pinned = models.BooleanField(default=False)
    hidden = models.BooleanField(default=False)

    class Meta:
        db_table = "incident_timeline"
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["incident", "source", "ref"], name="incident_timeline_once")]
        indexes = [models.Index(fields=["incident", "at", "id"], name="incident_timeline_order")]

    def __str__(self) -> str:
        return f"{self.what} at {self.at}"

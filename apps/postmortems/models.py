"""What people write after an incident, with the facts it stands on, and what they promise to do."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.incidents.models import Incident


class State(models.TextChoices):
    DRAFT = "draft", _("Draft")
    IN_REVIEW = "in_review", _("In review")
    PUBLISHED = "published", _("Published")


class PostMortem(models.Model):
    """One of each incident. ``sections`` is people's text (Markdown) and is never written by the portal once a person
    has touched it; ``facts`` is what the portal put together at ``facts_at``; ``newer`` are later facts that wait to be
    accepted (empty: none). ``version`` grows with every save, so that two people do not overwrite each other.
    """

    incident = models.OneToOneField(Incident, on_delete=models.PROTECT, related_name="postmortem")
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=16, choices=State.choices, default=State.DRAFT)
    sections: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    # Names of the sections a person has written in.
    touched: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    facts: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    facts_at = models.DateTimeField(null=True)
    newer: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    newer_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=1)
    reviewer = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    published_at = models.DateTimeField(null=True)
    published_by = models.CharField(max_length=200, blank=True, default="")
    # When the portal last looked for later facts, and the digest of those that were dismissed.
    checked_at = models.DateTimeField(null=True)
    dismissed = models.CharField(max_length=64, blank=True, default="")
    # Title and sections in lower case, for people who search.
    words = models.TextField(blank=True, default="")

    class Meta:
        db_table = "post_mortem"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"PM-{self.pk} {self.title}"


class PostMortemVersion(models.Model):
    """A post-mortem as it stood after a save. None is ever changed."""

    postmortem = models.ForeignKey(PostMortem, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    state = models.CharField(max_length=16, choices=State.choices)
    title = models.CharField(max_length=200)
    sections: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)
    facts: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    note = models.TextField(blank=True, default="")

    class Meta:
        db_table = "post_mortem_version"
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["postmortem", "number"], name="post_mortem_version_once")]

    def __str__(self) -> str:
        return f"version {self.number} of PM-{self.postmortem_id}"


class ItemState(models.TextChoices):
    OPEN = "open", _("Open")
    DONE = "done", _("Done")
    DROPPED = "dropped", _("Will not be done")


class ActionItem(models.Model):
    """Something promised. ``external_*`` is its twin in an issue tracker, if it was pushed to one."""

    postmortem = models.ForeignKey(PostMortem, on_delete=models.CASCADE, related_name="items")
    text = models.CharField(max_length=500)
    owner = models.CharField(max_length=200, help_text="E-mail address of whoever does it.")
    due = models.DateField()
    state = models.CharField(max_length=8, choices=ItemState.choices, default=ItemState.OPEN)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=200, blank=True, default="")
    reason = models.TextField(blank=True, default="")

    class Meta:
        db_table = "action_item"
        ordering = ["due", "id"]
        indexes = [models.Index(fields=["due"], name="action_item_open", condition=Q(state="open"))]

    def __str__(self) -> str:
        return self.text


class Reminder(models.Model):
    """A reminder of an action item that was put into the outbox; one for each ``on`` day."""

    item = models.ForeignKey(ActionItem, on_delete=models.CASCADE, related_name="reminders")
    on = models.DateField()
    message_id = models.BigIntegerField(null=True)
    problem = models.CharField(max_length=500, blank=True, default="")
    at = models.DateTimeField()

    class Meta:
        db_table = "action_reminder"
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["item", "on"], name="action_reminder_once")]

    def __str__(self) -> str:
        return f"reminder of {self.item_id} on {self.on}"


class Push(models.Model):
    """A post-mortem or an action item handed to an issue tracker by way of the outbox.

    ``external_id`` is the same for every push of one thing, so that the tracker keeps one of it.
    """

    postmortem = models.ForeignKey(PostMortem, on_delete=models.CASCADE, related_name="pushes")
    item = models.ForeignKey(ActionItem, on_delete=models.CASCADE, null=True, related_name="pushes")
    service = models.CharField(max_length=64)
    external_id = models.CharField(max_length=100)
    message_id = models.BigIntegerField()
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)

    class Meta:
        db_table = "post_mortem_push"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.external_id} to {self.service}"

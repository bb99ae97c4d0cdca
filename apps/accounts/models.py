"""People and API keys."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Now

from apps.accounts.roles import Role, permissions_of
from apps.core.actor import Actor


class UserManager(BaseUserManager["User"]):
    """Makes people; the e-mail address is the log-in."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, role=Role.ADMIN, is_superuser=True, **fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person who works in the portal. What they may do follows from ``role`` alone."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=100, blank=True)
    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)
    is_active = models.BooleanField(default=True)
    # Empty: what the browser asks for, and UTC.
    language = models.CharField(max_length=8, blank=True, default="")
    time_zone = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"

    class Meta:
        db_table = "person"

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def is_staff(self) -> bool:
        """Django's admin is for admins."""
        return self.is_active and self.role == Role.ADMIN

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """Django's admin asks for its own permissions; the role answers for them too."""
        return self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff

    def as_actor(self, ip: str = "") -> Actor:
        return Actor("person", self.email, permissions_of(self.role), ip)


class PersonSession(models.Model):
    """A browser in which a person is logged in: what they see on their list, and what can be ended.

    The session itself is Django's; a row of which the session is gone means nothing.
    """

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    session_key = models.CharField(max_length=40, unique=True)
    ip = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    last_seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "person_session"
        ordering = ["-last_seen_at"]

    def __str__(self) -> str:
        return f"{self.ip} {self.user_agent}"


class PasswordLink(models.Model):
    """A link by which a person sets a password, once. Only its SHA-256 is stored; a new one ends the one before."""

    person = models.OneToOneField(User, on_delete=models.CASCADE, related_name="password_link")
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        db_table = "password_link"

    def __str__(self) -> str:
        return f"password link of {self.person_id}"


class SavedView(models.Model):
    """A page with its filters that a person wants to come back to. ``query`` is the query string without ``?``."""

    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="views")
    page = models.CharField(max_length=40, help_text="The name of the page's URL.")
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "saved_view"
        ordering = ["page", "name"]
        constraints = [models.UniqueConstraint(fields=["person", "page", "name"], name="saved_view_name")]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A program's key. Only its SHA-256 is stored; 256 random bits need no slow hash."""

    name = models.CharField(max_length=100, unique=True)
    prefix = models.CharField(max_length=12)
    key_hash = models.CharField(max_length=64, unique=True)
    scopes: models.JSONField[list[str], list[str]] = models.JSONField(default=list)
    tenant_id = models.CharField(max_length=64, blank=True, help_text="If set, the key acts for this tenant only.")
    rate_per_minute = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.CharField(max_length=200, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "api_key"
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def as_actor(self, ip: str = "") -> Actor:
        return Actor("apikey", self.name, frozenset(self.scopes_as_permissions()), ip)

    def scopes_as_permissions(self) -> set[str]:
        """API scopes are permissions written with a colon: ``messages:write``."""
        return {scope.replace(":", ".") for scope in self.scopes}

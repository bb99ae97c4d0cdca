"""Logging in and one's own security. allauth finds its pages by these names."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, path

from apps.console.views import identity

urlpatterns: list[URLPattern] = [
    path("login", identity.Login.as_view(), name="login"),
    path("login", identity.Login.as_view(), name="account_login"),
    path("login/code", identity.Code.as_view(), name="mfa_authenticate"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("logout", LogoutView.as_view(), name="account_logout"),
    path("account/confirm", identity.PasswordAgain.as_view(), name="account_reauthenticate"),
    path("account/confirm/code", identity.CodeAgain.as_view(), name="mfa_reauthenticate"),
]

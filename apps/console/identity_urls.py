"""Logging in, one's own security, people, keys and the other settings. allauth finds its pages by these names."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, path

from apps.console.views import identity, keys, people, settings_hub

SECURITY = "settings/security"

urlpatterns: list[URLPattern] = [
    path("login", identity.Login.as_view(), name="login"),
    path("login", identity.Login.as_view(), name="account_login"),
    path("login/code", identity.LoginCode.as_view(), name="mfa_authenticate"),
    path("login/passkey", identity.LoginPasskey.as_view(), name="mfa_login_webauthn"),
    path("login/oidc", identity.oidc_login, name="oidc_login"),
    path("login/oidc/callback", identity.oidc_callback, name="oidc_callback"),
    path("login/oidc/cancelled", identity.oidc_cancelled, name="socialaccount_login_cancelled"),
    path("login/link/<str:token>", people.use_link, name="password-link"),
    path("logout", LogoutView.as_view(), name="logout"),
    path("logout", LogoutView.as_view(), name="account_logout"),
    path("account/confirm", identity.PasswordAgain.as_view(), name="account_reauthenticate"),
    path("account/confirm/code", identity.CodeAgain.as_view(), name="mfa_reauthenticate"),
    path("account/confirm/passkey", identity.PasskeyAgain.as_view(), name="mfa_reauthenticate_webauthn"),
    path("settings", settings_hub.hub, name="settings"),
    path("settings/profile", settings_hub.profile, name="profile"),
    path(SECURITY, identity.Security.as_view(), name="mfa_index"),
    path(SECURITY, identity.Security.as_view(), name="mfa_list_webauthn"),
    path(f"{SECURITY}/password", identity.Password.as_view(), name="account_change_password"),
    path(f"{SECURITY}/app", identity.AddApp.as_view(), name="mfa_activate_totp"),
    path(f"{SECURITY}/app/remove", identity.RemoveApp.as_view(), name="mfa_deactivate_totp"),
    path(f"{SECURITY}/recovery-codes", identity.RecoveryCodes.as_view(), name="mfa_view_recovery_codes"),
    path(f"{SECURITY}/recovery-codes/new", identity.NewRecoveryCodes.as_view(), name="mfa_generate_recovery_codes"),
    path(f"{SECURITY}/passkeys/new", identity.AddPasskey.as_view(), name="mfa_add_webauthn"),
    path(f"{SECURITY}/passkeys/<int:pk>/remove", identity.RemovePasskey.as_view(), name="mfa_remove_webauthn"),
    path(f"{SECURITY}/passkeys/<int:pk>/rename", identity.RenamePasskey.as_view(), name="mfa_edit_webauthn"),
    path("settings/sessions", settings_hub.session_list, name="sessions"),
    path("settings/sessions/end-others", settings_hub.sessions_end_others, name="sessions-end-others"),
    path("settings/sessions/<int:session_id>/end", settings_hub.session_end, name="session-end"),
    path("settings/people", people.people_list, name="people"),
    path("settings/people/invite", people.invite, name="people-invite"),
    path("settings/people/<int:person_id>", people.person, name="person"),
    path("settings/people/<int:person_id>/role", people.role, name="people-role"),
    path("settings/people/<int:person_id>/access", people.activate, name="people-activate"),
    path("settings/people/<int:person_id>/link", people.new_link, name="people-link"),
    path("settings/people/<int:person_id>/second-factor", people.reset_factor, name="people-reset-factor"),
    path("settings/people/<int:person_id>/sessions", people.end_sessions, name="people-end-sessions"),
    path("settings/keys", keys.key_list, name="keys"),
    path("settings/keys/new", keys.new, name="key-new"),
    path("settings/keys/<int:key_id>/revoke", keys.revoke, name="key-revoke"),
    path("settings/channels", settings_hub.channels, name="channels"),
    path("settings/schedules", settings_hub.schedules, name="schedules"),
]

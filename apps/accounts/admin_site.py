"""What Django's admin must not offer: changing log-ins without the checks and the audit rows of the service layer."""

from __future__ import annotations

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse


def hide_identity_from_admin() -> None:
    """allauth registers its tables; they are changed under Settings only."""
    for model in (EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken):
        if admin.site.is_registered(model):
            admin.site.unregister(model)


@login_not_required
def admin_login(request: HttpRequest) -> HttpResponse:
    """To the one log-in; who is logged in goes on to the admin, or may not see it."""
    if request.user.is_authenticated:
        if admin.site.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        raise PermissionDenied
    return HttpResponseRedirect(f"{reverse('login')}?{request.GET.urlencode()}")

"""The switch between languages: kept with the person, and in a cookie for the pages before the log-in."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from apps.accounts.models import User
from apps.accounts.people import update_profile
from apps.core.http import client_ip
from apps.core.language import is_language

YEAR_S: Final = 365 * 24 * 3600


@login_not_required
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Speak another language from now on; one that is not known changes nothing."""
    response = HttpResponseRedirect(_target(request))
    chosen = request.POST.get("language", "")
    if not is_language(chosen):
        return response
    if isinstance(request.user, User):
        update_profile(person=request.user, changes={"language": chosen}, ip=client_ip(request))
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME, chosen, max_age=YEAR_S, samesite="Lax", secure=settings.HTTPS, httponly=True
    )
    return response


def _target(request: HttpRequest) -> str:
    target = request.POST.get("next", "/")
    return target if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}) else "/"

"""Finding anything from anywhere, and moving by keyboard."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.accounts.models import User
from apps.console.selectors.find import LONGEST
from apps.console.selectors.find import find as look
from apps.console.shell import KEYS_COOKIE, portal_of
from apps.console.web import crumbs, is_htmx, page
from apps.core.actor import MESSAGES_READ

PALETTE_HEADER: Final = "X-Palette"
YEAR_S: Final = 365 * 24 * 3600


@page(MESSAGES_READ)
@require_GET
def find(request: HttpRequest) -> HttpResponse:
    """Everything that matches ``q``: as a page, or for the palette only the list."""
    assert isinstance(request.user, User)  # the page decorator has seen to it
    query = request.GET.get("q", "").strip()[:LONGEST]
    groups = look(query, person=request.user, portal=portal_of(request))
    count = sum(len(group.hits) for group in groups)
    context = {"query": query, "groups": groups, "count": count, "crumbs": crumbs(_("Search"))}
    if request.headers.get(PALETTE_HEADER) == "1":
        response = render(request, "console/find_list.html", context)
    else:
        response = render(request, "console/find.html", context)
    response["Vary"] = f"Cookie, {PALETTE_HEADER}"
    response["Cache-Control"] = "private, no-store"
    return response


@page(MESSAGES_READ)
@require_GET
def shortcuts(request: HttpRequest) -> HttpResponse:
    """The help sheet: a dialog over any page, or a page of its own."""
    template = "console/shortcuts_dialog.html" if is_htmx(request) else "console/shortcuts.html"
    return render(request, template, {"crumbs": crumbs(_("Keyboard shortcuts"))})


@login_not_required
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Turn single-key shortcuts off or on; the choice is kept in a cookie of this browser."""
    target = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        target = "/"
    response = HttpResponseRedirect(target)
    if request.POST.get("keys") == "off":
        response.set_cookie(KEYS_COOKIE, "off", max_age=YEAR_S, samesite="Lax", secure=settings.HTTPS)
    else:
        response.delete_cookie(KEYS_COOKIE, samesite="Lax")
    return response

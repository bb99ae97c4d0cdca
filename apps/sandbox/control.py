"""The sandbox's own page and its JSON API, on loopback only.

Nobody else's page may press the buttons: the Host must be this machine (so that a rebound name does not
reach us), a browser must say that the request comes from here, a form must carry the page's token, and the
JSON API takes only application/json, which another origin cannot send without asking first.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from django.template.loader import render_to_string

from apps.core.errors import Forbidden, Invalid, PortalError
from apps.sandbox import page

if TYPE_CHECKING:
    from apps.sandbox.server import SandboxServer

ASSETS: Final = Path(__file__).parent / "assets"
ASSET_TYPES: Final = {"sandbox.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}
OWN_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
OPTIONS: Final = ("share", "seconds", "delay", "status")
GRACE_S: Final = 0.2
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Serves one sandbox."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self._sandbox = sandbox
        self.token = secrets.token_urlsafe(32)

    def runner(self) -> web.AppRunner:
        app = web.Application(middlewares=[_guard])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/assets/{name}", _asset),
                web.post("/outages", self._form_start),
                web.post("/outages/end", self._form_end),
                web.post("/script", self._form_script),
                web.get("/api/status", self._status),
                web.get("/api/received/{provider}", self._received),
                web.post("/api/outages", self._api_start),
                web.post("/api/outages/end", self._api_end),
                web.post("/api/script", self._api_script),
            ]
        )
        return web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_S)

    # --- the page and its forms ---

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return self._rendered(request.query.get("provider", ""))

    def _rendered(self, only: str = "", *, problem: str = "", status: int = 200) -> web.Response:
        context = page.context(self._sandbox, only=only)
        html = render_to_string("sandbox/page.html", {**context, "token": self.token, "problem": problem})
        return web.Response(text=html, content_type="text/html", status=status)

    async def _form_start(self, request: web.Request) -> web.StreamResponse:
        async def act(form: dict[str, str]) -> str:
            options = {name: _number(name, form.get(name, "")) for name in ("share", "seconds", "delay")}
            given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
            await self._sandbox.start_outage(form.get("provider", ""), form.get("mode", ""), **given)
            return form.get("provider", "")

        return await self._form(request, act)

    async def _form_end(self, request: web.Request) -> web.StreamResponse:
        async def act(form: dict[str, str]) -> str:
            await self._sandbox.end_outage(form.get("provider", ""), form.get("mode") or None)
            return form.get("provider", "")

        return await self._form(request, act)

    async def _form_script(self, request: web.Request) -> web.StreamResponse:
        async def act(form: dict[str, str]) -> str:
            await self._sandbox.set_script(form.get("script") == "on")
            return "script"

        return await self._form(request, act)

    async def _form(self, request: web.Request, act: Callable[[dict[str, str]], Awaitable[str]]) -> web.StreamResponse:
        """Check the token, act, and go back to where the button was; a problem is shown on the page."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            if not hmac.compare_digest(form.get("token", "").encode(), self.token.encode()):
                raise Forbidden("The sandbox has been restarted since this page was loaded. Please press again.")
            anchor = await act(form)
        except PortalError as error:
            return self._rendered(problem=error.message, status=error.status)
        raise web.HTTPSeeOther(f"/#{anchor}")

    # --- the JSON API ---

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._sandbox.status())

    async def _received(self, request: web.Request) -> web.StreamResponse:
        """The latest requests of one provider, the newest first."""
        recent = self._sandbox.received(request.match_info["provider"]).recent
        return web.json_response([one.as_dict() for one in reversed(recent)])

    async def _api_start(self, request: web.Request) -> web.StreamResponse:
        wanted = await _json(request)
        options = {name: wanted[name] for name in OPTIONS if wanted.get(name) is not None}
        for name, value in options.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Invalid.field(name, "must be a number")
        await self._sandbox.start_outage(str(wanted.get("provider", "")), str(wanted.get("mode", "")), **options)
        return await self._status(request)

    async def _api_end(self, request: web.Request) -> web.StreamResponse:
        wanted = await _json(request)
        ended = await self._sandbox.end_outage(str(wanted.get("provider", "")), wanted.get("mode"))
        return web.json_response({**self._sandbox.status(), "ended": [outage.mode.value for outage in ended]})

    async def _api_script(self, request: web.Request) -> web.StreamResponse:
        wanted = (await _json(request)).get("on")
        if not isinstance(wanted, bool):
            raise Invalid.field("on", "must be true or false")
        await self._sandbox.set_script(wanted)
        return await self._status(request)


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what does not come from here, and put the security headers on every answer."""
    try:
        _check_origin(request)
        response = await handler(request)
    except PortalError as error:
        response = web.json_response(error.as_dict(), status=error.status)
    except web.HTTPException as error:
        error.headers.update(SECURITY_HEADERS)
        raise
    response.headers.update(SECURITY_HEADERS)
    return response


def _check_origin(request: web.Request) -> None:
    """Raises :class:`Forbidden`."""
    if (request.url.host or "") not in OWN_NAMES:
        raise Forbidden(f"The sandbox answers only on this machine: open http://127.0.0.1:{request.url.port}/")
    if request.method in ("GET", "HEAD"):
        return
    origin = request.headers.get("Origin")
    from_here = request.headers.get("Sec-Fetch-Site", "same-origin") in ("same-origin", "none")
    if not from_here or (origin is not None and origin != f"http://{request.host}"):
        raise Forbidden("This was sent by another site. Use the buttons of the sandbox's own page.")


async def _asset(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    if name not in ASSET_TYPES:
        raise web.HTTPNotFound
    return web.Response(body=(ASSETS / name).read_bytes(), content_type=ASSET_TYPES[name], charset="utf-8")


async def _json(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise Invalid("Send JSON with Content-Type: application/json.")
    try:
        found = await request.json()
    except ValueError as error:
        raise Invalid(f"The body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise Invalid("The body must be a JSON object.")
    return found


def _number(name: str, text: str) -> float | None:
    """A number of a form; empty is none."""
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise Invalid.field(name, f"{text[:40]!r} is not a number") from None

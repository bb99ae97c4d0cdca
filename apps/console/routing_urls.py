"""Addresses of the routing of alerts and of who is on call."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import alert_routing as routing
from apps.console.views import on_call

urlpatterns: list[URLPattern] = [
    path("alerts/routing", routing.routing, name="routing"),
    path("alerts/routing/edit", routing.edit, name="routing-edit"),
    path("alerts/routing/versions", routing.versions, name="routing-versions"),
    path("alerts/routing/versions/<int:version>", routing.version, name="routing-version"),
    path("alerts/routing/versions/<int:version>/restore", routing.restore, name="routing-restore"),
    path("on-call", on_call.rotations, name="on-call"),
    path("on-call/new", on_call.new, name="rotation-new"),
    path("on-call/<slug:name>", on_call.rotation, name="rotation"),
    path("on-call/<slug:name>/edit", on_call.edit, name="rotation-edit"),
    path("on-call/<slug:name>/instead", on_call.instead, name="rotation-instead"),
    path("on-call/<slug:name>/hand-over", on_call.hand_over, name="rotation-hand-over"),
    path("on-call/<slug:name>/remove", on_call.remove, name="rotation-remove"),
    path("on-call/<slug:name>/overrides/<int:override_id>/end", on_call.end, name="rotation-override-end"),
]

"""Addresses of incidents."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import incident_changes as change
from apps.console.views import incident_links as links
from apps.console.views import incident_rules as rules
from apps.console.views import incident_timeline as lines
from apps.console.views import incidents

urlpatterns: list[URLPattern] = [
    path("incidents", incidents.incidents, name="incidents"),
    path("incidents/new", change.new, name="incident-new"),
    path("incidents/rules", rules.rules, name="incident-rules"),
    path("incidents/rules/new", rules.new, name="incident-rule-new"),
    path("incidents/rules/<slug:name>", rules.rule, name="incident-rule"),
    path("incidents/rules/<slug:name>/edit", rules.edit, name="incident-rule-edit"),
    path("incidents/rules/<slug:name>/switch", rules.switch, name="incident-rule-switch"),
    path("incidents/rules/<slug:name>/delete", rules.delete, name="incident-rule-delete"),
    path("incidents/<int:incident_id>", incidents.incident, name="incident"),
    path("incidents/<int:incident_id>/update", change.update, name="incident-update"),
    path("incidents/<int:incident_id>/resolve", change.resolve, name="incident-resolve"),
    path("incidents/<int:incident_id>/reopen", change.reopen, name="incident-reopen"),
    path("incidents/<int:incident_id>/severity", change.severity, name="incident-severity"),
    path("incidents/<int:incident_id>/correct", change.correct, name="incident-correct"),
    path("incidents/<int:incident_id>/merge", change.merge, name="incident-merge"),
    path("incidents/<int:incident_id>/roles/<slug:role>", change.role, name="incident-role"),
    path("incidents/<int:incident_id>/roles/<slug:role>/take", change.take_role, name="incident-role-take"),
    path("incidents/<int:incident_id>/alerts", links.link_alerts, name="incident-alerts"),
    path("incidents/<int:incident_id>/alerts/<int:episode_id>/remove", links.unlink, name="incident-alert-remove"),
    path("incidents/<int:incident_id>/things/<slug:kind>", links.add_thing, name="incident-thing"),
    path("incidents/<int:incident_id>/things/<int:thing_id>/remove", links.remove_thing, name="incident-thing-remove"),
    path("incidents/<int:incident_id>/timeline", lines.timeline, name="incident-timeline"),
    path("incidents/<int:incident_id>/timeline/add", lines.add, name="incident-line-add"),
    path("incidents/<int:incident_id>/timeline/<int:line_id>/edit", lines.edit, name="incident-line-edit"),
    path("incidents/<int:incident_id>/timeline/<int:line_id>/delete", lines.delete, name="incident-line-delete"),
    path("incidents/<int:incident_id>/timeline/<int:line_id>/pin", lines.pin, name="incident-line-pin"),
    path("incidents/<int:incident_id>/timeline/<int:line_id>/unpin", lines.unpin, name="incident-line-unpin"),
    path("incidents/<int:incident_id>/timeline/<int:line_id>/hide", lines.hide, name="incident-line-hide"),
    path("incidents/<int:incident_id>/timeline/<int:line_id>/show", lines.show, name="incident-line-show"),
    path("incidents/<int:incident_id>/suspects", lines.suspects, name="incident-suspects"),
    path("incidents/<int:incident_id>/culprit", lines.culprit, name="incident-culprit"),
    path("incidents/<int:incident_id>/culprit/take-back", lines.take_back, name="incident-culprit-take-back"),
]

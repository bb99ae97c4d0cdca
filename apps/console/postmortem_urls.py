"""Addresses of post-mortems and their action items."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import postmortem_changes as changes
from apps.console.views import postmortems

urlpatterns: list[URLPattern] = [
    path("post-mortems", postmortems.postmortems, name="postmortems"),
    path("post-mortems/new", changes.new, name="postmortem-new"),
    path("post-mortems/<int:postmortem_id>", postmortems.postmortem, name="postmortem"),
    path("post-mortems/<int:postmortem_id>/edit", postmortems.edit, name="postmortem-edit"),
    path("post-mortems/<int:postmortem_id>/preview", postmortems.preview, name="postmortem-preview"),
    path("post-mortems/<int:postmortem_id>/versions", postmortems.versions, name="postmortem-versions"),
    path("post-mortems/<int:postmortem_id>/versions/<int:version>/restore", changes.restore, name="postmortem-restore"),
    path("post-mortems/<int:postmortem_id>/review", changes.review, name="postmortem-review"),
    path("post-mortems/<int:postmortem_id>/withdraw", changes.withdraw, name="postmortem-withdraw"),
    path("post-mortems/<int:postmortem_id>/publish", changes.publish, name="postmortem-publish"),
    path("post-mortems/<int:postmortem_id>/reopen", changes.reopen, name="postmortem-reopen"),
    path("post-mortems/<int:postmortem_id>/accept", changes.accept, name="postmortem-accept"),
    path("post-mortems/<int:postmortem_id>/dismiss", changes.dismiss, name="postmortem-dismiss"),
]

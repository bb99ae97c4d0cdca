"""Addresses of post-mortems and their action items."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.views import action_items, postmortem_export, postmortems
from apps.console.views import postmortem_changes as changes

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
    path("post-mortems/<int:postmortem_id>/export.<str:form>", postmortem_export.export, name="postmortem-export"),
    path("post-mortems/<int:postmortem_id>/push", postmortem_export.push, name="postmortem-push"),
    path("post-mortems/<int:postmortem_id>/items/new", action_items.new, name="action-item-new"),
    path("action-items", action_items.action_items, name="action-items"),
    path("action-items/<int:item_id>", action_items.action_item, name="action-item"),
    path("action-items/<int:item_id>/edit", action_items.edit, name="action-item-edit"),
    path("action-items/<int:item_id>/done", action_items.finish, name="action-item-done"),
    path("action-items/<int:item_id>/drop", action_items.drop, name="action-item-drop"),
    path("action-items/<int:item_id>/reopen", action_items.reopen, name="action-item-reopen"),
]

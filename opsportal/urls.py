"""All URLs. Paths of the HTTP contract have no trailing slash; a redirect would lose a POST."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("apps.console.urls")),
]

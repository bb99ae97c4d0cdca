"""All URLs. Paths of the HTTP contract have no trailing slash; a redirect would lose a POST.

/health... and /metrics are answered by opsportal.probes, before any of this.
"""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from apps.accounts.admin_site import admin_login, hide_identity_from_admin
from apps.alerts.receiver import alertmanager
from opsportal import api_docs
from opsportal.api import api

hide_identity_from_admin()

urlpatterns = [
    # One log-in for everything: its throttle and its second factor must not have a way around.
    path("admin/login/", admin_login),
    path("admin/", admin.site.urls),
    path("api/v1/docs", api_docs.docs, name="api-docs"),
    path("webhooks/alertmanager", alertmanager, name="webhook-alertmanager"),
    # Alertmanager follows a redirect with a GET and takes its answer for a success.
    path("webhooks/alertmanager/", alertmanager, name="webhook-alertmanager-slash"),
    path("", include("apps.console.urls")),
    # Last: its own root stands behind the overview. It holds /api/v1/... and /stats/...
    path("", api.urls),
]

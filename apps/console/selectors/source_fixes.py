"""What to put where so that a source is well: pieces of configuration to copy. Pure; code speaks no language."""

from __future__ import annotations

from typing import Final

from apps.alerts.models import AlertSource, SourceKind

TOKEN_FILE: Final = "/etc/alertmanager/opsportal.token"  # noqa: S105  a path
ANY_WATCHDOG: Final = "Watchdog"


def beat_every(source: AlertSource) -> int:
    """Seconds; three heartbeats fit into the time after which the source counts as blind."""
    return max(10, min(300, source.watchdog_timeout // 3))


def receiver(source: AlertSource, url: str) -> str:
    """The whole of it, for who begins."""
    return _grafana(url) if source.kind == SourceKind.GRAFANA else _alertmanager(source, url)


def _alertmanager(source: AlertSource, url: str) -> str:
    watchdog = f"{_watchdog_route(source)}\n" if source.watchdog else ""
    return f"""\
receivers:
  - name: opsportal
    webhook_configs:
      - url: {url}
        send_resolved: true
        max_alerts: 0
        http_config:
          authorization:
            type: Bearer
            credentials_file: {TOKEN_FILE}

route:
  routes:
{watchdog}    - receiver: opsportal
      continue: true"""


def _watchdog_route(source: AlertSource) -> str:
    return f"""\
    - receiver: opsportal
      matchers: ['alertname="{source.watchdog}"']
      group_wait: 0s
      group_interval: {beat_every(source)}s
      repeat_interval: {beat_every(source)}s"""


def watchdog(source: AlertSource) -> str:
    """The rule of an alert that always fires, and a route by which it is heard often."""
    named = source if source.watchdog else AlertSource(watchdog=ANY_WATCHDOG, watchdog_timeout=source.watchdog_timeout)
    return f"""\
# Prometheus, a rule file
groups:
  - name: heartbeat
    rules:
      - alert: {named.watchdog}
        expr: vector(1)

# Alertmanager, the first of the routes
route:
  routes:
{_watchdog_route(named)}"""


def _grafana(url: str) -> str:
    return f"""\
apiVersion: 1
contactPoints:
  - orgId: 1
    name: opsportal
    receivers:
      - uid: opsportal
        type: webhook
        disableResolveMessage: false
        settings:
          url: {url}
          httpMethod: POST
          authorization_scheme: Bearer
          authorization_credentials: $OPSPORTAL_TOKEN
          maxAlerts: "0\""""


def everything(url: str) -> str:
    """Nothing is left out of a post."""
    return f"""\
webhook_configs:
  - url: {url}
    max_alerts: 0"""


def test_post(source: AlertSource, url: str) -> str:
    """A heartbeat by hand: it shows that the way is open, and pages nobody."""
    name = source.watchdog or ANY_WATCHDOG
    body = (
        f'{{"version":"4","status":"firing","alerts":[{{"status":"firing","labels":{{"alertname":"{name}"}}}}]}}'
        if source.watchdog
        else '{"version":"4","status":"resolved","alerts":[]}'
    )
    return f"""\
curl -sS {url} \\
  -H "Authorization: Bearer $(cat {TOKEN_FILE})" \\
  -H 'Content-Type: application/json' \\
  -d '{body}'"""


def ask_api(source: AlertSource) -> str:
    """What the portal asks every minute, from its host."""
    secret = "  -H 'Authorization: Bearer ...' \\\n" if source.api_secret else ""
    url = f"{source.api_url.rstrip('/')}/api/v2/alerts"
    return f"curl -sS -o /dev/null -w '%{{http_code}}\\n' \\\n{secret}  '{url}'"

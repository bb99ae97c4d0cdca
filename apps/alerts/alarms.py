"""Ways to say that nobody escalates alerts any more, none of which needs the escalation."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import requests
import structlog
from django.conf import settings

from apps.alerts.models import Episode
from apps.alerts.notices import Notice, one_line
from apps.alerts.policies import in_force
from apps.alerts.reaching import Directory
from apps.alerts.telling import send, url_of
from apps.core.errors import PortalError

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 5.0
NAME: Final = "EscalationStopped"
FACTS: Final = {"alertname": NAME, "severity": "critical", "source": "portal", "service": ""}
RUNBOOK: Final = "docs/runbooks/escalation-late.md"


@dataclass(frozen=True, slots=True)
class Alarm:
    """``key`` is the same for an outage and its end. ``way``: one of :data:`WAYS`."""

    key: str
    text: str
    over: bool
    way: str = ""


def through_the_outbox(alarm: Alarm, now: datetime) -> int:
    """To the first step of the route of a critical alert of the portal, in the caller's transaction; the delivery
    worker needs neither beat nor the control worker. Returns how many messages were put in.
    """
    _, routing = in_force()
    directory, sent = Directory(now), 0
    notice = Notice(
        kind="resolved" if alarm.over else "page",
        key=alarm.key,
        title=alarm.text,
        severity="critical",
        source="opsportal",
        url=url_of("/alerts"),
        text=f"Runbook: {RUNBOOK}",
    )
    for target in routing.route_of(FACTS).steps[0].notify:
        way = directory.way(target, routing.targets, routing.owners, Episode(service=""))
        try:
            sent += bool(not way.problem and send(way, notice))
        except PortalError as error:
            log.warning("alerts.alarm_unsent", target=target, problem=error.message)
    return sent


def direct(alarm: Alarm) -> list[Alarm]:
    """One for each way the environment names."""
    given = {
        "webhook": settings.ALARM_WEBHOOK_URL,
        "pagerduty": settings.ALARM_PAGERDUTY_KEY,
        "email": settings.ALARM_EMAIL,
    }
    return [replace(alarm, way=way) for way in WAYS if given[way]]


def say(alarm: Alarm) -> bool:
    """Say it now. False when that did not work."""
    try:
        WAYS[alarm.way](alarm)
    except (requests.RequestException, smtplib.SMTPException, OSError, ValueError) as error:
        # Addresses may carry secrets, so only what kind of trouble it was is logged.
        log.warning("alerts.alarm_failed", way=alarm.way, problem=type(error).__name__)
        return False
    log.info("alerts.alarm_said", way=alarm.way, over=alarm.over)
    return True


def ping(url: str) -> str:
    """Returns what went wrong; empty when nothing did. The address is a secret of the service that waits for it."""
    try:
        answer = requests.get(url, timeout=TIMEOUT_S, headers={"User-Agent": "opsportal"})
    except requests.RequestException as error:
        return f"could not be asked: {type(error).__name__}"
    return "" if answer.ok else f"answered {answer.status_code}"


def _post(url: str, body: Mapping[str, Any]) -> None:
    requests.post(url, json=body, timeout=TIMEOUT_S, headers={"User-Agent": "opsportal"}).raise_for_status()


def _webhook(alarm: Alarm) -> None:
    """``text`` makes it readable to the incoming webhooks of Slack and its likes."""
    body = {"text": alarm.text, "key": alarm.key, "status": "resolved" if alarm.over else "firing", "alert": NAME}
    _post(settings.ALARM_WEBHOOK_URL, {**body, "url": url_of("/alerts"), "runbook": RUNBOOK})


def _pagerduty(alarm: Alarm) -> None:
    event: dict[str, Any] = {
        "routing_key": settings.ALARM_PAGERDUTY_KEY,
        "event_action": "resolve" if alarm.over else "trigger",
        "dedup_key": alarm.key,
    }
    if not alarm.over:
        event["payload"] = {"summary": one_line(alarm.text), "source": "opsportal", "severity": "critical"}
    _post(settings.ALARM_PAGERDUTY_URL, event)


def _email(alarm: Alarm) -> None:
    server = urlsplit(settings.ALARM_SMTP_URL or "smtp://127.0.0.1:25")
    kind = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    with kind(server.hostname or "127.0.0.1", server.port or 25, timeout=TIMEOUT_S) as smtp:
        if server.username:
            if server.scheme == "smtp":
                smtp.starttls()
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(_letter(alarm))


def _letter(alarm: Alarm) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = one_line(f"[{'RESOLVED' if alarm.over else 'CRITICAL'}] {alarm.text}", 200)
    letter["From"] = settings.ALARM_EMAIL[0]
    letter["To"] = ", ".join(settings.ALARM_EMAIL)
    letter.set_content("\n".join(filter(None, [alarm.text, f"Runbook: {RUNBOOK}", url_of("/alerts")])))
    return letter


WAYS: Final[Mapping[str, Callable[[Alarm], None]]] = {"webhook": _webhook, "pagerduty": _pagerduty, "email": _email}

"""Alerts among what needs a person now: those that fire, may page, and are nobody's yet."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.alerts.models import Episode
from apps.alerts.shown import visible_line
from apps.console.selectors.alerts import FIRING_TONE, Ahead, ahead_of
from apps.console.selectors.people import Need
from apps.console.selectors.vitals import Vitals
from apps.core import human
from apps.core.clock import now


def alert_needs(vitals: Vitals, *, may_work: bool) -> list[Need]:
    """The most severe ones by name, the others as a number."""
    moment, shown = now(), vitals.urgent
    found = [_need(episode, ahead_of(episode, moment), may_work) for episode in shown]
    rest = vitals.alerts - len(shown)
    return [*found, _rest(rest)] if rest > 0 and shown else found


def _need(episode: Episode, ahead: Ahead | None, may_work: bool) -> Need:
    url = reverse("alert", args=[episode.pk])
    name = visible_line(episode.name, 80)
    title = _("{name} on {service}").format(name=name, service=episode.service) if episode.service else name
    who = ahead.who if ahead is not None else ""
    pages = ahead is not None and bool(who) and not ahead.hold and not ahead.is_due(now())
    tone = FIRING_TONE.get(episode.severity, "warning").replace("info", "unknown")
    return Need(
        tone,
        title,
        visible_line(str(getattr(episode, "summary", "") or ""), 140) or _("fires, and is nobody’s yet"),
        url,
        _("Acknowledge") if may_work else _("Look"),
        since=None if pages else episode.first_seen_at,
        when=who if pages else "",
        dialog=f"{reverse('alerts-acknowledge')}?ids={episode.pk}" if may_work else "",
        until=ahead.at if pages and ahead is not None else None,
    )


def _rest(count: int) -> Need:
    title = ngettext("{n} more alert is nobody’s yet", "{n} more alerts are nobody’s yet", count)
    url = f"{reverse('alerts')}?state=firing&ack=no"
    return Need("warning", title.format(n=human.number(count)), _("firing now"), url, _("Look"))

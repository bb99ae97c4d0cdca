"""News from incidents. A sweep stands behind it, so a lost signal costs a minute."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from apps.incidents.signals import incident_changed
from apps.postmortems.begun import heard


@receiver(incident_changed, dispatch_uid="postmortems.heard")
def on_incident_changed(sender: Any, *, incident_id: int, what: str, **_: Any) -> None:
    heard(incident_id, what)

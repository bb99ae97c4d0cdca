from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from apps.breakers.models import BreakerWorker
from apps.console.selectors.vitals import forget, vitals
from apps.outbox.models import DeadLetter, Message


def test_a_portal_with_messages_is_left_alone(night: None) -> None:
    before = Message.objects.count()
    with pytest.raises(CommandError, match="has messages already"):
        call_command("seed_demo", stdout=io.StringIO())
    assert Message.objects.count() == before


def test_the_night_is_what_it_claims(night: None) -> None:
    forget()
    found = vitals()
    states = {name: str(snapshot.state) for name, snapshot in found.breakers.items()}
    assert (states["midtrans"], states["whatsapp"], states["smtp"]) == ("OPEN", "HALF_OPEN", "CLOSED")
    assert DeadLetter.objects.filter(state="open").values("cause").distinct().count() >= 5


def test_refresh_makes_its_workers_look_alive(night: None) -> None:
    BreakerWorker.objects.update(synced_at=0)
    assert vitals(fresh=True).workers == []
    call_command("seed_demo", "--refresh", stdout=io.StringIO())
    assert len(vitals(fresh=True).workers) == 4

"""Silences made from here, in a real Alertmanager that a real Prometheus feeds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from apps.alerts import silencing, work
from apps.alerts.episodes import State
from apps.alerts.models import AlertSource, Episode, Silence
from apps.core.actor import SYSTEM
from apps.core.db import database_now
from tests.alerts import test_real_alertmanager as real
from tests.alerts.test_real_alertmanager import World, states

pytestmark = real.pytestmark
world = real.world


def followed(at: datetime | None = None) -> Silence:
    Silence.objects.filter(ended_at__isnull=True).update(next_try_at=database_now() - timedelta(seconds=1))
    silencing.follow_all(at)
    return Silence.objects.order_by("-pk")[0]


def remote(url: str, silence: Silence) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{url}/api/v2/silence/{silence.remote_id}", timeout=5).json()
    return found


@pytest.fixture
def firing(world: World) -> tuple[str, Episode]:
    world.target.parts = {"a": 1, "b": 1}
    url = world.alertmanager("one")
    world.prometheus(url)
    AlertSource.objects.filter(pk="real").update(api_url=url)
    world.until(lambda: states() == {"a": State.FIRING, "b": State.FIRING})
    return url, next(episode for episode in Episode.objects.filter(name="Broken") if episode.labels["part"] == "a")


def test_from_the_acknowledgement_to_its_end(world: World, firing: tuple[str, Episode]) -> None:
    """It holds one alert and no other, is extended in place, and ends with its alert."""
    url, episode = firing
    until = database_now() + timedelta(hours=1)
    work.acknowledge(episode_id=episode.pk, actor=SYSTEM, reason="known", silence_until=until)
    made = followed()
    assert (made.state, made.problem) == ("active", "")
    told = remote(url, made)
    assert told["status"]["state"] == "active"
    assert told["comment"].startswith("known")
    world.until(lambda: Episode.objects.filter(name="Broken", suppressed=True, absent_since=None).count() == 1)
    assert Episode.objects.get(pk=episode.pk).suppressed_by == [made.remote_id]

    silencing.extend(silence_id=made.pk, actor=SYSTEM, until=until + timedelta(hours=3))
    extended = followed()
    assert extended.remote_id == made.remote_id
    assert remote(url, extended)["endsAt"].startswith((until + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S"))

    world.target.parts["a"] = 0
    world.until(lambda: states() == {"a": State.RESOLVED, "b": State.FIRING})
    over = followed()
    assert (over.state, over.ended_by) == ("expired", "resolved")
    assert remote(url, over)["status"]["state"] == "expired"


def test_ended_there_and_ended_here(world: World, firing: tuple[str, Episode]) -> None:
    url, episode = firing
    silencing.silence(episode_id=episode.pk, actor=SYSTEM, until=database_now() + timedelta(hours=1), reason="known")
    made = followed()
    assert requests.delete(f"{url}/api/v2/silence/{made.remote_id}", timeout=5).status_code == 200
    over = followed()
    assert (over.state, over.ended_by, over.problem) == ("expired", "Alertmanager", "")
    again = silencing.silence(
        episode_id=episode.pk, actor=SYSTEM, until=database_now() + timedelta(hours=1), reason="known"
    )
    active = followed()
    # Ended in both places at once: one that is over there already is no trouble.
    assert requests.delete(f"{url}/api/v2/silence/{active.remote_id}", timeout=5).status_code == 200
    silencing.end(silence_id=again.pk, actor=SYSTEM)
    assert (followed().state, followed().problem) == ("expired", "")
    assert not Episode.objects.get(pk=episode.pk).suppressed

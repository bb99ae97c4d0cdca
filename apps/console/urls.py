"""The pages. No path ends with a slash: a redirect would lose a POST."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console import identity_urls
from apps.console.views import account, deadletters, language, outbox, overview, replays, services

urlpatterns: list[URLPattern] = [
    path("", overview.overview, name="overview"),
    *identity_urls.urlpatterns,
    path("theme", account.theme, name="theme"),
    path("language", language.language, name="language"),
    path("services", services.services, name="services"),
    path("services/<slug:name>", services.service, name="service"),
    path("services/<slug:name>/override", services.override, name="service-override"),
    path("services/<slug:name>/test", services.test_now, name="service-test"),
    path("services/<slug:name>/pause", services.pause, name="service-pause"),
    path("services/<slug:name>/resume", services.resume, name="service-resume"),
    path("services/<slug:name>/settings", services.settings, name="service-settings"),
    path("outbox", outbox.outbox, name="outbox"),
    path("outbox/export", outbox.export, name="outbox-export"),
    path("outbox/<int:message_id>", outbox.message, name="message"),
    path("outbox/<int:message_id>/reveal", outbox.reveal, name="message-reveal"),
    path("outbox/<int:message_id>/retry", outbox.retry, name="message-retry"),
    path("outbox/<int:message_id>/cancel", outbox.cancel, name="message-cancel"),
    path("dead-letters", deadletters.by_cause, name="dead-letters"),
    path("dead-letters/discard", deadletters.discard, name="letters-discard"),
    path("dead-letters/causes/<slug:fingerprint>", deadletters.cause, name="cause"),
    path("dead-letters/<int:letter_id>", deadletters.letter, name="letter"),
    path("dead-letters/<int:letter_id>/edit", deadletters.edit, name="letter-edit"),
    path("replays", replays.replays, name="replays"),
    path("replays/new", replays.new, name="replay-new"),
    path("replays/<int:replay_id>", replays.replay, name="replay"),
    path("replays/<int:replay_id>/pause", replays.pause, name="replay-pause"),
    path("replays/<int:replay_id>/resume", replays.resume, name="replay-resume"),
    path("replays/<int:replay_id>/cancel", replays.cancel, name="replay-cancel"),
]

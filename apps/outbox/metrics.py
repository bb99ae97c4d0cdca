"""Prometheus counters of the engine, added up over the processes of a host."""

from __future__ import annotations

from prometheus_client import Counter

DELIVERIES = Counter("opsportal_deliveries_total", "Delivery attempts by outcome.", ["service", "outcome"])
DELIVERY_SECONDS = Counter("opsportal_delivery_seconds_total", "Time spent in delivery attempts.", ["service"])
DEAD_LETTERS = Counter("opsportal_dead_letters_total", "Messages that died.", ["service", "reason"])
EXPIRED = Counter("opsportal_expired_total", "Messages that expired before they were sent.", ["service"])
RESCUED = Counter("opsportal_rescued_total", "Messages taken back from a lost worker.", ["service"])
CLAIMS = Counter("opsportal_claims_total", "Claims made.", ["service"])

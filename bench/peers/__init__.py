"""The queues we compare with. Everything here but `specs` runs in var/bench-venv, never in the portal's own."""

"""Is a port free? Asked before anything is started, so that the answer is one clear sentence."""

from __future__ import annotations

import errno
import socket

from apps.sandbox.ports import describe_holder


class PortTaken(Exception):
    """Says which port, which variable names it, and what to do."""


def check_port(host: str, port: int, variable: str, purpose: str, *, first: int = 0) -> None:
    """Raises PortTaken when ``host:port`` cannot be listened on. ``variable`` names ``first``, of several in a row."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port of a run that has just ended is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
            # Somebody who listens with SO_REUSEADDR lets us bind, but not listen.
            probe.listen(1)
        except OSError as error:
            raise PortTaken(_reason(error, host, port, variable, purpose, first or port)) from error


def _reason(error: OSError, host: str, port: int, variable: str, purpose: str, first: int) -> str:
    if error.errno == errno.EADDRINUSE:
        why = f"Port {port} on {host} is taken, and {purpose} needs it: {describe_holder(port)}."
        who = "Stop that program,"
    elif error.errno == errno.EACCES:
        why = f"This user may not listen on port {port} of {host} ({purpose}); ports below 1024 are root's."
        who = "Take a port from 1024 up,"
    else:
        return f"{purpose} cannot listen on {host}:{port}: {error.strerror}. HOST and {variable} choose the address."
    other = first + 100 if 1024 <= first < 65_000 else 8_100
    return f"{why}\n{who} or choose another port: make run {variable}={other}"

"""What systemd is told of a service of `Type=notify`, or `notify-reload`."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell whoever started us that way `state`, such as `READY=1`; nothing where nobody waits for it."""
    at = environ.get("NOTIFY_SOCKET", "")
    if at[:1] not in ("/", "@"):
        return
    address = "\0" + at[1:] if at.startswith("@") else at
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.connect(address)
            out.sendall(state.encode())
        except OSError:
            return  # that nobody listens is no reason not to serve


def reloading() -> str:
    """What is told when a reload begins: systemd wants the time with it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"

"""Where the gateway may listen, going by who may ask."""

from __future__ import annotations

from pointsman_gateway.access.peers import is_loopback
from pointsman_gateway.access.settings import AccessSettings

_LINE = 'access: {keys: [{name: me, key: "${POINTSMAN_KEY}", operator: true}]}'
"""On one line: problems of a configuration have one each."""


def refusal(host: str, access: AccessSettings | None) -> str | None:
    """Why the gateway does not listen at `host` with that `access`; None when it may.

    Args:
        host: an address or a name; "" for a socket in the file system.
    """
    if host == "" or is_loopback(host) or (access is not None and access.lets_somebody_in):
        return None
    return (
        f"{host} can be reached from other machines, and nothing says who may ask. Add to gateway: {_LINE}"
        " (openssl rand -hex 32 makes a key), or listen on 127.0.0.1, which takes none"
    )


def keyless_refusal(host: str) -> str | None:
    """Why a listener that takes no key cannot be at `host`; None when it can."""
    if host == "" or is_loopback(host):
        return None
    return (
        f"a surface with a listener of its own takes no key there, so that {host} will not do; use 127.0.0.1"
    )

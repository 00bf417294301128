"""From where a request comes, when proxies that are trusted stand before us, and when none does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

Network = IPv4Network | IPv6Network
_FORWARDING = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
    "x-forwarded-server", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip",
)  # fmt: skip
_MOST_PROXIES = 32


class Origin(Struct, frozen=True):
    """Where a request comes from.

    Attributes:
        address: of whoever asked, as far as it can be believed; "" for a socket in the file system.
        secure: it came by TLS.
    """

    address: str
    secure: bool


def origin(peer: str, fields: Mapping[str, str], trusted: Sequence[Network], *, tls: bool) -> Origin:
    """Who asked: the last one of `X-Forwarded-For` that no trusted proxy is, if one has connected.

    Whoever stands further left is hearsay: anybody can write that.
    """
    if not _is_of(peer, trusted):
        return Origin(peer, tls)
    address = peer
    for each in reversed(fields.get("x-forwarded-for", "").split(",")[-_MOST_PROXIES:]):
        said = _address(each.strip())
        if said is None:
            break
        address = str(said)
        if not _is_of(address, trusted):
            break
    proto = fields.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    return Origin(address, proto == "https" if proto else tls)


def is_on_this_machine(peer: str, local: str, fields: Mapping[str, str], *, behind_proxy: bool) -> bool:
    """Whether a process of this machine asks on its own behalf.

    Behind a proxy nobody does. One that nobody told us of gives itself away by what it adds.

    Args:
        peer, local: both ends of the connection; "" for a socket in the file system.
    """
    if behind_proxy or any(name in fields for name in _FORWARDING):
        return False
    return _is_loopback(peer) and _is_loopback(local)


def one_of(address: str) -> str:
    """What a single customer has of addresses: of IPv6 a whole /64, in which each is as good as another."""
    if ":" not in address:
        return address
    found = _address(address)
    return str(ip_network((found, 64), strict=False)) if isinstance(found, IPv6Address) else str(found)


def is_loopback(address: str) -> bool:
    """Whether only this machine can connect to `address`: one of a network, or a name that always is that."""
    return address.lower() == "localhost" or (address != "" and _is_loopback(address))


def _is_loopback(address: str) -> bool:
    if address in ("", "127.0.0.1"):
        return True
    found = _address(address)
    return found is not None and found.is_loopback


def _is_of(address: str, trusted: Sequence[Network]) -> bool:
    if not trusted:
        return False
    found = _address(address)
    # A socket in the file system is only reached by whom its owner lets.
    return address == "" if found is None else any(found in each for each in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in a text, which may name a port; one of IPv4 in the clothes of IPv6 is that of IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped

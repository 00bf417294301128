"""Which hosts are reached without a proxy, as the variable NO_PROXY says."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def bypasses(no_proxy: str, host: str, port: int | None) -> bool:
    """Whether `no_proxy` names `host`.

    Its entries stand between commas or spaces: a name, which holds for all names below it as well, with or
    without `.` or `*.` before it; an address, or a network such as `10.0.0.0/8`, for hosts that are given
    as addresses; each of them with a port, for that port only; or `*` for everything. Capitals do not matter.

    Args:
        host: without brackets.
        port: that of the URL or of its scheme.
    """
    host = host.lower().rstrip(".")
    address = _address(host)
    return any(_names(entry, host, address, port) for entry in re.split(r"[\s,]+", no_proxy.lower()) if entry)


def _names(entry: str, host: str, address: IPv4Address | IPv6Address | None, port: int | None) -> bool:
    if entry == "*":
        return True
    name, only = _without_port(entry)
    if only is not None and only != port:
        return False
    if address is not None:
        return _holds(name, address)
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _without_port(entry: str) -> tuple[str, int | None]:
    """`[::1]:80` as `::1` and 80; None for no port. An IPv6 address without brackets has none."""
    matched = re.fullmatch(r"\[(.*?)](/\d+)?(?::(\d{1,5}))?", entry) or re.fullmatch(
        r"([^:]+)()(?::(\d{1,5}))", entry
    )
    if matched is None:
        return entry, None
    name, length, port = matched.groups()
    return name + (length or ""), None if port is None else int(port)


def _holds(name: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(name, strict=False)
    except ValueError:
        return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None

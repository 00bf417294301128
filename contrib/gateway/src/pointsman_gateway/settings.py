"""The section `gateway` of a configuration."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from pointsman._internal.settings import Section, setting
from pointsman.plugin import Duration
from pointsman_gateway.access.listening import keyless_refusal, refusal
from pointsman_gateway.access.origins import host_name
from pointsman_gateway.access.settings import AccessSettings
from pointsman_gateway.listening.addresses import Address, as_address, parse_address

_SIZE_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "KiB": 2**10, "MB": 10**6, "MiB": 2**20}
_SIZE_UNITS |= {"GB": 10**9, "GiB": 2**30}
_SIZE_EXAMPLE = "a size such as '32MiB', '500kB' or a number of bytes"
_LARGEST = 2**31


def parse_size(value: object) -> int:
    """Bytes, from a number or from text such as `32MiB`. Raises ValueError saying what was expected."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"expected {_SIZE_EXAMPLE}")
    found = re.fullmatch(r"\s*(\d{1,12})\s*([A-Za-z]{0,3})\s*", str(value), flags=re.ASCII)
    if found is None or found[2] not in _SIZE_UNITS:
        raise ValueError(f"expected {_SIZE_EXAMPLE}")
    size = int(found[1]) * _SIZE_UNITS[found[2]]
    if not 1 <= size <= _LARGEST:
        raise ValueError("expected a size from 1 byte to 2GiB")
    return size


def parse_mode(value: object) -> int:
    """A mode of a file from octal digits, such as `"0660"`. Raises ValueError saying what was expected."""
    if isinstance(value, str) and re.fullmatch(r"0?[0-7]{3}", value, flags=re.ASCII):
        return int(value, 8)
    raise ValueError('expected a mode of a file in octal digits and quotes, such as "0660"')


def _addresses(value: object) -> tuple[Address, ...]:
    if isinstance(value, str):
        return (parse_address(value),)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("expected an address such as '127.0.0.1:4000', or a list of some")
    return tuple(map(as_address, value))


def _network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return value
    try:
        if isinstance(value, str):
            return ipaddress.ip_network(value.strip())
    except ValueError:
        pass
    raise ValueError("expected an address or a network such as '10.0.0.7' or '10.0.0.0/8'")


def _origin(value: object) -> str:
    """An origin as browsers write it: scheme, host and port, and nothing behind them."""
    if isinstance(value, str) and re.fullmatch(r"https?://[a-z0-9.\-\[\]:]+", value.strip().lower()):
        return value.strip().lower()
    raise ValueError("expected an origin such as 'https://pages.test', without a path")


def _host_name(value: object) -> str:
    name = host_name(value.strip()) if isinstance(value, str) else None
    if name is None or (isinstance(value, str) and value.strip().strip("[]").lower().rstrip(".") != name):
        raise ValueError("expected the name of a host such as 'gateway.example.com', without port and path")
    return name


_PREFIX = r"^(/[A-Za-z0-9._~-]+)*$"


def _prefix(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(_PREFIX, value):
        return value
    raise ValueError("expected a path such as '/llm', without a slash at its end")


_TEXT = WithJsonSchema({"type": "string"})
Addresses = Annotated[
    tuple[Address, ...],
    BeforeValidator(_addresses),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Network = Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(_network), _TEXT]
Prefix = Annotated[str, BeforeValidator(_prefix), WithJsonSchema({"type": "string", "pattern": _PREFIX})]
HostName = Annotated[str, BeforeValidator(_host_name)]
Origin = Annotated[str, BeforeValidator(_origin)]
SocketMode = Annotated[
    int, BeforeValidator(parse_mode), WithJsonSchema({"type": "string", "pattern": "^0?[0-7]{3}$"})
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}], "examples": ["32MiB"]}),
]


class TlsSettings(Section):
    """A certificate with its key, PEM files relative to the configuration; read again when they change.

    Attributes:
        min_version: of TLS.
        client_ca: PEM file of the authorities whose certificates are asked of callers; None: none are.
        client_certificates: whether a connection without one is taken; None: it is not.
    """

    cert: Path = setting()
    key: Path = setting()
    min_version: Literal["1.2", "1.3"] = setting(default="1.2")
    client_ca: Path | None = setting(default=None)
    client_certificates: Literal["required", "optional"] | None = setting(default=None)

    def check(self, _context: Any) -> None:
        if self.client_certificates is not None and self.client_ca is None:
            raise ValueError("client_certificates needs client_ca beside it: whose certificates are good")


class SurfaceSettings(Section):
    """One surface; what only it knows stands beside these keys."""

    takes_more = True

    prefix: Prefix | None = setting(default=None)
    listen: Addresses = setting(default=())
    models: tuple[str, ...] | None = setting(default=None)

    @property
    def own(self) -> Mapping[str, Any]:
        """What the surface's own settings are made of."""
        return self.more

    def beside(self, directory: Path) -> SurfaceSettings:
        """As of `GatewaySettings`."""
        return self.model_copy(update={"listen": tuple(each.beside(directory) for each in self.listen)})


HeaderChoice = Literal["full", "id", "none"]


class HealthSettings(Section):
    """A listener of its own for health, without access.

    Attributes:
        metrics: `/metrics` is told there, too, to whoever asks.
    """

    listen: Address = setting()
    metrics: bool = setting(default=False)


def _mapping_of_names(value: object) -> object:
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return {name: {} for name in value}  # `[openai, anthropic]`, for those without settings
    if isinstance(value, dict):
        return {name: {} if each is None else each for name, each in value.items()}
    return value


Surfaces = Annotated[dict[str, SurfaceSettings], BeforeValidator(_mapping_of_names)]


class GatewaySettings(Section):
    """The router behind an HTTP address; read by `pointsman serve`, and by nothing else.

    Attributes:
        listen: where; several in a list.
        socket_mode: of sockets in the file system: who may connect to them.
        tls: for all of `listen`.
        surfaces: the APIs that callers speak, each with its settings; None: all that are installed.
        health: where health is told to whoever asks; on the main address when there is none.
        access: who may ask; None: whoever is on this machine.
        hosts: names that we are known under, beside those of this machine.
        requests_kept: how many of the latest requests operators can look at.
        contents: of those, also what was asked and answered.
        trusted_proxies: whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
        cors: origins whose pages may ask from a browser.
        headers: which headers of ours answers carry.
        body_limit: bytes of a request's body.
        heartbeat: seconds of silence of a stream after which callers are told that it lives.
    """

    listen: Addresses = setting(default=(Address("127.0.0.1", 4000),))
    socket_mode: SocketMode = setting(default=0o600)
    tls: TlsSettings | None = setting(default=None)
    surfaces: Surfaces | None = setting(default=None)
    health: HealthSettings | None = setting(default=None)
    trusted_proxies: tuple[Network, ...] = setting(default=())
    access: AccessSettings | None = setting(default=None)
    hosts: tuple[HostName, ...] = setting(default=())
    requests_kept: int = setting(default=1000, ge=0, le=1_000_000)
    contents: bool = setting(default=False)
    cors: tuple[Origin, ...] = setting(default=())
    headers: HeaderChoice = setting(default="full")
    body_limit: Size = setting(default=32 * 2**20)
    heartbeat: Duration = setting(default=15.0, ge=0.001)

    def check(self, _context: Any) -> None:
        """Nobody unknown is let in from elsewhere. Raises ValueError."""
        for at in self.listen:
            if (said := refusal(at.host, self.access)) is not None:
                raise ValueError(said)
        if self.access and self.access.certificates and (self.tls is None or self.tls.client_ca is None):
            raise ValueError(
                "access.certificates needs tls.client_ca: the authorities whose certificates are good"
            )
        for surface in (self.surfaces or {}).values():
            for at in surface.listen:
                if (said := keyless_refusal(at.host)) is not None:
                    raise ValueError(said)

    def beside(self, directory: Path) -> GatewaySettings:
        """The same for a configuration in `directory`, to which the paths of its sockets are relative."""
        surfaces = self.surfaces and {name: each.beside(directory) for name, each in self.surfaces.items()}
        health = self.health and self.health.model_copy(
            update={"listen": self.health.listen.beside(directory)}
        )
        listen = tuple(each.beside(directory) for each in self.listen)
        return self.model_copy(update={"listen": listen, "surfaces": surfaces, "health": health})

    def addresses(self) -> Sequence[Address]:
        """Everywhere it listens."""
        own = [each for surface in (self.surfaces or {}).values() for each in surface.listen]
        health = [] if self.health is None else [self.health.listen]
        return [*self.listen, *own, *health]

"""Discovery: the interface of what finds the servers and the models of a provider, which come and go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import BaseModel

from pointsman.context import Context
from pointsman.types import ModelInfo

if TYPE_CHECKING:
    from pointsman.http.client import Client, Endpoint

MOST_MODELS = 1_000
MOST_SERVERS = 500
"""What is believed of one provider: each model and each server is something that a router builds, and an
upstream that lists a million would have it do nothing else."""


class FoundServer(Struct, frozen=True):
    """One of the servers that answer for a provider: say where it is by one of the first two.

    Attributes:
        address: an IP address, to connect to in place of where the name in the provider's `base_url` leads.
            That name stays what the server is called, in `Host` and for TLS.
        base_url: where its API is, in place of the provider's.
        weight: its share, 1 or more; it multiplies those of the deployments.
        labels: what rules can require, beside those of the provider.
    """

    address: str | None = None
    base_url: str | None = None
    weight: int = 1
    labels: Mapping[str, str] = {}

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # Whoever looks for it may know addresses with a password in them.
        return [(name, getattr(self, name)) for name in ("address", "weight", "labels")]

    def __repr__(self) -> str:
        return f"FoundServer({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


class Found(Struct, frozen=True):
    """What a provider has now. None: nothing is known of it here, and it is as the configuration says.

    Attributes:
        servers: all that answer for it, each once.
        models: all that it offers, by the upstream's own names.

    An answer with more than 500 servers or 1,000 models is not believed.
    """

    servers: Sequence[FoundServer] | None = None
    models: Sequence[str] | None = None


class Discovery(Protocol):
    """What finds the servers and the models of one provider.

    It may have `async aclose()`, too, which is called once, when nobody asks any more.
    """

    async def find(self) -> Found:
        """All that there is now, not what has changed. Asked every so often, and never twice at a time.

        Cancelled after 10 s. What it raises changes nothing: what was found last goes on. So does, once, an
        answer with nothing in it after one with something: it is believed when the next one is like it.
        """
        ...


class DiscoveryContext(Context, frozen=True, kw_only=True, eq=False):
    """What a discovery is made from.

    Attributes:
        provider: the configured name of the provider that it is for.
        base_url: where that is: as configured, else the usual place of its type. None where there is none.
        http: opens a client for an endpoint, without a credential, over the provider's transport and with
            its proxy and TLS. The router closes it.
        models: asks the provider for its list of models. Raises CallError.
    """

    provider: str
    base_url: str | None
    http: Callable[[Endpoint], Client]
    models: Callable[[], Awaitable[Sequence[ModelInfo]]]


class DiscoveryFactory(Struct, frozen=True):
    """What a plugin with a discovery offers.

    Attributes:
        name: as in `discover: {type: name}` of a provider.
        settings: the pydantic model of what may stand beside `type` and `interval`; None when nothing may.
        make: returns a `Discovery`, and opens nothing.
    """

    name: str
    settings: type[BaseModel] | None
    make: Callable[[DiscoveryContext], Discovery]


def misfit(found: Any) -> str | None:
    """What is wrong with what a discovery returned, as the end of a sentence; None when nothing is."""
    if not isinstance(found, Found):
        return f"returned a {type(found).__name__} from find(), expected a Found"
    if found.models is not None and (
        not isinstance(found.models, list | tuple) or not all(isinstance(each, str) for each in found.models)
    ):
        return "found models that are no list of names"
    if found.models is not None and len(found.models) > MOST_MODELS:
        return f"found {len(found.models):,} models, more than {MOST_MODELS:,}: say which ones in `include`"
    if found.servers is None:
        return None
    if not isinstance(found.servers, list | tuple):
        return f"found servers that are a {type(found.servers).__name__}, expected a list"
    if len(found.servers) > MOST_SERVERS:
        return f"found {len(found.servers):,} servers, more than {MOST_SERVERS:,}"
    wrong = next((wrong for each in found.servers if (wrong := _misfit_server(each)) is not None), None)
    return wrong or _two_at_one_place(found.servers)


def _two_at_one_place(servers: Sequence[FoundServer]) -> str | None:
    """A server is known by its address, or by host and port: two of one place cannot be told apart."""
    seen: dict[str, str] = {}
    for each in servers:
        if each.base_url is not None:
            parts = urlsplit(each.base_url.casefold())
            if seen.setdefault(parts.netloc, url := parts.geturl().rstrip("/")) != url:
                return f"found two servers at {parts.netloc:.100}: a server is known by its host and port"
    return None


def _misfit_server(server: Any) -> str | None:
    if not isinstance(server, FoundServer):
        return f"found a server that is a {type(server).__name__}, expected a FoundServer"
    if (server.address is None) == (server.base_url is None):
        return "found a server with neither or both of address and base_url: say one of them"
    if not _leads_somewhere(server):
        return (
            "found a server at what is neither an IP address nor a URL that begins with http:// or https://"
        )
    weight: object = server.weight
    if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= 1_000_000:
        return f"found a server with a weight of {weight!r:.50}, expected a whole number of 1 or more"
    labels: object = server.labels
    if not isinstance(labels, Mapping) or not all(
        isinstance(each, str) for item in labels.items() for each in item
    ):
        return "found a server with labels that are no mapping of text"
    return None


def _leads_somewhere(server: FoundServer) -> bool:
    try:
        if server.base_url is None:
            return ip_address(server.address or "") is not None
        if not server.base_url.isprintable():  # urlsplit leaves line breaks out, and what sends does not
            return False
        parts = urlsplit(server.base_url)
        _ = parts.port
        plain = parts.username is None and not parts.query and not parts.fragment
        return parts.scheme in ("http", "https") and bool(parts.hostname) and plain
    except (ValueError, TypeError, AttributeError):
        return False

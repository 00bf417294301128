"""What can be begun: for each word, what the distribution of such a plugin has besides its texts."""

from __future__ import annotations

from msgspec import Struct


class Beginning(Struct, frozen=True):
    """What `pointsman plugins new` can write, beside the templates in the folder of its word.

    Attributes:
        kind: of the plugin, as the core calls it.
        help: what it is, in a line.
        groups: the groups of entry points in which it claims its name.
        contract: the kind of its contract; "" when its kind has none.
        requires: what its package imports, beside pointsman.
        for_tests: what its tests import, beside that.
        names: the kinds whose names it must not share.
        data: the entry point leads to this file in the package, in place of a plugin in Python.
    """

    kind: str
    help: str
    groups: tuple[str, ...]
    contract: str
    requires: tuple[str, ...] = ()
    for_tests: tuple[str, ...] = ("pointsman-ollama", "pointsman-simulator")
    names: tuple[str, ...] = ()
    data: str = ""


_PYDANTIC = "pydantic>=2.10"

BEGINNINGS = {
    "audit": Beginning(
        "audit",
        "a place where records of requests go",
        ("pointsman.audit",),
        "audit",
        requires=(_PYDANTIC,),
    ),
    "auth": Beginning(
        "auth",
        "a source of credentials",
        ("pointsman.auth",),
        "auth",
        requires=(_PYDANTIC,),
        for_tests=("pointsman-openai", "pointsman-simulator"),
    ),
    "auth-signing": Beginning(
        "auth",
        "a source of credentials that signs each call",
        ("pointsman.auth",),
        "auth",
        requires=(_PYDANTIC,),
        for_tests=("pointsman-openai", "pointsman-simulator"),
    ),
    "command": Beginning(
        "command",
        "a command: pointsman NAME",
        ("pointsman.commands",),
        "",
        requires=("click>=8.2",),
        for_tests=("pointsman-ollama",),
    ),
    "dialect": Beginning(
        "dialect",
        "a reader of another program's configuration",
        ("pointsman.dialects",),
        "dialect",
        requires=("pointsman-ollama",),
        for_tests=("pointsman-simulator",),
    ),
    "discovery": Beginning(
        "discovery",
        "what finds the servers of a provider",
        ("pointsman.discovery",),
        "discovery",
        requires=(_PYDANTIC,),
    ),
    "guard": Beginning(
        "guard",
        "what stands around requests and their answers",
        ("pointsman.guards",),
        "guard",
        requires=(_PYDANTIC,),
    ),
    "prices": Beginning(
        "prices",
        "what models cost",
        ("pointsman.prices",),
        "prices",
        requires=(_PYDANTIC,),
    ),
    "provider": Beginning(
        "provider",
        "a server with an API of its own",
        ("pointsman.providers",),
        "provider",
        requires=("pointsman-h1", _PYDANTIC),
        for_tests=(),
    ),
    "provider-data": Beginning(
        "provider",
        "a server that speaks the API of OpenAI, as data: no code",
        ("pointsman.providers",),
        "provider",
        requires=("pointsman-openai",),
        for_tests=("pointsman-simulator",),
        data="provider.yaml",
    ),
    "provider-openai": Beginning(
        "provider",
        "a server that speaks the API of OpenAI",
        ("pointsman.providers",),
        "provider",
        requires=("pointsman-openai",),
        for_tests=("pointsman-simulator",),
    ),
    "retry": Beginning(
        "retry",
        "whether and when to go on after a failure",
        ("pointsman.retry",),
        "retry",
        requires=(_PYDANTIC,),
    ),
    "section": Beginning(
        "section",
        "a key at the top of the configuration, with its service",
        ("pointsman.sections", "pointsman.services"),
        "service",
        requires=(_PYDANTIC,),
        names=("service",),
    ),
    "selector": Beginning(
        "selector",
        "which model a request goes to",
        ("pointsman.selectors",),
        "selector",
        requires=(_PYDANTIC,),
    ),
    "service": Beginning(
        "service",
        "what runs as long as the router does",
        ("pointsman.services", "pointsman.sections"),
        "service",
        requires=(_PYDANTIC,),
        names=("section",),
    ),
    "state": Beginning(
        "state",
        "where several routers keep what they share",
        ("pointsman.state",),
        "state",
        requires=(_PYDANTIC,),
    ),
    "strategy": Beginning(
        "strategy",
        "which deployment gets a call",
        ("pointsman.strategies",),
        "strategy",
        requires=(_PYDANTIC,),
    ),
    "surface": Beginning(
        "surface",
        "an API that callers speak to the gateway",
        ("pointsman.surfaces",),
        "surface",
        requires=(_PYDANTIC,),
        for_tests=("pointsman-ollama",),
    ),
    "transport": Beginning(
        "transport",
        "what carries a call over the network",
        ("pointsman.transports",),
        "transport",
        requires=("httpx>=0.28,<0.29", _PYDANTIC),
    ),
}
"""By the word that the command takes."""

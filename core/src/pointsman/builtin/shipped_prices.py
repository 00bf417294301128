"""The source of prices that is built in: a small table of two makers' models, and servers of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pointsman._internal import jsonio
from pointsman.prices import KnownModel, Price, PriceFactory, PriceSource, PriceTier

_TABLE = Path(__file__).with_suffix(".json")
_LISTED = ("api.openai.com", "api.anthropic.com")
"""The hosts of the table, which nobody else has to read."""
_OWN_SERVERS = ("ollama", "localai")
"""Provider types that are run, not rented."""
_RENTED = "ollama.com"
_DATE = r"-(?:\d{4}-\d\d-\d\d|\d{8}|\d{4}|latest)$"
FREE = KnownModel(Price.model_construct(input=0.0, output=0.0))


class Shipped(PriceSource):
    """What two makers ask for their models at their own address; servers of one's own are free of charge.

    It goes by the address, for many speak the API of another: a provider of type `openai` with a `base_url`
    elsewhere is not OpenAI, and costs what its owner says.
    """

    def look(self, type: str, model: str, base_url: str | None, /) -> KnownModel | None:
        host = _host(base_url)
        if host in _LISTED:
            return _listed(host, model)
        own = type in _OWN_SERVERS and host != _RENTED
        if (own or _is_this_machine(host)) and not _runs_elsewhere(model):
            return FREE
        return None


def as_of() -> str:
    """The day, as `2026-01-31`, on which the table was as its makers' pages."""
    said: str = _table()["as_of"]
    return said


def listed(host: str) -> Mapping[str, Mapping[str, Any]]:
    """The rows of the table for the models at `host`, by their names."""
    rows: Mapping[str, Mapping[str, Any]] = _table()["hosts"].get(host, {})
    return rows


def _listed(host: str, model: str) -> KnownModel | None:
    """The row of that very name, else that of the name without its date.

    Of other names that begin alike some cost many times as much: these are unknown.
    """
    rows = listed(host)
    row = rows.get(model) or rows.get(re.sub(_DATE, "", model))
    if row is None:
        return None
    said = {name: value for name, value in row.items() if name in Price.model_fields}
    if "tiers" in said:
        said["tiers"] = tuple(PriceTier.model_construct(**each) for each in said["tiers"])
    said["service_tiers"] = _table()["service_tiers"][host]
    price = Price.model_construct(**said)  # a test validates the table; here it would take a millisecond
    return KnownModel(price, row.get("context_window"), row["capabilities"])


@cache
def _table() -> Mapping[str, Any]:
    table: Mapping[str, Any] = jsonio.loads(_TABLE.read_bytes())
    return table


def _host(base_url: str | None) -> str:
    try:
        return (urlsplit(base_url or "").hostname or "").rstrip(".")
    except ValueError:  # half an IPv6 address
        return ""


def _is_this_machine(host: str) -> bool:
    ipv4 = host.startswith("127.") and host.replace(".", "").isdigit()
    return ipv4 or host in ("localhost", "::1") or host.endswith(".localhost")


def _runs_elsewhere(model: str) -> bool:
    """Whether an Ollama server only hands a model on, to those that it rents: `gpt-oss:120b-cloud`."""
    return model.partition(":")[2].endswith("cloud")


BUILT_IN = (PriceFactory("shipped", None, lambda _context: Shipped()),)

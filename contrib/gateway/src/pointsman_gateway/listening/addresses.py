"""Where to listen, as people write it."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

_EXAMPLE = "'127.0.0.1:4000', '[::1]:4000' or 'unix:./gateway.sock'"


class Address(Struct, frozen=True):
    """An address to listen at: a host with a port (0: a free one), or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def beside(self, directory: Path) -> Address:
        """It, where a path is relative to `directory`."""
        return self if self.path is None else Address(path=directory / self.path)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        as_text = core_schema.to_string_ser_schema(when_used="json")
        return core_schema.no_info_plain_validator_function(as_address, serialization=as_text)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string"}


def as_address(value: object) -> Address:
    """`value` where it is one, else what it says. Raises ValueError saying what was expected."""
    return value if isinstance(value, Address) else parse_address(value)


def parse_address(value: object) -> Address:
    """An `Address` from text such as `127.0.0.1:4000`. Raises ValueError saying what was expected."""
    if not isinstance(value, str):
        raise ValueError(f"expected an address such as {_EXAMPLE}")
    text = value.strip()
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path or len(path.encode()) > 100:
            raise ValueError("expected the path of a socket behind 'unix:', at most 100 bytes long")
        return Address(path=Path(path))
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("expected an address with a port behind it, such as ':4000'")
    return Address(_host(host), int(port))


def _host(text: str) -> str:
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise ValueError("expected an IPv6 address between [ and ]") from None
    if ":" in text:
        raise ValueError("an IPv6 address stands between [ and ], such as '[::1]:4000'")
    if not text or not text.isprintable() or any(each.isspace() or each in "/@%" for each in text):
        raise ValueError(f"expected a host in front of the port, such as {_EXAMPLE}")
    return text

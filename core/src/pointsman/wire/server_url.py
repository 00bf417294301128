"""Where a server is, by what people write of its address."""

from __future__ import annotations


def server_url(host: str, *, default_port: int) -> str:
    """The base URL for a value such as OLLAMA_HOST has: `0.0.0.0`, `:11435`, `gpu1:80`, `https://gpu1`.

    An address to listen on at all interfaces becomes the loopback address; a URL keeps its scheme's port.
    """
    text = host.strip().rstrip("/")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    authority, slash, path = rest.partition("/")
    name, port = _split_port(authority)
    if name in ("", "0.0.0.0", "::", "[::]"):  # noqa: S104 - where a server listens, not we
        name = "127.0.0.1"
    if not port and not separator:
        port = str(default_port)
    return f"{scheme}://{name}{':' if port else ''}{port}{slash}{path}"


def _split_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        name, _, port = authority.partition("]")
        return f"{name}]", port.removeprefix(":")
    if authority.count(":") > 1:
        return f"[{authority}]", ""
    name, _, port = authority.partition(":")
    return name, port

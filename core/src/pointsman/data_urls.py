"""`data:` URLs with base64 in them, as people and programs write them."""

from __future__ import annotations

from urllib.parse import unquote


def split(url: str) -> tuple[str, str] | None:
    """(media type, base64 text) of a `data:` URL; None for any other URL.

    Upper and lower case mean the same, parameters of the type are left out, and so are the line breaks that
    mail and some tools put into base64. The media type is "" when the URL has none.

    Raises: ValueError for a `data:` URL that is not in base64.
    """
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = (each.strip() for each in head.split(";"))
    if not comma or "base64" not in (each.lower() for each in parameters):
        raise ValueError("expected a data: URL in base64")
    if "%" in data:
        data = unquote(data)
    if not data.isascii() or any(map(data.__contains__, " \t\r\n")):
        data = "".join(data.split())
    return media_type.lower(), data

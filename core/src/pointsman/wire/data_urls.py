"""`data:` URLs with base64 in them, as people and programs write them."""

from __future__ import annotations

from base64 import b64decode
from urllib.parse import unquote

LARGE = 1 << 20
"""Characters of base64 from which on it stays text: decoding it would hold up the event loop, by a fifth of
a second for twenty megabytes, and the wires would encode it again."""
_LOOKED_AT = 1 << 16  # a multiple of four, so that each end can be decoded by itself


def split(url: str) -> tuple[str, str] | None:
    """(media type, base64 text) of a `data:` URL; None for any other URL.

    Upper and lower case mean the same, parameters of the type are left out, and so are the line breaks that
    mail and some tools put into base64. The media type is "" when the URL has none.

    Raises: ValueError for a `data:` URL that is not in base64.
    """
    if url[:5].lower() != "data:":
        return None
    comma = url.find(",")
    media_type, *parameters = (each.strip() for each in url[5 : max(comma, 5)].split(";"))
    if comma < 0 or "base64" not in (each.lower() for each in parameters):
        raise ValueError("expected a data: URL in base64")
    data = url[comma + 1 :]
    return media_type.lower(), joined(unquote(data) if "%" in data else data)


def joined(data: str) -> str:
    """Base64 without the line breaks and blanks that it may have."""
    if not data.isascii() or any(map(data.__contains__, " \t\r\n")):
        return "".join(data.split())
    return data


def undecoded(media_type: str, data: str) -> str:
    """The `data:` URL of large base64 text.

    Raises: ValueError when it is none. Of what is between its first and last 65,536 characters only the
        length is checked: it is for the upstream to refuse.
    """
    if len(data) % 4 or not data.isascii():
        raise ValueError(
            "Incorrect padding" if data.isascii() else "there are characters that base64 has not"
        )
    b64decode(data[:_LOOKED_AT], validate=True)
    b64decode(data[-_LOOKED_AT:], validate=True)
    return f"data:{media_type};base64,{data}"

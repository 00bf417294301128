"""What it looks like when the base URL is wrong, and what to say then. Pure."""

from __future__ import annotations

import re
from typing import Any

from pointsman.plugin import BadResponse, complaint, snippet

# What servers say of a path that they do not have; whoever lacks a model names it, or has a code for it.
_NO_SUCH_PATH = (
    r"^(?:invalid url|unexpected endpoint or method|cannot (?:post|get) /|no route matched|no static resource"
    r"|unknown (?:request )?url|path \S+ not found|404[: ]|method not allowed"
    r"|(?:(?:page|resource|file|route|endpoint|path) )?not found\W*$)"
)


def is_wrong_address(body: Any) -> bool:
    """Whether a 404 or 405 with this JSON value (None for no JSON) is about the path, not about a model."""
    if body is None:
        return True
    said = complaint(body)
    if said.code and said.code not in ("404", "405", "not_found", "not_found_error"):
        return False
    return not said.message or names_no_path(said.message)


def names_no_path(message: str) -> bool:
    """Whether an error is about a path that is not there; LM Studio says so with status 200."""
    return re.match(_NO_SUCH_PATH, message.strip(), re.IGNORECASE) is not None


def wrong_address(status: int, body: Any, content: bytes, address: str, *, request_id: str) -> BadResponse:
    """The error of a path that is not there: waiting does not help, another deployment may.

    Args:
        address: what the base URL should look like.
    """
    said = complaint(body).message or snippet(content) or "nothing more"
    error = BadResponse(
        f"HTTP {status}: {said[:300]}; this path is not there: base_url should look like {address}",
        status=status,
        upstream_request_id=request_id,
    )
    error.retry_same = False
    return error


def not_json(content: bytes, status: int, address: str, *, request_id: str) -> BadResponse:
    """The error of a success whose body is no JSON; a page of HTML comes from another server than meant."""
    what = snippet(content) or "nothing"
    page = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
    hint = f"; base_url should look like {address}" if page else ""
    error = BadResponse(
        f"the upstream's answer is not JSON, but {what}{hint}", status=status, upstream_request_id=request_id
    )
    error.retry_same = not page
    return error

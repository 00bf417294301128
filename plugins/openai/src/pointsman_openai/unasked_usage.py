"""Token counts of streams whose callers did not ask for them: asked for by us, and taken out again. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from pointsman.plugin import jsonio

_END = b"\n\n"
_NAME = b'"usage"'
_NULL = b',"usage":null'
_LEFT = len(b"}" + _END)

_members = msgspec.json.Decoder(dict[str, Raw]).decode


def ask_for_usage(given: dict[str, Raw]) -> Callable[[bytes], bytes] | None:
    """Have the stream that `given` are the members of a request for end with its counts.

    Returns: what takes them out of its frames; None where the caller gets them, or hears what is wrong with
        the way in which he asked.
    """
    if bytes(given.get("stream", b"")) != b"true":
        return None
    options = jsonio.loads(bytes(given.get("stream_options", b"null"))) or {}
    if not isinstance(options, dict) or options.get("include_usage") not in (None, False):
        return None
    given["stream_options"] = Raw(jsonio.dumps({**options, "include_usage": True}))
    return without_usage


def without_usage(whole: bytes) -> bytes:
    """`whole` frames without the one of mere counts, and without the `null` that all others have then."""
    at = whole.rfind(_NAME)
    if at < 0:
        return whole
    ends = len(whole) - _LEFT
    if whole.startswith(_NULL, at - 1) and whole.find(b"}", at) == ends and whole.find(b"\n") == ends + 1:
        # One line, with one brace left to close: it is a member of that itself, and nothing has to be read.
        return whole[: at - 1] + whole[at - 1 + len(_NULL) :]
    return b"".join([_without(each + _END) for each in whole.split(_END) if each])


def _without(frame: bytes) -> bytes:
    at = frame.find(b"{")
    if _NAME not in frame or at < 0:
        return frame
    try:
        members = _members(frame[at:])
    except (ValueError, RecursionError):  # nothing of ours
        return frame
    usage = bytes(members.get("usage", b""))
    if usage == b"null":
        del members["usage"]
        return frame[:at] + msgspec.json.encode(members) + _END
    counts_alone = usage.startswith(b"{") and bytes(members.get("choices", b"null")) in (b"null", b"[]")
    return b"" if counts_alone else frame

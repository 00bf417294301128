"""An answer as it arrives: its text piece by piece, then its tool calls, each on a line of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman import ChatResponse, ChatStream
    from pointsman_cli.asides import Asides


async def show(stream: ChatStream, *, write: Callable[[str], None], asides: Asides) -> ChatResponse:
    """Write the answer of `stream` as it comes, up to the end of its last line. Returns: all of it.

    What is to be said of it meanwhile is said once that line has ended.
    """
    begun = False
    try:
        async for event in stream:
            if event.text and not begun:
                begun = True
                asides.hold()
            if event.text:
                write(event.text)
        calls = [f"{call.name}({call.arguments})" for call in stream.response.tool_calls]
        write("\n".join(["", *calls, ""] if begun or not calls else [*calls, ""]))
    except BaseException:
        # What comes next, an error or a prompt, begins a line of its own.
        if begun:
            write("\n")
        raise
    finally:
        asides.release()
    return stream.response

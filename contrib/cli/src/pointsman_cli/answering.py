"""An answer as it arrives: its text piece by piece, then its tool calls, each on a line of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman import ChatResponse, ChatStream
    from pointsman_cli.tracing import Trace


async def show(stream: ChatStream, *, write: Callable[[str], None], trace: Trace) -> ChatResponse:
    """Write the answer of `stream` as it comes, up to the end of its last line. Returns: all of it.

    The trace of what happens meanwhile is told once that line has ended.
    """
    begun = False
    try:
        async for event in stream:
            if event.text and not begun:
                begun = True
                trace.hold()
            if event.text:
                write(event.text)
    except BaseException:
        # What comes next, an error or a prompt, begins a line of its own.
        if begun:
            write("\n")
        raise
    response = stream.response
    if begun or not response.tool_calls:
        write("\n")
    for call in response.tool_calls:
        write(f"{call.name}({call.arguments})\n")
    trace.release()
    return response

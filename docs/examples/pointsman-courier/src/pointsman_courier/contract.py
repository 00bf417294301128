"""The kit over answers of the Courier, as bytes, with what they mean."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pointsman.plugin import (
    AuthenticationFailed,
    ChatRequest,
    Image,
    Message,
    ModelNotFound,
    Overloaded,
    ToolCall,
    Unavailable,
    Usage,
)
from pointsman.testing.contract import (
    CannedBreak,
    CannedError,
    CannedModels,
    CannedStream,
    ProviderContract,
)
from pointsman_courier import plugin
from pointsman_courier.server import parcel

SEAL = parcel("Z", {"reason": "signed", "tokens": {"in": 3, "out": 2}})
LETTER = CannedStream(
    body=parcel("T", b"Good ") + parcel("T", "mörning".encode()) + SEAL,
    end=SEAL,
    text="Good mörning",
    usage=Usage(prompt=3, completion=2),
)
ASKS = parcel("Z", {"reason": "asks"})


class TestCourier(ProviderContract):
    factory = plugin.pointsman_providers()[0]
    settings: ClassVar[Mapping[str, Any]] = {"sender": "desk-7"}
    chat_ok = LETTER
    stream_ok = LETTER
    stream_tools = CannedStream(
        body=parcel("C", {"number": 0, "id": "c-1", "tool": "weather", "with": '{"in": '})
        + parcel("C", {"number": 0, "with": '"Rome"}'})
        + parcel("C", {"number": 1, "tool": "time"})
        + ASKS,
        end=ASKS,
        tool_calls=(ToolCall("c-1", "weather", '{"in": "Rome"}', 0), ToolCall("", "time", "", 1)),
        finish_reason="tool_calls",
    )
    mid_stream_error = CannedBreak(
        body=parcel("T", b"Good ") + parcel("E", {"code": "cramp", "message": "ow"}),
        text="Good ",
        kind=Unavailable,
    )
    models_ok = CannedModels(body=b'{"writers": ["echo", "busy"]}', ids=("echo", "busy"))
    errors = (
        CannedError(status=401, body=b'{"error": {"code": "no_stamp"}}', kind=AuthenticationFailed),
        CannedError(
            status=503,
            headers={"retry-after": "1"},
            body=b'{"error": {"code": "desk_full"}}',
            kind=Overloaded,
            retry_after=1.0,
        ),
        CannedError(status=400, body=b'{"error": {"code": "no_such_writer"}}', kind=ModelNotFound),
        CannedError(status=500, body=b"ow", kind=Unavailable),
    )
    unsupported = (
        ChatRequest("public", (Message.user((Image(b"png"),)),)),
        ChatRequest("public", (Message.user("hello"),), logprobs=True),
    )

"""A prompt as `POST /responses/input_tokens` takes it, which counts its tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pointsman.plugin import (
    BadResponse,
    ChatRequest,
    File,
    Image,
    Message,
    Part,
    Text,
    Tool,
    Unsupported,
    base64_of,
)

PATH = "/responses/input_tokens"


def count_body(request: ChatRequest) -> dict[str, Any]:
    """The body. Raises Unsupported for what has no place in it."""
    body: dict[str, Any] = {
        "model": request.model,
        "input": [item for message in request.messages for item in _items(message)],
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.response_format is not None and request.response_format.schema is not None:
        wanted = request.response_format
        schema = {"type": "json_schema", "name": wanted.name, "schema": wanted.schema}
        body["text"] = {"format": schema}
    return body


def input_tokens(body: Any) -> int:
    """The number in the answer. Raises BadResponse when there is none."""
    if isinstance(body, Mapping) and type(count := body.get("input_tokens")) is int:
        return count
    raise BadResponse("the upstream's answer has no input_tokens")


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        return
    if message.content:
        if isinstance(message.content, str):
            yield {"role": message.role, "content": message.content}
        else:
            yield {"role": message.role, "content": [_part(part, message.role) for part in message.content]}
    for call in message.tool_calls:
        yield {
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments or "{}",
        }


def _part(part: Part, role: str) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "output_text" if role == "assistant" else "input_text", "text": text}
        case Image():
            return {"type": "input_image", "image_url": _url(part), "detail": part.detail or "auto"}
        case File(id=str(id)):
            return {"type": "input_file", "file_id": id}
        case File():
            return {"type": "input_file", "filename": part.filename or "file", "file_data": _url(part)}
        case _:
            raise Unsupported("OpenAI does not count the tokens of sound")


def _url(part: Image | File) -> str:
    if part.data is None:
        return part.url or ""
    return f"data:{part.media_type};base64,{base64_of(part.data)}"


def _tool(tool: Tool) -> dict[str, Any]:
    about = {"description": tool.description} if tool.description else {}
    strict = {} if tool.strict is None else {"strict": tool.strict}
    return {"type": "function", "name": tool.name, **about, "parameters": tool.parameters, **strict}

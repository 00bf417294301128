"""Our requests as the JSON of OpenAI's Responses API, to see what changed of one that came in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import ChatRequest, InvalidRequest, Message, ToolCall
from pointsman_openai import wire
from pointsman_openai.wire import Body, Quirks

_NOT_THERE = (
    "top_k", "min_p", "stop", "seed", "presence_penalty", "frequency_penalty", "repeat_penalty",
    "logit_bias", "logprobs",
)  # fmt: skip


def responses_body(request: ChatRequest, quirks: Quirks, *, instructions: bool, plain: bool) -> Body:
    """The body of POST /responses but for the model.

    Args:
        instructions: the first message is the member of that name.
        plain: a single text is the whole of `input`.

    Raises: Unsupported, InvalidRequest.
    """
    for name in _NOT_THERE:
        if (value := getattr(request, name)) not in (None, False) and value != ():
            raise quirks.cannot(f"{name} in the Responses API", fields=(name,))
    body: Body = {"reasoning": {}, "text": {}}
    messages = list(request.messages)
    if instructions and messages and messages[0].role == "system":
        body["instructions"] = messages.pop(0).text
    items = [item for n, each in enumerate(messages) for item in _items(each, f"messages[{n}]", quirks)]
    body["input"] = messages[0].content if plain and _is_text(messages) else items
    for name in ("temperature", "top_p", "user", "parallel_tool_calls"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    if request.metadata is not None:
        body["metadata"] = dict(request.metadata)
    if request.max_tokens is not None:
        body["max_output_tokens"] = request.max_tokens
    if request.reasoning_effort is not None:
        body["reasoning"] = {"effort": request.reasoning_effort}
    _tools_and_form(body, request, quirks)
    return body | dict(request.extra)


def _tools_and_form(body: Body, request: ChatRequest, quirks: Quirks) -> None:
    """Here both stand flat, with what chats have in a member of their own beside their type."""
    chat = wire.chat_body(
        ChatRequest(
            request.model,
            [Message.user(".")],
            tools=request.tools,
            tool_choice=request.tool_choice,
            response_format=request.response_format,
        ),
        request.model,
        quirks,
        stream=False,
    )
    if "tools" in chat:
        body["tools"] = [_flat(each, "function") for each in chat["tools"]]
    if "tool_choice" in chat:
        choice = chat["tool_choice"]
        body["tool_choice"] = _flat(choice, "function") if isinstance(choice, dict) else choice
    if "response_format" in chat:
        body["text"] = {"format": _flat(chat["response_format"], "json_schema")}


def _flat(given: Body, inner: str) -> Body:
    rest = {name: value for name, value in given.items() if name != inner}
    return {**rest, **given.get(inner, {})}


def _is_text(messages: Sequence[Message]) -> bool:
    return len(messages) == 1 and messages[0].role == "user" and isinstance(messages[0].content, str)


def _items(message: Message, where: str, quirks: Quirks) -> list[Body]:
    if message.role == "tool":
        if not message.tool_call_id:
            raise InvalidRequest(f"{where} has role tool and no tool_call_id; say which call it answers")
        output = _content(message, where, quirks, "input_text")
        return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": output}]
    if message.role != "assistant":
        return [{"role": message.role, "content": _content(message, where, quirks, "input_text")}]
    said: list[Body] = [
        {"type": "reasoning", "summary": [], "encrypted_content": each["encrypted_content"]}
        for each in message.reasoning_blocks
        if each.get("type") == "reasoning" and each.get("encrypted_content")
    ]
    if message.parts:
        said += [{"role": "assistant", "content": _content(message, where, quirks, "output_text")}]
    return [*said, *map(_call, message.tool_calls)]


def _call(call: ToolCall) -> Body:
    body: Body = {"call_id": call.id, "name": call.name}
    if call.extra.get("type") == "custom":
        return {"type": "custom_tool_call", **body, "input": call.arguments}
    return {"type": "function_call", **body, "arguments": call.arguments}


def _content(message: Message, where: str, quirks: Quirks, text: str) -> str | list[Body]:
    if isinstance(message.content, str):
        return message.content
    return [_part(wire.part_body(each, where, quirks), text) for each in message.parts]


def _part(chat: Body, text: str) -> Body:
    """A part as chats have it, as it is here."""
    match chat["type"]:
        case "text":
            return {"type": text, "text": chat["text"]}
        case "image_url":
            image = chat["image_url"]
            rest = {name: value for name, value in image.items() if name != "url"}
            return {"type": "input_image", "image_url": image["url"], **rest}
        case "file":
            return {"type": "input_file", **chat["file"]}
    return chat

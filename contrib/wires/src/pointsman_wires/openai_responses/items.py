"""The items of a Responses request as messages. Pure."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from pointsman.plugin import Audio, File, Image, JsonObject, Message, Part, Text, ToolCall, data_urls
from pointsman_wires.bodies import invalid
from pointsman_wires.openai_responses.mistakes import as_list, as_object, as_text, member, refuse
from pointsman_wires.openai_responses.reasoning import blocks_of
from pointsman_wires.openai_responses.tools import Callee, Toolbox, custom_arguments

_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_TRACES = frozenset(
    (
        "web_search_call", "file_search_call", "code_interpreter_call", "mcp_list_tools", "tool_search_call",
        "tool_search_output", "configuration_update",
    )
)  # fmt: skip
"""Items of tools that ran before: what came of them is in the answer that follows."""
_CALL = frozenset(("type", "id", "status", "call_id", "name", "namespace", "arguments"))
_OUTPUT = frozenset(("type", "id", "status", "call_id", "output"))
_MEMBERS: Mapping[str, frozenset[str]] = {
    "message": frozenset(("type", "id", "status", "role", "content", "phase")),
    "reasoning": frozenset(("type", "id", "status", "summary", "content", "encrypted_content")),
    "function_call": _CALL,
    "function_call_output": _OUTPUT,
    "custom_tool_call": _CALL - {"arguments"} | {"input"},
    "custom_tool_call_output": _OUTPUT,
    "additional_tools": frozenset(("type", "id", "status", "role", "tools")),
    "input_text": frozenset(("type", "text")),
    "output_text": frozenset(("type", "text")),
    "text": frozenset(("type", "text")),
    "refusal": frozenset(("type", "refusal")),
    "input_image": frozenset(("type", "image_url", "detail")),
    "input_file": frozenset(("type", "file_id", "filename", "file_url", "file_data")),
    "input_audio": frozenset(("type", "input_audio")),
}
"""What is read of items and parts, by type, and what says nothing."""
_WORD = 64


class Conversation:
    """Messages, made of items one after the other.

    All that an assistant said, thought and called up to the next item of somebody else is one message.

    Attributes:
        messages: what came of the items, after `finish`.
        needs: the items and parts that only this wire can say.
        ignored: those that are left out.
    """

    def __init__(self, toolbox: Toolbox) -> None:
        self.messages: list[Message] = []
        self.needs: list[str] = []
        self.ignored: list[str] = []
        self._toolbox = toolbox
        self._said: list[Part] = []
        self._calls: list[ToolCall] = []
        self._thought: list[str] = []
        self._blocks: list[JsonObject] = []

    def take(self, item: Any, where: str) -> None:
        """Add one item. Raises InvalidBody that names the member."""
        kind = as_object(item, where).get("type", "message" if "role" in item else None)
        if not isinstance(kind, str):
            refuse(f"{where}.type", "the type of an item", kind)
        elif (take := self._takers.get(kind)) is not None:
            take(self, item, where)
            self._ignore_others(item, kind)
        elif kind in _TRACES:
            self.ignored.append(f"{where} ({kind})")
        else:
            self.needs.append(f"{where} ({kind[:_WORD]})")

    def finish(self) -> list[Message]:
        """The messages."""
        if self._said or self._calls or self._thought or self._blocks:
            content = self._said
            only = content[0].text if len(content) == 1 and type(content[0]) is Text else None
            self.messages.append(
                Message(
                    "assistant",
                    tuple(content) if only is None and content else only or "",
                    tool_calls=tuple(self._calls),
                    reasoning="\n\n".join(self._thought) or None,
                    reasoning_blocks=tuple(self._blocks),
                )
            )
            self._said, self._calls, self._thought, self._blocks = [], [], [], []
        return self.messages

    def _message(self, item: dict[str, Any], where: str) -> None:
        role = item.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            refuse(f"{where}.role", f"one of {', '.join(_ROLES)}", role)
        content = self._content(item.get("content"), f"{where}.content")
        if role == "assistant":
            if self._said and not self._calls:
                self.finish()
            self._said += [Text(content)] if isinstance(content, str) else content
        else:
            self.finish()
            self.messages.append(Message(_ROLES[role], content))  # type: ignore[arg-type]

    def _reasoning(self, item: dict[str, Any], where: str) -> None:
        if self._said and not self._calls:
            self.finish()
        self._blocks += blocks_of(item.get("encrypted_content"))
        for name in ("content", "summary"):
            told = [
                as_object(each, f"{where}.{name}")
                for each in as_list(item.get(name) or [], f"{where}.{name}")
            ]
            if told:
                self._thought += [as_text(each.get("text", ""), f"{where}.{name}") for each in told]
                return

    def _function_call(self, item: dict[str, Any], where: str) -> None:
        self._call(item, where, "function", member(item, "arguments", where))

    def _custom_call(self, item: dict[str, Any], where: str) -> None:
        self._call(item, where, "custom", custom_arguments(member(item, "input", where)))

    def _call(self, item: dict[str, Any], where: str, kind: Any, arguments: str) -> None:
        space = item.get("namespace")
        callee = Callee(member(item, "name", where), kind, space if isinstance(space, str) else "")
        call_id = member(item, "call_id", where)
        self._calls.append(ToolCall(call_id, self._toolbox.name_of(callee), arguments, len(self._calls)))

    def _output(self, item: dict[str, Any], where: str) -> None:
        self.finish()
        content = self._content(item.get("output"), f"{where}.output")
        self.messages.append(Message("tool", content, tool_call_id=member(item, "call_id", where)))

    def _more_tools(self, item: dict[str, Any], where: str) -> None:
        self._toolbox.add(item.get("tools"), f"{where}.tools")

    _takers: dict[str, Callable[[Conversation, dict[str, Any], str], None]] = {  # noqa: RUF012 - a table
        "message": _message,
        "reasoning": _reasoning,
        "function_call": _function_call,
        "function_call_output": _output,
        "custom_tool_call": _custom_call,
        "custom_tool_call_output": _output,
        "additional_tools": _more_tools,
    }

    def _content(self, given: Any, where: str) -> str | list[Part]:
        if isinstance(given, str):
            return given
        if type(given) is not list:
            refuse(where, "a text or a list of parts", given)
        parts: list[Part] = []
        for n, each in enumerate(given):
            place = f"{where}[{n}]"
            kind = as_object(each, place).get("type")
            if not isinstance(kind, str):
                refuse(f"{place}.type", "a text", kind)
            part = _part(each, kind, place)
            if part is None:
                self.needs.append(f"{place} ({kind[:_WORD]})")
            else:
                parts.append(part)
                self._ignore_others(each, kind)
        return parts

    def _ignore_others(self, given: dict[str, Any], kind: str) -> None:
        known = _MEMBERS[kind]
        if not given.keys() <= known:
            # Empty ones say nothing: `annotations: []` stands in each text of an answer that is sent back.
            self.ignored += [f"input.{name}" for name, value in given.items() if value and name not in known]


def _part(given: dict[str, Any], kind: str, where: str) -> Part | None:
    """A part of a message; None for one that only this wire has."""
    try:
        match kind:
            case "input_text" | "output_text" | "text":
                return Text(member(given, "text", where))
            case "refusal":
                return Text(member(given, "refusal", where))
            case "input_image" if given.get("image_url") is not None:
                return _image(member(given, "image_url", where), given.get("detail"))
            case "input_file":
                return _file(given, where)
            case "input_audio":
                audio = as_object(given.get("input_audio"), f"{where}.input_audio")
                return _audio(member(audio, "data", where), str(audio.get("format", "wav")))
    except ValueError as error:
        raise invalid(f"{where} of type {kind!r} is malformed: {error}", where) from error
    return None


def _image(url: str, detail: Any) -> Image:
    inline = data_urls.split(url)
    detail = detail if isinstance(detail, str) else None
    if inline is None:
        return Image(url=url, detail=detail)
    data, media_type, large = _carried(inline[0] or "image/png", inline[1])
    return Image(data, media_type, large, detail)


def _file(given: dict[str, Any], where: str) -> File:
    name = given.get("filename")
    name = name if isinstance(name, str) else None
    if isinstance(given.get("file_id"), str):
        return File(id=given["file_id"], filename=name)
    if isinstance(given.get("file_url"), str):
        return File(url=given["file_url"], filename=name)
    text = member(given, "file_data", where)
    media_type, content = data_urls.split(text) or ("", data_urls.joined(text))
    data, media_type, large = _carried(media_type or "application/pdf", content)
    return File(data, media_type, name, large)


def _audio(data: str, format: str) -> Audio:
    content, _, url = _carried(f"audio/{format}", data_urls.joined(data))
    return Audio(content or b"", format, url=url)


def _carried(media_type: str, text: str) -> tuple[bytes | None, str, str | None]:
    """The bytes of base64 text, and its type; when it is large, its `data:` URL in place of the bytes."""
    if len(text) > data_urls.LARGE:
        return None, media_type, data_urls.undecoded(media_type, text)
    return b64decode(text, validate=True), media_type, None

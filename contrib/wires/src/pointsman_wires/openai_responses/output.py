"""The items of an answer's output, as they grow and as they end. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

from pointsman.plugin import ChatResponse, JsonObject, ToolCall, openai_objects
from pointsman_wires.openai_responses.reasoning import blob_of, is_sealed
from pointsman_wires.openai_responses.tools import Callee, Toolbox, custom_input

Status = Literal["in_progress", "completed", "incomplete"]
PartKind = Literal["output_text", "refusal"]


class SaidPart:
    """A text or a refusal."""

    __slots__ = ("kind", "pieces")

    def __init__(self, kind: PartKind, text: str = "") -> None:
        self.kind: PartKind = kind
        self.pieces = [text] if text else []

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)

    def value(self) -> dict[str, Any]:
        """As JSON has it."""
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": self.text}
        return {"type": "output_text", "annotations": [], "logprobs": [], "text": self.text}


class Said:
    """A message: what is said, and what is refused."""

    def __init__(self, id: str, index: int) -> None:
        self.id = id
        self.index = index
        self.parts: list[SaidPart] = []

    def value(self, status: Status) -> dict[str, Any]:
        """As JSON has it; one that has begun is empty."""
        content = [] if status == "in_progress" else [each.value() for each in self.parts]
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}


class Thought:
    """Reasoning: what can be read of it, and what only its maker can read."""

    def __init__(self, id: str, index: int) -> None:
        self.id = id
        self.index = index
        self.pieces: list[str] = []
        self.blocks: list[JsonObject] = []

    @property
    def text(self) -> str:
        """All that can be read."""
        return "".join(self.pieces)

    def is_full(self, block: JsonObject) -> bool:
        """Whether `block` needs an item of its own, since one has room for a single blob."""
        return bool(self.blocks) and (is_sealed(block) or is_sealed(self.blocks[-1]))

    def value(self, status: Status) -> dict[str, Any]:
        """As JSON has it; one that has begun is empty."""
        item: dict[str, Any] = {"id": self.id, "type": "reasoning", "summary": []}
        if status != "in_progress":
            if self.pieces:
                item["summary"] = [{"type": "summary_text", "text": self.text}]
            if self.blocks:
                item["encrypted_content"] = blob_of(self.blocks)
        return item


class Called:
    """A call of a tool."""

    def __init__(self, id: str, index: int, callee: Callee, call_id: str) -> None:
        self.id = id
        self.index = index
        self.callee = callee
        self.call_id = call_id
        self.pieces: list[str] = []

    @property
    def arguments(self) -> str:
        """What it is called with: JSON, or the plain text of a custom tool."""
        text = "".join(self.pieces)
        return custom_input(text) if self.callee.kind == "custom" else text

    def value(self, status: Status) -> dict[str, Any]:
        """As JSON has it; one that has begun has no arguments yet."""
        custom = self.callee.kind == "custom"
        item = {
            "id": self.id,
            "type": "custom_tool_call" if custom else "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self.callee.name,
            "input" if custom else "arguments": "" if status == "in_progress" else self.arguments,
        }
        if self.callee.namespace:
            item["namespace"] = self.callee.namespace
        return item


Item = Said | Thought | Called
AnItem = TypeVar("AnItem", Said, Thought, Called)


class Output:
    """The items of one answer in order."""

    def __init__(self, digits: str, toolbox: Toolbox) -> None:
        self.items: list[Item] = []
        self._digits = digits
        self._toolbox = toolbox

    def said(self) -> Said:
        """One more message."""
        return self._added(Said(self._id("msg"), len(self.items)))

    def thought(self) -> Thought:
        """One more item of reasoning."""
        return self._added(Thought(self._id("rs"), len(self.items)))

    def called(self, name: str, given_id: str) -> Called:
        """One more call, of the function `name`."""
        callee = self._toolbox.callee(name)
        id = self._id("ctc" if callee.kind == "custom" else "fc")
        given_id = given_id or openai_objects.call_id(self._digits, len(self.items))
        return self._added(Called(id, len(self.items), callee, given_id))

    def values(self, status: Status = "completed") -> list[dict[str, Any]]:
        """All of them as JSON has them."""
        return [each.value(status) for each in self.items]

    def fill(self, answer: ChatResponse) -> None:
        """Add all items of a whole answer."""
        if answer.reasoning or answer.reasoning_blocks:
            thought = self.thought()
            thought.pieces += [answer.reasoning] if answer.reasoning else []
            for block in answer.reasoning_blocks:
                thought = self.thought() if thought.is_full(block) else thought
                thought.blocks.append(block)
        if answer.text or answer.refusal or not answer.tool_calls:
            said = self.said()
            if answer.text or not answer.refusal:
                said.parts.append(SaidPart("output_text", answer.text))
            if answer.refusal:
                said.parts.append(SaidPart("refusal", answer.refusal))
        self._fill_calls(answer.tool_calls)

    def _fill_calls(self, calls: Iterable[ToolCall]) -> None:
        for call in calls:
            self.called(call.name, call.id).pieces.append(call.arguments)

    def _added(self, item: AnItem) -> AnItem:
        self.items.append(item)
        return item

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._digits}{len(self.items):04x}"

"""What bodies of the plain API look like, and what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from pointsman.plugin import ChatRequest
from pointsman.requests.parsing import chat_request

_NAMES = {
    "topP": "top_p",
    "topK": "top_k",
    "minP": "min_p",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "repeatPenalty": "repeat_penalty",
    "reasoningEffort": "reasoning_effort",
    "responseFormat": "response_format",
    "toolChoice": "tool_choice",
}
"""How options are called here, and by the router."""
OPTIONS = frozenset((*_NAMES.values(), "seed", "stop", "temperature", "max_tokens", "user", "logprobs"))


class _Body(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", hide_input_in_errors=True, strict=True
    )
    model: str | None = None
    temperature: float | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: str | list[str] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, str] | None = None
    stream: bool = False

    @property
    def conversation(self) -> str | None:
        """What its caller calls the conversation that it belongs to."""
        return None

    def said(self) -> dict[str, Any]:
        """The options as the router takes them; what it does not know goes to the upstream."""
        said: dict[str, Any] = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "stop": self.stop,
            "metadata": self.metadata,
        }
        extra: dict[str, Any] = {}
        for name, value in self.options.items():
            meant = _NAMES.get(name, name)
            if meant in OPTIONS:
                said[meant] = value
            else:
                extra[name] = value
        return {**said, "extra": extra} if extra else said


class GenerateBody(_Body):
    """What `/generate` takes."""

    prompt: str
    system: str | None = None

    def request(self, model: str) -> ChatRequest:
        """A question with one message. Raises InvalidRequest."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": self.prompt}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return chat_request(model, messages, self.said())


class MessageBody(BaseModel):
    """One turn. Tool calls and their results are as in OpenAI's API, or in camel case."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, strict=True)
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None
    tool_calls: list[dict[str, Any]] = Field(default_factory=list, alias="toolCalls")
    tool_call_id: str | None = Field(default=None, alias="toolCallId")
    name: str | None = None

    def turn(self) -> dict[str, Any]:
        """As the router takes it."""
        turn: dict[str, Any] = {"role": self.role, "content": self.content or ""}
        if self.tool_calls:
            turn["tool_calls"] = [_tool_call(each) for each in self.tool_calls]
        if self.tool_call_id is not None:
            turn["tool_call_id"] = self.tool_call_id
        if self.name is not None:
            turn["name"] = self.name
        return turn


class ChatBody(_Body):
    """What `/chat` takes."""

    messages: Annotated[list[MessageBody], Field(min_length=1)]
    session_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    tools: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def conversation(self) -> str | None:
        return self.session_id

    def request(self, model: str) -> ChatRequest:
        """The conversation. Raises InvalidRequest."""
        said = self.said()
        if self.tools:
            said["tools"] = [_tool(each) for each in self.tools]
        return chat_request(model, [each.turn() for each in self.messages], said)


def _tool(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool as OpenAI's API has it; `{name, description, parameters}` alone will do."""
    return said if "function" in said or "type" in said else {"type": "function", "function": dict(said)}


def _tool_call(said: Mapping[str, Any]) -> Mapping[str, Any]:
    """A call as OpenAI's API has it; `{id, name, arguments}`, as answers have it, will do."""
    if "function" in said:
        return said
    function = {name: said[name] for name in ("name", "arguments") if name in said}
    return {"id": said.get("id", ""), "type": "function", "function": function}

"""The body of POST /responses as a request of ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pointsman.plugin import (
    ChatRequest,
    InvalidRequest,
    Message,
    ReasoningEffort,
    Understood,
    chat_request,
    replace,
)
from pointsman_wires.answer_ids import hex_of
from pointsman_wires.bodies import blamed, flag_member, object_of, text_member
from pointsman_wires.openai_responses.envelope import Envelope
from pointsman_wires.openai_responses.items import Conversation
from pointsman_wires.openai_responses.mistakes import as_list, as_object, as_text, refuse
from pointsman_wires.openai_responses.reasoning import for_maker, holds_marks
from pointsman_wires.openai_responses.tools import Toolbox
from pointsman_wires.openai_responses.writer import ResponsesWriter

WIRE = "openai.responses"
COMPACT_WIRE = "openai.responses.compact"

_READ = frozenset(
    (
        "model", "input", "instructions", "stream", "stream_options", "max_output_tokens", "temperature",
        "top_p", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning",
        "previous_response_id", "conversation", "background", "prompt", "include", "user",
        "store",
    )
)  # fmt: skip
"""Members that are read; what the answer merely repeats is not among them, since nobody sees it."""
_PREVIOUS = "previous_response_id"
_OURS_ALONE = ("conversation", "background", "prompt", _PREVIOUS)
"""Members that make the answer another one, and that no other wire can say."""
_SAYS_NOTHING: Mapping[str, Sequence[Any]] = {
    "truncation": ("disabled", "auto"),
    "service_tier": ("auto", "default"),
    "context_management": ([],),
}
"""Values that are what happens anyway."""
_LOGPROBS = "message.output_text.logprobs"
_TRIGGER = "(compaction_trigger)"
_STAND_IN = Message.user("")
"""What is asked where only an upstream of this wire can tell what that is."""
_KEPT = ("reasoning.encrypted_content",)
_FORMATS = ("text", "json_object", "json_schema")
_EFFORTS: Sequence[str] = get_args(ReasoningEffort)


def read(
    body: bytes, *, request_id: str, wall: float, stored: bool = False, previous: str = ""
) -> Understood:
    """What a body asks for, and how to write its answer.

    Args:
        stored: whether the answer will be kept, where the body does not say otherwise.
        previous: the answer that it goes on from, where what was said before already stands in its `input`.

    Raises: InvalidRequest.
    """
    given = object_of(body)
    if previous:
        given["previous_response_id"] = previous
    reading = Reading(given)
    request = reading.request(previous=previous)
    if stored and not previous and _PREVIOUS in reading.needs:  # an upstream may know it; the others say this
        told = f"{_PREVIOUS} (previous response with id {str(given[_PREVIOUS])[:100]!r} not found)"
        reading.needs[reading.needs.index(_PREVIOUS)] = told
    envelope = Envelope(
        given,
        digits=hex_of(request_id, wall),
        created=int(wall),
        model=request.model,
        stored=stored and given.get("store") is not False,
    )
    return Understood(
        request,
        ResponsesWriter(envelope, reading.toolbox),
        flag_member(given, "stream"),
        WIRE,
        reading.needs,
        reading.ignored,
        for_maker if holds_marks(body) else None,
    )


def read_compact(body: bytes, *, request_id: str, wall: float) -> Understood:
    """As `read`, of a conversation that is to be made shorter: only this wire can."""
    understood = read(body, request_id=request_id, wall=wall)
    return Understood(
        understood.request,
        understood.writer,
        False,
        COMPACT_WIRE,
        [_compaction(understood.request.model), *understood.needs_wire],
        (),
        understood.opaque,
    )


def _compaction(model: str) -> str:
    return f"compaction with the model {model}"


class Reading:
    """One body on its way to a request.

    Attributes:
        needs, ignored: as `Understood` has them, once the request is made.
        toolbox: the tools.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self.needs: list[str] = []
        self.ignored: list[str] = []
        self._given = given
        self.toolbox = Toolbox()
        self._options: dict[str, Any] = {}

    def request(self, *, previous: str = "") -> ChatRequest:
        """The request. Raises InvalidRequest."""
        model = text_member(self._given, "model")
        for name, value in self._given.items():
            if name not in _READ and value is not None and value not in _SAYS_NOTHING.get(name, ()):
                self.ignored.append(name)
        self.needs += [name for name in _OURS_ALONE if self._given.get(name) not in (None, False, previous)]
        if self._given.get("tools") is not None:
            self.toolbox.add(self._given["tools"], "tools")
        messages = self._messages()
        try:
            self._say_options()
            self._say_tools()
            # All in the messages was looked at as they were made; a router looks at it again.
            return replace(chat_request(model, "", self._options), messages=messages)
        except InvalidRequest as error:
            raise blamed(error) from error

    def _messages(self) -> Sequence[Message]:
        messages = []
        if (told := self._given.get("instructions")) is not None and as_text(told, "instructions"):
            messages.append(Message.system(told))
        given = self._given.get("input")
        if given is None and self.needs:  # what is said stands elsewhere, such as in a stored prompt
            return (*messages, _STAND_IN)
        if isinstance(given, str):
            return (*messages, Message.user(given))
        if type(given) is not list:
            refuse("input", "a text or a list of items", given)
        conversation = Conversation(self.toolbox)
        for n, item in enumerate(given):
            conversation.take(item, f"input[{n}]")
        messages += conversation.finish()
        self.needs += conversation.needs
        if any(each.endswith(_TRIGGER) for each in conversation.needs):
            self.needs.append(_compaction(self._given["model"]))
        self.ignored += dict.fromkeys(conversation.ignored)
        if not messages and self.needs:
            return (_STAND_IN,)
        if not messages:
            refuse("input", "at least one message", given)
        return tuple(messages)

    def _say_options(self) -> None:
        given, options = self._given, self._options
        for name in ("temperature", "top_p", "user"):
            options[name] = given.get(name)
        options["max_tokens"] = given.get("max_output_tokens")
        if given.get("parallel_tool_calls") is False:
            options["parallel_tool_calls"] = False
        include = as_list(given.get("include") or [], "include")
        if _LOGPROBS in include or given.get("top_logprobs"):
            self.needs.append("top_logprobs" if given.get("top_logprobs") else "include")
        self.ignored += [f"include ({each})" for each in include if each not in (_LOGPROBS, *_KEPT)]
        self._say_text(as_object(given.get("text") or {}, "text"))
        effort = as_object(given.get("reasoning") or {}, "reasoning").get("effort")
        if effort is not None and as_text(effort, "reasoning.effort") not in _EFFORTS:
            self.needs.append("reasoning.effort")
        else:
            options["reasoning_effort"] = effort

    def _say_text(self, text: dict[str, Any]) -> None:
        if text.get("verbosity") not in (None, "medium"):
            self.ignored.append("text.verbosity")
        if text.get("format") is None:
            return
        wanted = as_object(text["format"], "text.format")
        kind = as_text(wanted.get("type"), "text.format.type")
        if kind not in _FORMATS:
            self.needs.append("text.format")
        elif kind == "json_object":
            self._options["response_format"] = {"type": kind}
        elif kind == "json_schema":
            as_object(wanted.get("schema"), "text.format.schema")
            self._options["response_format"] = {"type": kind, "json_schema": wanted}

    def _say_tools(self) -> None:
        choice, need = self.toolbox.choice(self._given.get("tool_choice"))
        self.ignored += (*self.toolbox.left_out, *self.toolbox.unread)
        if need or (choice is not None and choice.mode == "required" and self.toolbox.left_out):
            self.needs.append(need or "tool_choice")
            choice = None
        if self.toolbox.tools:
            self._options["tools"] = tuple(self.toolbox.tools)
            self._options["tool_choice"] = choice
        elif choice is not None and choice.mode in ("required", "tool"):
            refuse("tool_choice", "tools to choose from", self._given.get("tool_choice"))

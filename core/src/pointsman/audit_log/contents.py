"""What the audit records of what was asked and answered: fields by a list, cut, and patterns taken out."""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from pointsman.audit import AuditedExchange
from pointsman.audit_log.redacting import Redaction, checked
from pointsman.events import NO_TAGS
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    GenerateRequest,
    Message,
    Text,
    ToolCall,
)
from pointsman.wire.surrogates import well_formed

MOST = 50
"""Messages, texts, tools or calls of one request that are recorded, the latest of them."""
LONGEST = 1024
"""Characters of each text."""
_LOOKED_AT = 8 * LONGEST
"""Characters of each text in which secrets and patterns are looked for."""

ContentField = Literal["messages", "system", "tools", "answer", "reasoning", "tool_calls"]


class ContentSettings(BaseModel):
    """`content: {fields: [messages, answer], redact: [email, '[0-9]{16}']}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    fields: list[ContentField] = Field(
        min_length=1, description="what is recorded: nothing that is not named here"
    )
    redact: list[Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(checked)]] = Field(
        default_factory=list,
        description="`email`, `card`, `iban`, `phone`, and regular expressions: `***` stands in place of "
        "what they match",
    )


class Content(Struct, frozen=True):
    """What was asked and answered in one request, as plain data that is bounded.

    Attributes:
        cut: characters that are missing of texts; left_out: messages, tools and calls that are.
    """

    request_id: str
    model: str
    caller: str = ""
    tags: Mapping[str, str] = NO_TAGS
    asked: Mapping[str, Any] = {}
    answered: Mapping[str, Any] = {}
    cut: int = 0
    left_out: int = 0


def content_of(exchange: AuditedExchange, settings: ContentSettings) -> Content:
    """What `settings` have recorded of `exchange`."""
    written = _Written(settings, exchange.scrub)
    asked, answered = written.asked(exchange.request), written.answered(exchange.answer)
    request = exchange.request
    return Content(
        exchange.request_id, request.model, exchange.caller, exchange.tags, asked, answered, written.cut,
        written.left_out,
    )  # fmt: skip


def _field_of(message: Message) -> ContentField:
    return "system" if message.role == "system" else "messages"


class _Written:
    """Writes one exchange."""

    def __init__(self, settings: ContentSettings, scrub: Callable[[str], str]) -> None:
        self._fields = frozenset(settings.fields)
        self._redacted = Redaction(settings.redact)
        self._scrub = scrub
        self.cut = self.left_out = 0

    def asked(self, request: Any) -> Mapping[str, Any]:
        said: dict[str, Any] = {}
        match request:
            case ChatRequest():
                wanted = [each for each in request.messages if _field_of(each) in self._fields]
                if wanted:
                    said["messages"] = self._several(wanted, self._message)
                if "tools" in self._fields and request.tools:
                    said["tools"] = self._several(request.tools, lambda tool: self._text(tool.name))
            case GenerateRequest():
                for name, field in (("prompt", "messages"), ("suffix", "messages"), ("system", "system")):
                    if field in self._fields and (text := getattr(request, name)):
                        said[name] = self._text(text)
            case EmbedRequest() if "messages" in self._fields:
                said["texts"] = self._several(request.texts, self._text)
        return said

    def answered(self, answer: Any) -> Mapping[str, Any]:
        if not isinstance(answer, ChatResponse):
            return {}
        said: dict[str, Any] = {}
        if "answer" in self._fields:
            said |= {"text": self._text(answer.text), "finish_reason": answer.finish_reason}
            if answer.refusal:
                said["refusal"] = self._text(answer.refusal)
        if "reasoning" in self._fields and answer.reasoning:
            said["reasoning"] = self._text(answer.reasoning)
        if "tool_calls" in self._fields and answer.tool_calls:
            said["tool_calls"] = self._several(answer.tool_calls, self._call)
        return said

    def _message(self, message: Message) -> Mapping[str, Any]:
        content = message.content
        if not isinstance(content, str):  # of pictures, sound and files there is what they are
            content = "\n".join(
                each.text if isinstance(each, Text) else f"[{type(each).__name__.lower()}]"
                for each in content
            )
        said: dict[str, Any] = {"role": message.role, "content": self._text(content)}
        if message.tool_calls and "tool_calls" in self._fields:
            said["tool_calls"] = self._several(message.tool_calls, self._call)
        return said

    def _call(self, call: ToolCall) -> Mapping[str, Any]:
        return {"name": self._text(call.name), "arguments": self._text(call.arguments)}

    def _several(self, each: Sequence[Any], write: Callable[[Any], Any]) -> list[Any]:
        latest = each[-MOST:]
        self.left_out += len(each) - len(latest)
        return [write(one) for one in latest]

    def _text(self, text: str) -> str:
        shown = self._redacted(self._scrub(well_formed(text[:_LOOKED_AT])))
        beyond = len(text) - min(len(text), _LOOKED_AT)
        # The end of what is looked at may be half of a match, and masks draw it near: it is never shown.
        sure = len(shown) - LONGEST if beyond else len(shown)
        kept = shown[: max(0, min(LONGEST, sure))]
        self.cut += len(shown) + beyond - len(kept)
        return kept

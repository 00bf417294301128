"""Bodies of `generateContent`, read: what is text in our words, and by name what only Gemini understands."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from pointsman.plugin import ChatRequest, InvalidRequest, Message, jsonio

WIRE = "gemini"
"""A provider that takes bodies as they are has this among its `wires`."""
_OPTIONS: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "temperature": ("temperature", (int, float)),
    "topP": ("top_p", (int, float)),
    "topK": ("top_k", int),
    "maxOutputTokens": ("max_tokens", int),
    "seed": ("seed", int),
    "presencePenalty": ("presence_penalty", (int, float)),
    "frequencyPenalty": ("frequency_penalty", (int, float)),
}
"""By member of `generationConfig`, our option and its type."""
_IGNORED = ("safetySettings", "labels", "cachedContent")
"""Members without which an answer is the same, or one like it."""
_READ = ("contents", "systemInstruction", "system_instruction", "generationConfig", "generation_config")


class Body:
    """One body, as far as it can be said in our words.

    Attributes:
        needs_wire: what cannot, and would make the answer another.
        ignored: what cannot, and does not.
    """

    def __init__(self, model: str, raw: bytes) -> None:
        body = _object(jsonio.loads(raw), "the body")
        self.needs_wire: list[str] = [each for each in body if each not in (*_READ, *_IGNORED)]
        self.ignored = [each for each in body if each in _IGNORED]
        messages = [*self._system(body), *self._turns(body)]
        config = _either(body, "generationConfig", "generation_config", {})
        self.request = ChatRequest(
            model, tuple(messages), **self._options(_object(config, "generationConfig"))
        )

    def _system(self, body: Mapping[str, Any]) -> Iterator[Message]:
        given = _either(body, "systemInstruction", "system_instruction", None)
        if given is not None:
            yield Message.system(self._text(_object(given, "systemInstruction"), "systemInstruction"))

    def _turns(self, body: Mapping[str, Any]) -> Iterator[Message]:
        contents = _list(body.get("contents"), "contents")
        if not contents:
            raise InvalidRequest("contents is empty")
        for n, given in enumerate(contents):
            place = f"contents[{n}]"
            turn = _object(given, place)
            role = turn.get("role", "user")
            if role not in ("user", "model"):
                raise InvalidRequest(f"{place}.role: expected user or model")
            ours: Literal["user", "assistant"] = "user" if role == "user" else "assistant"
            yield Message(ours, self._text(turn, place))

    def _text(self, content: Mapping[str, Any], place: str) -> str:
        """The text of all parts; what is no text needs the wire."""
        texts = []
        for n, given in enumerate(_list(content.get("parts"), f"{place}.parts")):
            part = _object(given, f"{place}.parts[{n}]")
            if set(part) == {"text"} and isinstance(part["text"], str):
                texts.append(part["text"])
            elif not part:
                raise InvalidRequest(f"{place}.parts[{n}] is empty")
            else:
                self.needs_wire.append(f"{place}.parts[{n}]")
        return "\n".join(texts)

    def _options(self, config: Mapping[str, Any]) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for name, value in config.items():
            if name == "stopSequences":
                options["stop"] = _texts(value, "generationConfig.stopSequences")
            elif name in _OPTIONS:
                ours, kind = _OPTIONS[name]
                if isinstance(value, bool) or not isinstance(value, kind):
                    raise InvalidRequest(f"generationConfig.{name}: expected a number")
                options[ours] = value
            else:
                self.needs_wire.append(f"generationConfig.{name}")
        if options.get("max_tokens", 1) < 1:
            raise InvalidRequest("generationConfig.maxOutputTokens: expected 1 or more")
        return options


def _either(body: Mapping[str, Any], one: str, other: str, default: Any) -> Any:
    return body.get(one, body.get(other, default))


def _object(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{place}: expected an object")
    return value


def _list(value: Any, place: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise InvalidRequest(f"{place}: expected a list")
    return value


def _texts(value: Any, place: str) -> tuple[str, ...]:
    given = _list(value, place)
    if not all(isinstance(each, str) for each in given):
        raise InvalidRequest(f"{place}: expected texts")
    return tuple(given)

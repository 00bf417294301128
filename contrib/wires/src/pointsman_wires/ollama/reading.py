"""The bodies of Ollama's inference routes as requests of ours. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pointsman.plugin import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    JsonObject,
    Message,
    Part,
    Text,
    TextMessages,
    Understood,
    Unsupported,
    Writer,
)
from pointsman_wires.members import flag, items, json_object, text_or_none, texts, whole_number, wrong
from pointsman_wires.ollama.options import answer_format, sampling, streams, thinking, tools
from pointsman_wires.ollama.turns import conversation, picture
from pointsman_wires.ollama.writing import (
    AnswerWriter,
    EmbeddingsWriter,
    EmbeddingWriter,
    LinesAtOnce,
)
from pointsman_wires.unsaid import Unsaid

WIRE = "ollama"
WIRE_OF_PROMPTS = "ollama.generate"

_SERVERS = ("keep_alive", "truncate", "shift")
"""What is about the server that runs the model, and ignored by every other."""
_CHAT = (
    "model", "messages", "tools", "format", "options", "think", "stream", "logprobs", "top_logprobs",
)  # fmt: skip
_GENERATE = ("model", "prompt", "suffix", "system", "images", "format", "options", "think", "stream")
_RAW = ("raw", "template", "context")
"""What makes up the prompt in a way that only this API has."""
_EMBED = ("model", "input", "dimensions", "options")

Elapsed = Callable[[], int]
"""Nanoseconds since the request came."""


def read(body: bytes, *, request_id: str, wall: float) -> Understood:  # noqa: ARG001 - as of every wire
    """What `POST /api/chat` asks for. Raises InvalidRequest that names the member."""
    return read_chat(json_object(body), wall=wall)


def read_chat(given: JsonObject, *, wall: float, elapsed: Elapsed | None = None) -> Understood:
    """As `read`, of a body that was decoded before.

    Args:
        wall: seconds since 1970 at which it came.
        elapsed: for the durations in the answer; without it there are none but an Ollama's own.
    """
    unsaid, model = Unsaid(), _model(given)
    request = ChatRequest(
        model,
        conversation(given, unsaid),
        tools=tools(given, unsaid),
        reasoning_effort=thinking(given),
        response_format=answer_format(given),
        logprobs=flag(given, "logprobs"),
        top_logprobs=whole_number(given, "top_logprobs"),
        **sampling(given, unsaid),
    )
    unsaid.ignores_others(given, _CHAT)
    writer = AnswerWriter(model, wall=wall, chat=True, elapsed=elapsed, logprobs=bool(request.logprobs))
    return _understood(request, writer, unsaid, stream=streams(given))


def read_generate(given: JsonObject, *, wall: float, elapsed: Elapsed | None = None) -> Understood:
    """What `POST /api/generate` asks for, of a body that was decoded before. Raises InvalidRequest.

    It is the turn of a chat, which all upstreams have, and which an Ollama gets as it was written; but for
    what no turn can be: text between two others, and prompts of the caller's own making. These are given at
    once where a stream is asked for.
    """
    unsaid, model, stream = Unsaid(), _model(given), streams(given)
    given = {name: value for name, value in given.items() if value not in ("", [], None)}
    needed = [name for name in _RAW if given.get(name)]
    if needed and stream:
        raise Unsupported(f"{', '.join(needed)} in a stream; ask with `stream: false`")
    unsaid.needs(*needed)
    writer: Writer = AnswerWriter(model, wall=wall, chat=False, elapsed=elapsed)
    options: dict[str, Any] = {
        "reasoning_effort": thinking(given),
        "response_format": answer_format(given),
        **sampling(given, unsaid),
    }
    unsaid.ignores_others(given, (*_GENERATE, *_RAW))
    if not needed and "suffix" not in given:
        turn = ChatRequest(model, _turns(given), **options)
        return _understood(turn, writer, unsaid, stream=stream, wire=WIRE_OF_PROMPTS)
    for name in ("min_p", "repeat_penalty"):  # which a plain completion of ours has not
        if options.pop(name, None) is not None:
            unsaid.ignores(f"options.{name}")
    request = GenerateRequest(
        model,
        text_or_none(given, "prompt") or "",
        text_or_none(given, "suffix"),
        text_or_none(given, "system"),
        [picture(each, "images") for each in items(given, "images")],
        **options,
    )
    if stream:
        return _understood(request, LinesAtOnce(writer), unsaid, wire="")
    return _understood(request, writer, unsaid)


def read_embed(given: JsonObject, *, elapsed: Elapsed | None = None) -> Understood:
    """What `POST /api/embed` asks for, of a body that was decoded before. Raises InvalidRequest."""
    unsaid, model = Unsaid(), _model(given)
    unsaid.ignores_others(given, _EMBED)
    if given.get("options"):
        unsaid.ignores("options")
    wanted = given.get("input")
    if not isinstance(wanted, str | list):
        raise wrong("input", "invalid input type")
    said = (wanted,) if isinstance(wanted, str) else texts(given, "input")
    request = EmbedRequest(model, said, whole_number(given, "dimensions", least=1))
    return _understood(request, EmbeddingsWriter(model, elapsed=elapsed), unsaid)


def read_embeddings(given: JsonObject) -> Understood:
    """What `POST /api/embeddings` asks for, the older form. Raises InvalidRequest."""
    unsaid, model = Unsaid(), _model(given)
    unsaid.ignores_others(given, ("model", "prompt"))
    request = EmbedRequest(model, (text_or_none(given, "prompt") or "",))
    return _understood(request, EmbeddingWriter(), unsaid, wire="")


def only_loads(given: JsonObject, member: str) -> str:
    """`load` or `unload` for a body that asks for nothing else, "" for any other.

    Args: member: what is asked, such as `messages`.
    """
    if given.get(member) or given.get("suffix"):
        return ""
    return "unload" if given.get("keep_alive") in (0, "0", "0s") else "load"


def _model(given: JsonObject) -> str:
    model = text_or_none(given, "model")
    if not model:
        raise wrong("model", "model is required")
    return model


def _turns(given: JsonObject) -> Any:
    """The conversation that a prompt is."""
    system, prompt = text_or_none(given, "system"), text_or_none(given, "prompt") or ""
    pictures = [picture(each, "images") for each in items(given, "images")]
    if not pictures:
        roles = ("system", "user") if system else ("user",)
        return TextMessages(roles, (system, prompt) if system else (prompt,))  # type: ignore[arg-type]  # these are roles
    said: list[Part] = [Text(prompt)] if prompt else []
    turn = Message.user((*said, *pictures))
    return (Message.system(system), turn) if system else (turn,)


def _understood(
    request: Any, writer: Writer, unsaid: Unsaid, *, stream: bool = False, wire: str = WIRE
) -> Understood:
    return Understood(request, writer, stream, wire, tuple(unsaid.needed), tuple(unsaid.ignored))

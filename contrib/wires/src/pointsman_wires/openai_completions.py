"""OpenAI's plain completions from the side of the server. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    NOTHING,
    ChatResponse,
    EmbedResponse,
    GenerateRequest,
    InvalidRequest,
    JsonObject,
    ProblemDetails,
    StreamEvent,
    Understood,
    Unsupported,
    generate_request,
    openai_objects,
)
from pointsman_wires.answer_ids import hex_of
from pointsman_wires.bodies import blamed, count_member, flag_member, object_member, object_of, text_member
from pointsman_wires.encoding import COMMENT, DONE, EVENT_STREAM, JSON, data_frame, json_bytes
from pointsman_wires.openai_embeddings import texts_of
from pointsman_wires.openai_errors import error_frame
from pointsman_wires.origin import origin

WIRE = "openai.completions"

_SAME = frozenset(
    ("temperature", "top_p", "top_k", "seed", "stop", "presence_penalty", "frequency_penalty", "suffix")
)
_READ = frozenset(("model", "prompt", "stream", "stream_options", "max_tokens"))
_OURS_ALONE: Mapping[str, Sequence[Any]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "logprobs": (),
    "logit_bias": ({},),
}
"""Members that make the answer another one, and that no other wire can say; the values that do not."""


def read(body: bytes, *, request_id: str, wall: float) -> Understood:
    """What a body asks for, and how to write its answer. Raises InvalidRequest, Unsupported.

    A plain completion does not come in pieces: where a stream is asked for, the whole answer is written as
    one, and the request goes on in our own words, which ask for it whole.
    """
    given = object_of(body)
    needs: list[str] = []
    ignored: list[str] = []
    stream = flag_member(given, "stream")
    try:
        request = _request(given, needs, ignored)
    except InvalidRequest as error:
        raise blamed(error) from error
    if stream and needs:
        raise Unsupported(f"the stream of a plain completion cannot have: {', '.join(needs)}")
    writer = CompletionWriter(
        id=f"cmpl-{hex_of(request_id, wall)}",
        created=int(wall),
        model=request.model,
        stream=stream,
        include_usage=object_member(given, "stream_options").get("include_usage") is True,
    )
    wire = "" if stream else WIRE
    several, answers = _several(given, needs)
    return Understood(request, writer, False, wire, needs, ignored, several=several, answers=answers)


def _several(given: Mapping[str, Any], needs: Sequence[str]) -> tuple[str, int]:
    """The member that asks for several answers, and how many are made: of each prompt the best of so many."""
    prompts = given.get("prompt")
    one = not isinstance(prompts, list) or len(prompts) == 1 or isinstance(prompts[0], int)
    each = max((count_member(given, name) or 1 for name in ("n", "best_of") if name in needs), default=1)
    answers = each if one else each * len(prompts or ())
    return "n" if "n" in needs else "" if one else "prompt", answers


def _request(given: Mapping[str, Any], needs: list[str], ignored: list[str]) -> GenerateRequest:
    model = text_member(given, "model")
    prompts = texts_of(given.get("prompt"), "prompt", needs)
    if len(prompts) > 1 and not needs:
        needs.append("prompt")
    for name in ("n", "best_of"):
        count_member(given, name)  # what says it in another way would be held as one answer
    options: dict[str, Any] = {"max_tokens": count_member(given, "max_tokens")}
    for name, value in given.items():
        if name in _SAME:
            options[name] = value
        elif name in _OURS_ALONE:
            if value is not None and value not in _OURS_ALONE[name]:
                needs.append(name)
        elif name not in _READ and value is not None:
            ignored.append(name)
    return generate_request(model, "\n".join(prompts), options)


class CompletionWriter:
    """Writes one answer: whole, or as a stream that comes at once."""

    stream_type = EVENT_STREAM

    def __init__(
        self,
        *,
        id: str,
        created: int,
        model: str,
        stream: bool = False,
        include_usage: bool = False,
    ) -> None:
        self.content_type = EVENT_STREAM if stream else JSON
        self._head = {"id": id, "object": "text_completion", "created": created, "model": model}
        self._stream = stream
        self._uncounted: JsonObject = {"usage": None} if include_usage else NOTHING

    def reason(self, answer: ChatResponse) -> str:
        """Why the answer ended, in a word that clients know."""
        return openai_objects.FINISH[answer.finish_reason]

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """All of the answer."""
        assert isinstance(answer, ChatResponse)
        if self._stream:
            return self.piece(answer.text) + self.end(answer)
        body = self._chunk(answer.text, self.reason(answer), origin(answer))
        usage = openai_objects.usage(answer.usage)
        return json_bytes(body if usage is None else {**body, "usage": usage})

    def piece(self, text: str) -> bytes:
        """A chunk of a stream with a piece of its text."""
        return data_frame(self._chunk(text, None, self._uncounted))

    def end(self, answer: ChatResponse) -> bytes:
        """The chunks of a stream after its text, and the end marker."""
        members = {**self._uncounted, **origin(answer)}
        frames = [data_frame(self._chunk("", self.reason(answer), members))]
        if self._uncounted and (usage := openai_objects.usage(answer.usage)) is not None:
            frames.append(data_frame({**self._head, "choices": [], "usage": usage}))
        return b"".join((*frames, DONE))

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """Nothing: there is no stream of events."""
        return b""

    def failure(self, problem: ProblemDetails) -> bytes:
        """The error as an event."""
        return error_frame(problem)

    def heartbeat(self) -> bytes:
        """A comment."""
        return COMMENT

    def _chunk(self, text: str, reason: str | None, members: JsonObject) -> dict[str, Any]:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": reason}
        return {**self._head, "choices": [choice], **members}

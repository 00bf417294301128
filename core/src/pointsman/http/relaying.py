"""Requests and answers that go on as they were written, for upstreams that speak the caller's wire."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from msgspec import Raw
from msgspec.structs import force_setattr, replace

from pointsman.auth import Discreet
from pointsman.errors import CallError, InvalidRequest, Unsupported
from pointsman.http.answer import Answer, OpenAnswer
from pointsman.http.event_stream import Decoder, Framer, HttpEventStream
from pointsman.http.relayed_frames import Marking, RelayedFrames, Renaming, WholeFrames
from pointsman.original import Original
from pointsman.provider import Call
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedResponse,
    GenerateRequest,
    Message,
    Request,
)
from pointsman.wire import rewriting
from pointsman.wire.opaque import answer_marked, for_maker

Body = Mapping[str, Any]
Cut = Callable[[bytes], bytes]
"""Whole frames without what only we wanted to know."""


class Relaying(Discreet, frozen=True, kw_only=True):
    """How one request goes on as it was written, and how its answer is read for the books.

    Attributes:
        path: where it goes.
        write: what we would write of a request; of two of them, what differs is written anew.
        configured: the same with what the configuration of the provider says where callers do not, if it
            says anything.
        read: a whole answer.
        events: framer and decoder of a streamed one.
        headers: those of the caller's that go along, and ours.
        synonyms: names of members that say the same, so that only one of them may be there.
        holder: the member of frames that holds the name of the model; "" for the frame itself.
        lines: frames are lines of JSON, not server-sent events.
        ends: the frame that ends a stream, for one that came without.
        asks: writes into the members of a body that is answered as a stream what has to be asked for, or it
            would not be known; returns what takes that out of whole frames again, None where the caller is to
            have it.
        opaque: what stands in every frame that holds reasoning which only its maker can read, so that it
            goes out with the mark of the upstream; () where the wire has no such.
    """

    unshown = ("headers",)
    path: str
    write: Callable[[Any], Body]
    configured: Callable[[Any], Body] | None = None
    read: Callable[[Answer, bytes], ChatResponse | EmbedResponse]
    events: Callable[[Answer], tuple[Framer, Decoder]] | None = None
    headers: Mapping[str, str] = {}
    synonyms: Sequence[Sequence[str]] = ()
    holder: str = ""
    lines: bool = False
    ends: bytes = b""
    asks: Callable[[dict[str, Raw]], Cut | None] | None = None
    opaque: Sequence[bytes] = ()

    def body(self, request: Request, call: Call, *, mark: str) -> bytes:
        """What goes to the upstream of that mark. Raises: as `members_for`."""
        return rewriting.joined(members_for(self, request, call, mark=mark))

    def whole(self, answer: Answer, content: bytes, call: Call, *, mark: str) -> ChatResponse | EmbedResponse:
        """What a whole answer says, with its body as the caller is to have it. Raises what `read` raises."""
        response = self.read(answer, content)
        if self.opaque and isinstance(response, ChatResponse):
            response = answer_marked(response, mark)
        relayed = answered(self, content, original_of(call).request.model, mark=mark)
        force_setattr(response, "relayed", relayed)  # in place: `read` has just made it
        return response

    def stream_body(self, request: Request, call: Call, *, mark: str) -> tuple[bytes, Cut | None]:
        """The same of a request for a stream, and what `asks` wants taken out of its frames."""
        given = members_for(self, request, call, mark=mark)
        cut = None if self.asks is None else self.asks(given)
        return rewriting.joined(given), cut

    def stream(self, answer: OpenAnswer, call: Call, *, mark: str, cut: Cut | None = None) -> HttpEventStream:
        """As `relayed_events`."""
        return relayed_events(self, answer, call, mark=mark, cut=cut)


def original_of(call: Call) -> Original:
    """The request of `call` as its caller wrote it."""
    if call.original is None:
        raise RuntimeError("this call is not to be relayed: it has no original")
    return call.original


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────


def members_for(how: Relaying, request: Request, call: Call, *, mark: str) -> dict[str, Raw]:
    """What the body is made of that goes to the upstream of that mark: what the caller wrote, but for the
    model and what was changed.

    Raises: InvalidRequest for one that is no object; Unsupported where a change has no place in it; what
        `how.write` raises for a change that the upstream cannot take.
    """
    original = original_of(call)
    if original.opaque is not None:
        given = rewriting.members(original.opaque(original.body, mark))
    elif original.members is not None:
        given = dict(original.members)
    else:
        given = rewriting.members(original.body)
    if given is None:
        raise InvalidRequest("the body is not a JSON object")
    given["model"] = rewriting.written(call.model)
    if request is not original.request:
        before, after, begin = _told_apart(original.request, request)
        if original.opaque is not None:
            before, after = (for_maker(each, mark) for each in (before, after))
        beginnings = _CONVERSATIONS if begin else ()
        _change(given, how.write(before), how.write(after), how.synonyms, beginnings)
    if how.configured is not None:
        rewriting.fill(given, *_configured(how.write, how.configured, request))
    return given


def _configured(
    write: Callable[[Any], Body], configured: Callable[[Any], Body], request: Request
) -> tuple[Body, Body]:
    """What is written of a request, and what with what the configuration adds; its messages do not matter."""
    blank = _blank(request)
    if isinstance(request, ChatRequest):
        try:
            lean = replace(request, messages=_SOMETHING)
            return write(lean), configured(lean)
        except CallError:  # there is something in it that we would not write, and that the caller did
            pass
    return write(blank), configured(blank)


def _change(
    given: dict[str, Raw],
    before: Body,
    after: Body,
    synonyms: Sequence[Sequence[str]],
    beginnings: Collection[str],
) -> None:
    for names in synonyms:
        spelled = next((name for name in names if bytes(given.get(name, _NULL)) != _NULL), None)
        before, after = (_spelled(body, names, spelled) for body in (before, after))
        for other in set(names) - {spelled}:
            given.pop(other, None)  # it would say another value still, even where the one we read is right
    try:
        rewriting.change(given, before, after, beginnings=beginnings)
    except rewriting.BeginsOtherwise:
        raise Unsupported("the system prompt of this body does not stand where it could be changed") from None


def _spelled(body: Body, names: Sequence[str], spelled: str | None) -> Body:
    """`body` with the one of `names` that it has as the caller spelled it."""
    ours = next((name for name in names if name in body), None)
    if spelled is None or ours is None or ours == spelled:
        return body
    return {(spelled if name == ours else name): value for name, value in body.items()}


_NULL = b"null"


_TOGETHER = {"tool_choice", "parallel_tool_calls"}
"""Options that are written only where there are tools."""


_CONVERSATIONS = frozenset({"messages", "input"})
"""The members that wires have for messages."""


def _told_apart(before: Any, after: Any) -> tuple[Any, Any, bool]:
    """Two requests that differ in what these differ in, and say nothing else; whether their messages are but
    the beginnings of those.

    So what is the same costs nothing, and cannot be in the way because we would not write it.
    """
    if type(before) is not type(after):
        return before, after, False
    changed = {name for name in before.__struct_fields__ if name != "model" and _differ(before, after, name)}
    if changed & _TOGETHER:
        changed.add("tools")
    blank = _blank(after)
    told = [replace(blank, **{name: getattr(each, name) for name in changed}) for each in (before, after)]
    prompts = _other_prompts(before, after) if "messages" in changed else None
    if prompts is not None:
        told = [
            replace(each, messages=(*said, *_SOMETHING)) for each, said in zip(told, prompts, strict=True)
        ]
    return told[0], told[1], prompts is not None


def _other_prompts(before: ChatRequest, after: ChatRequest) -> tuple[Sequence[Message], ...] | None:
    """The system messages that both begin with, where what follows is the same; else None."""
    said, rest = zip(*(_parted(each.messages) for each in (before, after)), strict=True)
    return said if rest[0] == rest[1] else None


def _parted(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    from pointsman.requests.amendments import leading_systems  # hardly any messages are changed on their way

    systems = leading_systems([each.role for each in messages])
    return tuple(messages[:systems]), tuple(messages[systems:])


def _differ(before: Any, after: Any, name: str) -> bool:
    old, new = getattr(before, name), getattr(after, name)
    return old is not new and bool(old != new)


def _blank(request: Request) -> Request:
    match request:
        case ChatRequest():
            return ChatRequest(request.model, _SOMETHING)
        case GenerateRequest():
            return GenerateRequest(request.model, ".")
        case _:
            return type(request)(request.model, (".",))


_SOMETHING = (Message("user", "."),)
"""Messages that any upstream can be sent."""


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def answered(how: Relaying, content: bytes, model: str, *, mark: str) -> bytes:
    """The body of an answer with the public name of the model, and the mark on what only its maker can read.

    b"" for what is no JSON object.
    """
    given = rewriting.members(content)
    if given is None:
        return b""
    if "model" in given:
        given["model"] = rewriting.written(model)
    return rewriting.joined(Marking(mark, how.opaque).members(given) if how.opaque else given)


def quoted(content: bytes, base_url: str) -> bytes:
    """The body of an error as its caller may see it; b"" for what is no JSON object."""
    if rewriting.members(content) is None:
        return b""
    host = urlsplit(base_url).netloc.encode()
    return content.replace(base_url.encode(), b"upstream").replace(host, b"upstream") if host else content


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def relayed_events(
    how: Relaying, answer: OpenAnswer, call: Call, *, mark: str, cut: Cut | None = None
) -> HttpEventStream:
    """The events of a streamed answer, each read's after a `Relayed` with its frames, `cut` where that is to
    be.
    """
    if how.events is None:
        raise RuntimeError("this is not answered as a stream")
    framer, decoder = how.events(answer)
    end = b"\n" if how.lines else b"\n\n"
    named: Cut = Renaming(original_of(call).request.model, holder=how.holder, end=end)
    if cut is not None:
        named = _after(cut, named)
    marking = Marking(mark, how.opaque) if how.opaque else None
    frames = RelayedFrames(framer, decoder, named, marking, end=end, ends=how.ends)
    return HttpEventStream(answer, WholeFrames(end), frames)


def _after(first: Cut, second: Cut) -> Cut:
    return lambda whole: second(first(whole))

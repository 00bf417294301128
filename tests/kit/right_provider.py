"""Providers that are right, and unusual."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from xml.etree import ElementTree

import msgspec
from hand import Hand
from pydantic import BaseModel, ConfigDict, Field
from toys import (
    OPTIONS,
    USAGE,
    Toy,
    ToyDecoder,
    ToySettings,
    ToyTests,
    as_object,
    options,
    usage_of,
)

from cases import right
from pointsman.plugin import (
    BadResponse,
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    ContentFiltered,
    EmbedRequest,
    EmbedResponse,
    Endpoint,
    EventStream,
    Finished,
    HttpEventStream,
    ModelInfo,
    Provider,
    ProviderContext,
    ProviderFactory,
    Secret,
    SseEvent,
    SseFramer,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Truncated,
    Usage,
    UsageUpdate,
    check_vectors,
    json_or_none,
)
from pointsman.testing import CannedReply
from pointsman.testing.contract import CannedChat, CannedEmbeddings, CannedError, CannedModels, CannedStream
from pointsman_openai import OpenAIProvider, OpenAISettings


@right("By way of HttpProvider, as the page shows it.")
class Plain(Toy):
    pass


@right("By hand, over the client that each call brings.")
class ByHand(Hand):
    pass


# ── other wires ──────────────────────────────────────────────────────────────────────────────────────


class OtherWire(Toy):
    """Reads and writes something else than JSON; chats alone."""

    def written(self, value: dict[str, Any]) -> bytes:
        raise NotImplementedError

    def read(self, content: bytes) -> dict[str, Any]:
        raise NotImplementedError

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        body = self.written(self.body(request, call, stream=False))
        _, content = await self.fetch("/chat", body, call)
        return self.response(as_object(self.read(content)))

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        body = self.written(self.body(request, call, stream=True))
        answer = await self.send("/chat", body, call)
        return HttpEventStream(answer, self.framer(), self.decoder())


class OtherTests(ToyTests):
    stream_tools = mid_stream_error = generate_ok = embed_ok = models_ok = None
    more_ok = ()
    finish_words: ClassVar = {}
    probe_ok = CannedReply(200, b"")
    stream_ok: Any = None

    @classmethod
    def offering(cls, provider: Any) -> dict[str, Any]:
        return {"factory": ProviderFactory("toy", ToySettings, provider)}


class ChatsOnly(OtherWire):
    """Whole answers and no streams, nor models."""

    tried_by = OtherTests
    generate = Provider.generate
    embed = Provider.embed
    models = Provider.models

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        return await Provider.stream(self, request, call)

    async def probe(self) -> None:
        await self.exchange("GET", "/health")


@right(
    "It speaks XML.",
    chat_ok=CannedChat(
        body=b"<answer why='end' in='5' out='3'>The sky &amp; all</answer>", text="The sky & all", usage=USAGE
    ),
)
class Xml(ChatsOnly):
    def written(self, value: dict[str, Any]) -> bytes:
        return ElementTree.tostring(self.element("chat", value))

    def element(self, name: str, value: Any) -> ElementTree.Element:
        made = ElementTree.Element("e", {"n": name})
        if isinstance(value, Mapping):
            made.extend(self.element(key, each) for key, each in value.items())
        elif isinstance(value, list | tuple):
            made.extend(self.element("", each) for each in value)
        else:
            made.text = value if isinstance(value, str) else json.dumps(value)
        return made

    def read(self, content: bytes) -> Any:
        try:
            root = ElementTree.fromstring(content)
            tokens = [int(root.attrib["in"]), int(root.attrib["out"])]
            return {"text": root.text or "", "why": root.attrib["why"], "tokens": tokens}
        except (ElementTree.ParseError, KeyError, ValueError, RecursionError):
            raise BadResponse("the answer is no XML of ours") from None


PACKED = msgspec.msgpack.encode({"text": "The sky is blue", "why": "end", "tokens": [5, 3]})


@right("It speaks a binary wire.", chat_ok=CannedChat(body=PACKED, text="The sky is blue", usage=USAGE))
class Packed(ChatsOnly):
    def written(self, value: dict[str, Any]) -> bytes:
        return msgspec.msgpack.encode(msgspec.to_builtins(value))

    def read(self, content: bytes) -> Any:
        try:
            return msgspec.msgpack.decode(content)
        except (msgspec.DecodeError, RecursionError, ValueError):
            raise BadResponse("the answer is not packed") from None


@right(
    "What it sends is packed so that nobody can look into it.",
    chat_ok=CannedChat(body=zlib.compress(PACKED), text="The sky is blue", usage=USAGE),
)
class Hidden(Packed):
    def written(self, value: dict[str, Any]) -> bytes:
        return zlib.compress(super().written(value))

    def read(self, content: bytes) -> Any:
        try:
            return super().read(zlib.decompress(content))
        except zlib.error:
            raise BadResponse("the answer is not packed") from None


@right("What it sends is compressed, and says so.", chat_ok=ToyTests.chat_ok)
class Compressed(ChatsOnly):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        return await super().fetch(path, body, call, headers={"content-encoding": "gzip"})

    def written(self, value: dict[str, Any]) -> bytes:
        return gzip.compress(json.dumps(msgspec.to_builtins(value)).encode(), mtime=0)

    def read(self, content: bytes) -> Any:
        return json_or_none(content)


@right(
    "An answer is a list.",
    chat_ok=CannedChat(body=b'["The sky is blue","end",5,3]', text="The sky is blue", usage=USAGE),
)
class Lists(ChatsOnly):
    def written(self, value: dict[str, Any]) -> bytes:
        return json.dumps(msgspec.to_builtins(value)).encode()

    def read(self, content: bytes) -> Any:
        match json_or_none(content):
            case [str(text), str(why), int(read), int(wrote)]:
                return {"text": text, "why": why, "tokens": [read, wrote]}
        raise BadResponse("the answer is not four things")


@right(
    "An answer is plain text, and its length stands in a header.",
    chat_ok=CannedChat(
        body=b"The sky is blue",
        headers={"x-length": "15", "x-in": "5", "x-out": "3"},
        text="The sky is blue",
        usage=USAGE,
    ),
)
class PlainText(ChatsOnly):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        answer, content = await self.fetch("/chat", self.body(request, call, stream=False), call)
        try:
            length, read, wrote = (int(answer.headers[f"x-{each}"]) for each in ("length", "in", "out"))
        except (KeyError, ValueError):
            raise BadResponse("the answer does not say how long it is") from None
        text = content.decode("utf-8", "replace")
        if length != len(content) or not text:
            raise Truncated("the answer is not as long as it says")
        return ChatResponse(text=text, usage=Usage(prompt=read, completion=wrote))


@right(
    "What it is answered is compressed.",
    chat_ok=CannedChat(
        body=gzip.compress(b'{"text":"The sky is blue","why":"end","tokens":[5,3]}', mtime=0),
        headers={"content-encoding": "gzip"},
        text="The sky is blue",
        usage=USAGE,
    ),
)
class Answers(ChatsOnly):
    def written(self, value: dict[str, Any]) -> bytes:
        return json.dumps(msgspec.to_builtins(value)).encode()

    def read(self, content: bytes) -> Any:
        return json_or_none(content)


@right(
    "What it costs stands in headers alone.",
    chat_ok=CannedChat(
        body=b'{"text":"The sky is blue","why":"end"}',
        headers={"x-in": "5", "x-out": "3"},
        text="The sky is blue",
        usage=USAGE,
    ),
)
class CostsInHeaders(ChatsOnly):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        answer, content = await self.fetch("/chat", self.body(request, call, stream=False), call)
        counted = [self.number(answer.headers.get(name, "")) for name in ("x-in", "x-out")]
        return self.response({**as_object(json_or_none(content)), "tokens": counted})

    def number(self, text: str) -> int | None:
        return int(text) if text.isdigit() and len(text) < 10 else None


# ── other streams ────────────────────────────────────────────────────────────────────────────────────


class Prefixed:
    """Frames of a length in four bytes, and so many bytes of JSON."""

    def __init__(self) -> None:
        self.left = b""

    def feed(self, data: bytes, /) -> list[SseEvent]:
        self.left += data
        frames = []
        while len(self.left) >= 4 and len(self.left) >= 4 + (size := struct.unpack(">I", self.left[:4])[0]):
            if size > 1 << 20:
                raise BadResponse("a frame is too long")
            frames.append(SseEvent("", self.left[4 : 4 + size]))
            self.left = self.left[4 + size :]
        if len(self.left) >= 4 and struct.unpack(">I", self.left[:4])[0] > 1 << 20:
            raise BadResponse("a frame is too long")
        return frames

    def close(self) -> list[SseEvent]:
        return []


def prefixed(*lines: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(line)) + line for line in lines)


TOY_LINES = (b'{"text":"The"}', b'{"text":" heaven"}', b'{"why":"cut","tokens":[5,3]}')


class StreamTests(OtherTests):
    chat_ok: Any = None


class StreamsOnly(ChatsOnly):
    """Streams and no whole answers; what differs is the framing."""

    tried_by = StreamTests

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return await Provider.chat(self, request, call)

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        answer = await self.send("/chat", self.body(request, call, stream=True), call)
        return HttpEventStream(answer, self.framer(), self.decoder())


def streamed(body: bytes, end: bytes = b'"why"', **more: Any) -> CannedStream:
    said: dict[str, Any] = {"text": "The heaven", "finish_reason": "length", "usage": USAGE, **more}
    return CannedStream(body=body, end=end, **said)


@right("Each frame of its streams begins with its length.", stream_ok=streamed(prefixed(*TOY_LINES)))
class LengthPrefixed(StreamsOnly):
    framer = Prefixed


class Opcodes:
    """Frames as of a web socket: what it is, its length in two bytes, the data; masked by nobody."""

    def __init__(self) -> None:
        self.left = b""

    def feed(self, data: bytes, /) -> list[SseEvent]:
        self.left += data
        frames = []
        while len(self.left) >= 3 and len(self.left) >= 3 + (size := struct.unpack(">H", self.left[1:3])[0]):
            frames.append(SseEvent(str(self.left[0]), self.left[3 : 3 + size]))
            self.left = self.left[3 + size :]
        return frames

    def close(self) -> list[SseEvent]:
        return []


def opcoded(*frames: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack(">BH", kind, len(data)) + data for kind, data in frames)


@right(
    "Its streams are framed as those of a web socket, with pings and a close.",
    stream_ok=streamed(
        opcoded(
            (1, TOY_LINES[0]),
            (9, b"ping"),
            (1, TOY_LINES[1]),
            (1, b'{"tokens":[5,3],"because":"cut"}'),
            (8, b"bye"),
        ),
        end=b"bye",
    ),
)
class LikeAWebSocket(StreamsOnly):
    framer = Opcodes

    class decoder(ToyDecoder):
        last: ClassVar[dict[str, Any]] = {}

        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            match frame.event:
                case "1":
                    line = as_object(json_or_none(frame.data))
                    if "because" in line:
                        self.said = {"why": line["because"], "tokens": line.get("tokens")}
                        return []
                    return super().decode(frame)
                case "8":
                    said = getattr(self, "said", None)
                    if said is None or not isinstance(said["why"], str):
                        raise BadResponse("it closes before it says why")
                    self.done = True
                    return [UsageUpdate(usage_of(said)), self.finished(said)]
                case _:
                    return []


@right(
    "Its streams are server-sent events with names, comments and signs of life.",
    stream_ok=streamed(
        b': hello\n\nevent: delta\ndata: {"text":"The"}\n\nevent: ping\ndata: {}\n\nevent: delta\n'
        b'data: {"text":" heaven"}\n\nevent: end\ndata: {"why":"cut","tokens":[5,3]}\n\n'
    ),
)
class NamedEvents(StreamsOnly):
    framer = SseFramer

    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            return [] if frame.event == "ping" else super().decode(frame)


@right(
    "Its streams do not say what they cost.",
    stream_ok=streamed(b'{"text":"The heaven"}\n{"why":"cut"}\n', usage=Usage()),
)
class FreeStreams(StreamsOnly):
    framer = Toy.framer


@right(
    "A stream comes in one piece, with all that there is to say.",
    stream_ok=streamed(b'{"text":"The heaven","why":"cut","tokens":[5,3]}\n'),
)
class OnePiece(StreamsOnly):
    framer = Toy.framer

    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            line = as_object(json_or_none(frame.data))
            text = line.get("text")
            before = [TextDelta(text)] if isinstance(text, str) and text else []
            return [*before, *super().decode(frame)] if "why" in line else super().decode(frame)


@right(
    "All calls of tools come in one piece, as objects, after the text.",
    stream_ok=streamed(b'{"text":"The heaven"}\n{"why":"cut","tokens":[5,3]}\n'),
    stream_tools=CannedStream(
        body=b'{"text":"Let me see"}\n{"calls":[["weather",{"city":"Paris"}],["time",{}]],"why":"tool"}\n',
        end=b'"why"',
        text="Let me see",
        finish_reason="tool_calls",
        tool_calls=(ToolCall("", "weather", '{"city":"Paris"}'), ToolCall("", "time", "{}", 1)),
    ),
)
class CallsAtOnce(StreamsOnly):
    framer = Toy.framer

    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            line = as_object(json_or_none(frame.data))
            calls = line.get("calls")
            made: list[StreamEvent] = []
            for n, call in enumerate(calls if isinstance(calls, list) else []):
                match call:
                    case [str(name), dict(arguments)] if name:
                        made.append(ToolCallDelta(n, f"call_{n}", name, json.dumps(arguments)))
                    case _:
                        raise BadResponse("a call is a name and arguments")
            return [*made, *super().decode(frame)]


class UnderneathTests(ToyTests):
    chat_ok = CannedChat(body=ToyTests.stream_ok.body, text="The heaven", finish_reason="length", usage=USAGE)
    more_ok = ()


@right("It asks for a stream where a whole answer is wanted, and puts it together.")
class StreamsUnderneath(Toy):
    tried_by = UnderneathTests

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        answer = await self.send("/chat", self.body(request, call, stream=True), call, timely=False)
        return await HttpEventStream(answer, self.framer(), self.decoder()).whole()


# ── what it can do ───────────────────────────────────────────────────────────────────────────────────


class VectorsTests(OtherTests):
    chat_ok: Any = None
    embed_ok = CannedEmbeddings(
        body=b'{"data":[[1,[2,3]],[0,[0.5,1]]],"tokens":[7]}',
        texts=("one", "two"),
        vectors=((0.5, 1.0), (2.0, 3.0)),
        usage=Usage(prompt=7),
    )


@right("It gives vectors and nothing else, and puts them in order.")
class VectorsOnly(ChatsOnly):
    tried_by = VectorsTests

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return await Provider.chat(self, request, call)

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        self.takes_only(request, "extra")
        _, content = await self.fetch("/embed", self.embed_body(request, call), call)
        value = as_object(json_or_none(content))
        by_place: dict[int, list[float]] = {}
        data = value.get("data")
        for each in data if isinstance(data, list) else []:
            match each:
                case [int(n), list(vector)]:
                    by_place[n] = vector
        if sorted(by_place) != [*range(len(request.texts))]:
            raise BadResponse("not every text has its vector")
        vectors = [by_place[n] for n in range(len(request.texts))]
        check_vectors(vectors, None)
        return EmbedResponse(vectors, usage_of(value), raw=value)


@right("It takes no option at all.", chat_ok=ToyTests.chat_ok, stream_ok=ToyTests.stream_ok)
class Bare(ChatsOnly):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return await Toy.chat(self, request, call)

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        return await Toy.stream(self, request, call)

    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        self.takes_only(request)
        said = [[each.role, each.text] for each in request.messages]
        return {"model": call.model, "said": said, "stream": stream}


@right("It takes one message of the user, as many servers of small models do.", chat_ok=ToyTests.chat_ok)
class OneMessage(ChatsOnly):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return await Toy.chat(self, request, call)

    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        self.takes_only(request, *OPTIONS, "extra")
        if len(request.messages) > 1 or request.messages[0].role != "user":
            raise self._unsupported("a conversation")
        return {"model": call.model, "prompt": request.messages[0].text, **options(request), **request.extra}


@right("Its temperature goes from 0 to 100.")
class Percent(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        if "temperature" in body:
            body["temperature"] = round(body["temperature"] * 50)
        return body


def number_of(why: Any) -> Any:
    return {0: "stop", 1: "length", 2: "tool_calls"}.get(why, "other") if type(why) is int else "other"


class NumberedTests(ToyTests):
    chat_ok = CannedChat(body=b'{"text":"The sky is blue","why":0}', text="The sky is blue")
    stream_ok = streamed(b'{"text":"The heaven"}\n{"why":1,"tokens":[5,3]}\n')
    stream_tools = mid_stream_error = None
    more_ok = (CannedChat(body=b'{"text":"a","why":7}', text="a", finish_reason="other"),)
    generate_ok = CannedChat(body=b'{"text":" is blue","why":1}', text=" is blue", finish_reason="length")
    finish_words: ClassVar = {b'"why":0': "stop", b'"why":1': "length", b'"why":2': "tool_calls"}


@right("Its reasons for the end of an answer are numbers.")
class Numbered(Toy):
    tried_by = NumberedTests

    class decoder(ToyDecoder):
        def finished(self, line: dict[str, Any]) -> Finished:
            return Finished(number_of(line["why"]), str(line["why"]))

    def response(self, value: dict[str, Any]) -> ChatResponse:
        text, why = value.get("text"), value.get("why")
        if not isinstance(text, str) or type(why) is not int:
            raise BadResponse("the answer has no text, or does not say why it ends")
        return ChatResponse(text=text, finish_reason=number_of(why), usage=usage_of(value))


# ── settings, credentials, errors ────────────────────────────────────────────────────────────────────


@right("Its credential goes into a header of its own, in lower case.")
class OwnHeader(Toy):
    def make_endpoint(self) -> Endpoint:
        return Endpoint(super().make_endpoint().base_url, authorize=lambda key: {"x-toy-key": f"Key {key}"})


class AliasedSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=False)

    keep_alive: str = Field("5m", alias="keepAlive")
    voices: dict[str, list[str]] = Field(default_factory=dict, alias="voiceTable")
    api_secret: Secret | None = Field(None, alias="apiSecret")


class AliasedTests(ToyTests):
    @classmethod
    def offering(cls, provider: Any) -> dict[str, Any]:
        return {"factory": ProviderFactory("toy", AliasedSettings, provider)}


@right(
    "Its settings have other names in a configuration than in Python, and one is a secret.",
    settings={"keepAlive": "10m", "voiceTable": {"a": ["b"]}, "apiSecret": "s-12345678"},
)
class Aliased(Toy):
    tried_by = AliasedTests

    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**super().body(request, call, stream=stream), "keep": self.context.settings.keep_alive}


@right(
    "Its upstream says with 422 that a policy refused.",
    statuses={422: ContentFiltered},
    errors=(CannedError(status=422, body=b'{"error":"not this"}', kind=ContentFiltered),),
)
class OwnTable(Toy):
    def error_of(self, answer: Any, content: bytes, *, model: str = "") -> CallError:
        error = super().error_of(answer, content, model=model)
        return ContentFiltered(error.message, status=422) if answer.status == 422 else error


@right("Its deployments have options of their own.", options={"voice": {"name": "alto"}})
class WithOptions(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**super().body(request, call, stream=stream), "voice": dict(call.options["voice"])}


# ── what it keeps ────────────────────────────────────────────────────────────────────────────────────


@right("It keeps the hundred texts that it wrote last.")
class Bounded(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.kept: dict[str, str] = {}

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        text = "".join(each.text for each in request.messages)
        self.kept[text] = call.request_id
        while len(self.kept) > 30:
            del self.kept[next(iter(self.kept))]
        return await super().chat(request, call)


@right("It remembers its models, and is asked for its health elsewhere.", probe_ok=CannedReply(200, b"fine"))
class Remembers(Toy):
    known: Any = None

    async def models(self) -> Sequence[ModelInfo]:
        if self.known is None:
            self.known = tuple(await super().models())
        return self.known

    async def probe(self) -> None:
        await self.exchange("GET", "/health")


@right("A task of its own counts the time from the first call to its end.")
class WithATask(Toy):
    task: Any = None

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        if self.task is None:
            self.task = asyncio.create_task(asyncio.sleep(86_400))
        return await super().chat(request, call)

    async def aclose(self) -> None:
        await super().aclose()
        task, self.task = self.task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


# ── without an endpoint, and by OpenAI's API ─────────────────────────────────────────────────────────


class Letters(EventStream):
    upstream_request_id = ""

    def __init__(self, text: str) -> None:
        self.events: Iterator[StreamEvent] = iter([*map(TextDelta, text), Finished("stop")])

    async def next(self, until: float) -> list[StreamEvent] | None:
        event = next(self.events, None)
        return None if event is None else [event]

    def abort(self) -> None:
        self.events = iter(())

    async def aclose(self) -> None:
        self.events = iter(())


class LocalTests(OtherTests):
    request = ChatRequest("public", (ToyTests.request.messages[0],))
    chat_ok = CannedChat(body=b"", text=ToyTests.request.messages[0].text[::-1])
    stream_ok = CannedStream(body=b".", end=b".", text=ToyTests.request.messages[0].text[::-1])
    probe_ok = None
    errors = ()


@right("It answers in the process, and calls nobody.")
class Backwards(Provider):
    tried_by = LocalTests

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.takes_only(request)
        return ChatResponse(text=request.messages[-1].text[::-1])

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        self.takes_only(request)
        return Letters(request.messages[-1].text[::-1])


OPENAI = b'{"choices":[{"message":{"content":"The sky is blue"},"finish_reason":"stop"}]}'
OPENAI_STREAM = (
    b'data: {"choices":[{"delta":{"content":"The"}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":" heaven"}}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\ndata: [DONE]\n\n'
)


class CompatibleTests(OtherTests):
    chat_ok = CannedChat(body=OPENAI, text="The sky is blue")
    stream_ok = CannedStream(
        body=OPENAI_STREAM, end=b'"finish_reason":"length"', text="The heaven", finish_reason="length"
    )
    finish_words: ClassVar = {b'"stop"': "stop", b'"length"': "length", b'"content_filter"': "content_filter"}
    generate_ok = CannedChat(
        body=b'{"choices":[{"text":" is blue","finish_reason":"length"}]}',
        text=" is blue",
        finish_reason="length",
    )
    embed_ok = CannedEmbeddings(
        body=b'{"data":[{"index":1,"embedding":[2,3]},{"index":0,"embedding":[0.5,1]}],"usage":{"prompt_tokens":7}}',
        texts=("one", "two"),
        vectors=((0.5, 1.0), (2.0, 3.0)),
        usage=Usage(prompt=7),
    )
    models_ok = CannedModels(body=b'{"data":[{"id":"small"},{"id":"large"}]}', ids=("small", "large"))
    probe_ok = None

    @classmethod
    def offering(cls, provider: Any) -> dict[str, Any]:
        return {"factory": ProviderFactory("acme", OpenAISettings, provider)}


@right("It speaks OpenAI's API, and knows an address and some quirks.")
class Acme(OpenAIProvider):
    tried_by = CompatibleTests
    default_base_url = "https://api.acme.test/v1"
    server = "Acme"
    quirks: ClassVar = {"max_tokens_field": "max_tokens", "files": False}


@right("It speaks OpenAI's API, and adds to each body.", finish_words={})
class AcmeWithMore(OpenAIProvider):
    tried_by = CompatibleTests
    server = "Acme"

    def chat_body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**super().chat_body(request, call, stream=stream), "cache_prompt": True}

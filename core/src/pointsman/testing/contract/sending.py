"""What a provider owes the router about what it sends."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from msgspec.structs import replace

from pointsman.errors import CallError, Unsupported
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import Bench
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import ProviderSubject, Way
from pointsman.types import (
    Audio,
    ChatRequest,
    EmbedRequest,
    File,
    GenerateRequest,
    Image,
    Message,
    ResponseFormat,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)

_SCHEMA = {"type": "object", "properties": {"canaryfield": {"type": "string"}}}
_OTHER_SCHEMA = {"type": "object", "properties": {"canaryother": {"type": "string"}}}
_TOOLS = (Tool("canarytool"), Tool("canaryother"))
# Two values of each, so near to each other that what is rounded, cut or bounded on the way shows.
_OPTIONS: dict[str, tuple[Any, ...]] = {
    "temperature": (0.3, 0.4),
    "top_p": (0.3, 0.4),
    "top_k": (37, 38),
    "min_p": (0.03, 0.04),
    "max_tokens": (1177, 1178),
    "stop": (("canarystop",), ("canarystop", "canaryother")),
    "seed": (918273, 918274),
    "presence_penalty": (0.3, 0.4),
    "frequency_penalty": (0.3, 0.4),
    "repeat_penalty": (1.3, 1.4),
    "logit_bias": ({"717": 1.0}, {"718": 1.0}),
    "logprobs": (True,),
    "reasoning_effort": ("none", "high"),
    "response_format": (
        ResponseFormat("json"),
        ResponseFormat("schema", _SCHEMA),
        ResponseFormat("schema", _OTHER_SCHEMA),
    ),
}
_TOOL_OPTIONS: dict[str, tuple[Any, ...]] = {
    "parallel_tool_calls": (True, False),
    "tool_choice": (
        ToolChoice("auto"),
        ToolChoice("none"),
        ToolChoice("required"),
        ToolChoice("tool", "canarytool"),
        ToolChoice("tool", "canaryother"),
    ),
}
_PICTURE = b"\x89PNG\r\n\x1a\n" + b"canary of a picture \xfb\xff\x00"
_SOUND = b"RIFF\x24\x00\x00\x00WAVE" + b"canary of a sound \xfb\xff\x00"
_PAGE = b"%PDF-1.7\n% canary of a page \xfb\xff\x00"


class SendingTerms(ProviderSubject, terms=True):
    """All that a caller says is sent, or refused as `Unsupported` before anything is.

    But for labels that change no answer: `user`, `metadata`, the `name` of a message.
    """

    @rule(
        "PROVIDER-31", "A caller who asks for 100 tokens at temperature 0 gets, and pays for, something else."
    )
    @on_virtual_loop
    async def test_each_option_is_sent_or_refused(self) -> None:
        for way in self._operations():
            sent = _Sent(self, way)
            tools = {"tools": _TOOLS}
            for name, values in _OPTIONS.items():
                if name in way.request.__struct_fields__:
                    await sent.check_values(name, values)
            if isinstance(way.request, ChatRequest):
                await sent.check_values("top_logprobs", (3, 4), logprobs=True)
                for name, values in _TOOL_OPTIONS.items():
                    await sent.check_values(name, values, **tools)
            if isinstance(way.request, EmbedRequest):
                await sent.check_values("dimensions", (3, 4))

    @rule("PROVIDER-32", "The model answers a conversation that is not the caller's.")
    @on_virtual_loop
    async def test_every_message_is_sent_whole_and_in_order_or_refused(self) -> None:
        for way in self._chats():
            sent = _Sent(self, way)
            turns = ("canaryone", "canarytwo", "canarythree")
            for messages in (
                (Message.user(_ODD_TEXT),),
                (Message.system("canarysystem"), Message.user("canaryone")),
                (Message.user((Text("canaryone"), Text("canarytwo"))),),
                (Message.user(turns[0]), Message.assistant(turns[1]), Message.user(turns[2])),
            ):
                found = await sent.check_texts(messages, [each.text for each in _texts(messages)])
                if found is not None and len(messages) == len(turns):
                    places = [found.index(each.encode()) for each in turns]
                    assert places == sorted(places), f"{sent}: the messages are not sent in their order"
            one, other = Message.user("canaryone"), Message.user("canarytwo")
            said = {"messages": (one, Message.assistant("canarytwo"), one)}
            await sent.check_other("who says it", said, {"messages": (one, other, one)})
            as_system = {"messages": (Message.system("canarytwo"), one)}
            await sent.check_other("who says it", as_system, {"messages": (other, one)})

    @rule("PROVIDER-33", "The model answers without the picture, and nobody learns that it never saw it.")
    @on_virtual_loop
    async def test_whatever_else_a_message_holds_is_sent_or_refused(self) -> None:
        for way in self._chats():
            sent = _Sent(self, way)
            for part, needles in _PARTS:
                await sent.check_texts((Message.user((Text("canaryone"), part)),), needles)
            called = (ToolCall("call_canary", "canarytool", '{"a":"canarycity"}'),)
            asked = (
                Message.user("canaryone"),
                Message.assistant("", called),
                Message.tool("call_canary", "canaryresult", name="canarytool"),
            )
            needles = ("canaryone", "canarytool", "canarycity", "canaryresult")
            await sent.check_texts(asked, needles, tools=_TOOLS)

    @rule("PROVIDER-34", "The model cannot call what it was never told of, or calls it wrongly.")
    @on_virtual_loop
    async def test_tools_are_sent_whole_or_refused(self) -> None:
        for way in self._chats():
            sent = _Sent(self, way)
            tools = (Tool("canarytool", "canarydescription", _SCHEMA), Tool("canaryother"))
            needles = ("canarytool", "canarydescription", "canaryfield", "canaryother")
            await sent.check_texts((Message.user("canaryone"),), needles, tools=tools)

    @rule("PROVIDER-35", "Those who need what only this upstream knows cannot ask for it.")
    @on_virtual_loop
    async def test_what_stands_in_extra_is_sent_or_refused(self) -> None:
        for way in self._operations():
            sent = _Sent(self, way)
            await sent.check_given(
                {"extra": {"canary_extra": {"a": ["canaryvalue"]}}}, ("canary_extra", "canaryvalue")
            )
        extra = {"canary_extra": "canaryvalue"}
        for way in self._chats():
            sent = _Sent(self, way)
            for messages in (
                (Message("user", "canaryone", extra=extra),),
                (Message.user((Text("canaryone", extra=extra),)),),
            ):
                await sent.check_texts(messages, ("canaryvalue",))

    @rule("PROVIDER-36", "Another model answers than the configuration says, at another price.")
    @on_virtual_loop
    async def test_the_model_of_the_deployment_is_asked(self) -> None:
        for way in self._operations():
            sent = _Sent(self, way)
            one = await sent.of({}, model="canary-model-1")
            assert one is not None, f"{sent}: the plain request is refused"
            other = await sent.of({}, model="canary-model-2")
            assert one != other, f"{sent}: `call.model` is not sent; it names the upstream's model"
            if sent.readable(one):
                assert _holds(one, "canary-model-1"), f"{sent}: another model is asked than `call.model`"

    @rule(
        "PROVIDER-37", "A prompt that is cut or a text that is missing gives an answer to another question."
    )
    @on_virtual_loop
    async def test_every_text_of_a_completion_and_of_embeddings_is_sent_or_refused(self) -> None:
        tried = False
        for way in self._operations():
            sent = _Sent(self, way)
            if isinstance(way.request, GenerateRequest):
                tried = True
                await sent.check_given({"prompt": _ODD_TEXT}, (_ODD_TEXT,))
                for name in ("suffix", "system"):
                    await sent.check_given({name: f"canary{name}"}, (f"canary{name}",))
                await sent.check_given({"images": (Image(_PICTURE),)}, (_PICTURE,))
            elif isinstance(way.request, EmbedRequest):
                tried = True
                texts = ("canaryone", _ODD_TEXT, "canarytwo")
                found = await sent.check_given({"texts": texts}, texts)
                if found is not None:
                    assert found.index(b"canaryone") < found.index(b"canarytwo"), (
                        f"{sent}: the texts are not sent in their order"
                    )
        if not tried:
            pytest.skip("neither generate_ok nor embed_ok is given")

    def _chats(self) -> list[Way]:
        found = [each for each in self._operations() if isinstance(each.request, ChatRequest)]
        return found or pytest.skip("neither chat_ok nor stream_ok is given")


_ODD_TEXT = 'canaryodd "two"  \\ <b>&amp;\n\té 青い end'
_PARTS: Sequence[tuple[Any, Sequence[str | bytes]]] = (
    (Image(_PICTURE), (_PICTURE,)),
    (Image(url="https://pictures.test/canarypicture.png"), ("canarypicture",)),
    (File(_PAGE, filename="canaryname.pdf"), (_PAGE,)),
    (File(id="canary-file-id"), ("canary-file-id",)),
    (File(url="https://pages.test/canarypage.pdf"), ("canarypage",)),
    (Audio(_SOUND), (_SOUND,)),
)


class _Sent:
    """What a provider sends for requests of one way."""

    def __init__(self, subject: ProviderSubject, way: Way) -> None:
        self._way = way
        self._bench = Bench(subject, way.reply)
        self._readable: bool | None = None

    def __str__(self) -> str:
        return self._way.name

    async def of(self, given: Mapping[str, Any], *, model: str | None = None) -> bytes | None:
        """All of the request that is sent for what is `given`; None when it is refused."""
        bench = self._bench
        bench.transport.requests.clear()
        bench.transport.bodies.clear()
        request = replace(self._way.request, **given)
        call = bench.call()
        if model is not None:
            call = replace(call, model=model)
        try:
            await self._way.ask(bench, call, request)
        except Unsupported:
            if bench.transport.requests:
                return _bytes_of(bench)  # the canned answer is not one to this request
            return None
        except CallError as error:
            if not bench.transport.requests:
                raise AssertionError(
                    f"{self}: {_shown(given)} is neither sent nor refused as Unsupported, but a {error!r}"
                ) from error
        return _bytes_of(bench)

    async def check_values(self, name: str, values: Sequence[Any], **beside: Any) -> None:
        """Assert that each of the values of an option gives another request, or is refused."""
        plain, seen = await self.of(beside), dict[bytes, str]()
        for value in values:
            said = f"{name}={_shown(value)}"
            sent = await self.of({**beside, name: value})
            if sent is None:
                continue
            same = seen.get(sent)
            if same is None and sent == plain and value not in _SAID_BY_SILENCE:
                same = f"no {name} at all"
            assert same is None, f"{self}: the same is sent for {said} and {same}; {_SEND_OR_REFUSE}"
            seen[sent] = said

    async def check_other(self, what: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        """Assert that two requests that differ in `what` give two, or are refused."""
        first, second = await self.of(one), await self.of(other)
        assert first is None or first != second, (
            f"{self}: {what} makes no difference to what is sent; {_SEND_OR_REFUSE}"
        )

    async def check_texts(
        self, messages: Sequence[Message], needles: Sequence[str | bytes], **beside: Any
    ) -> bytes | None:
        """As `check_given`, for messages."""
        return await self.check_given({"messages": tuple(messages), **beside}, needles)

    async def check_given(self, given: Mapping[str, Any], needles: Sequence[str | bytes]) -> bytes | None:
        """Assert that what is `given` is refused, or sent with all of the needles.

        Returns: what was sent, where it can be looked at.
        """
        sent = await self.of(given)
        if sent is None:
            return None
        if await self._can_be_read():
            for each in needles:
                assert _holds(sent, each), (
                    f"{self}: {_shown(each)} of {_shown(given)} is not sent; {_SEND_OR_REFUSE}"
                )
            return sent
        assert sent != await self.of({}), f"{self}: {_shown(given)} makes no difference to what is sent"
        return None

    def readable(self, sent: bytes) -> bool:
        return _holds(sent, "canary-model-1") or bool(self._readable)

    async def _can_be_read(self) -> bool:
        """Whether plain text can be found in what is sent; a wire may hide it from us."""
        if self._readable is None:
            word = "canaryplain"
            field: Any = {
                ChatRequest: {"messages": (Message.user(word),)},
                GenerateRequest: {"prompt": word},
                EmbedRequest: {"texts": (word,)},
            }[type(self._way.request)]
            sent = await self.of(field)
            self._readable = sent is not None and _holds(sent, word)
        return self._readable


_SEND_OR_REFUSE = "send it, or raise Unsupported before anything is sent"
_SAID_BY_SILENCE: tuple[Any, ...] = (True, "none", ToolChoice("auto"))
"""Values that an upstream may take where nothing is said."""


def _texts(messages: Sequence[Message]) -> Iterator[Text]:
    for each in messages:
        yield from (part for part in each.parts if isinstance(part, Text))


def _bytes_of(bench: Bench) -> bytes:
    """Everything of the requests that were sent, decoded where they say how."""
    sent = []
    for each in bench.transport.requests:
        head = f"{each.method} {each.url} {each.headers.multi_items()}"
        sent += [head.encode(), _decoded(each.content, each.headers.get("content-encoding", ""))]
    return b"\n".join(sent)


def _decoded(content: bytes, encoding: str) -> bytes:
    match encoding:
        case "gzip":
            return gzip.decompress(content)
        case "deflate":
            return zlib.decompress(content)
        case _:
            return content


def _holds(sent: bytes, needle: str | bytes) -> bool:
    """Whether it stands there: as it is, as JSON or XML or in a form, or as base64."""
    if isinstance(needle, bytes):
        return any(
            each in sent for each in (needle, base64.b64encode(needle), base64.urlsafe_b64encode(needle))
        )
    forms = {
        needle,
        json.dumps(needle)[1:-1],
        json.dumps(needle, ensure_ascii=False)[1:-1],
        escape(needle),
        escape(needle, {'"': "&quot;"}),
        quote(needle, safe=""),
        quote_plus(needle),
        base64.b64encode(needle.encode()).decode(),
    }
    # Of XML also what is written in numbers, as writers of ASCII do.
    return any(each.encode() in sent for each in forms) or needle in unescape(sent.decode("utf-8", "replace"))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:120] + "…"

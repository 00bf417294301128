"""The in-process upstream whose answers go wrong; and that each fault ends in the error it should end in."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import Router, replace
from pointsman.errors import (
    AttemptTimeout,
    BadResponse,
    CallError,
    ConnectionFailed,
    DeadlineExceeded,
    IdleTimeout,
    MidStreamError,
    Overloaded,
    PluginError,
    PointsmanError,
    Truncated,
    Unavailable,
)
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.testing import CannedReply, Fault, FaultUpstream, Frames, client_for, run
from pointsman.testing.faults import FaultStep, frames_of
from pointsman.transports.factory import TransportFactory

TEXT = "héllo wörld ☀ fine"
PIECES = ["héllo ", "wörld ", "☀ ", "fine"]
WIRES = ("openai", "localai", "claude", "ollama")


@dataclass(frozen=True)
class Wire:
    """What a server of the wire sends for `TEXT`, in UTF-8 as it is."""

    name: str
    stream: bytes
    whole: bytes
    content_type: str
    frames: Frames
    opening: int  # frames before the first content

    def through(self, pieces: int) -> int:
        """The length of the stream up to and with this many pieces of text."""
        return len(b"".join(frames_of(self.stream)[: self.opening + pieces]))


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def sse(value: Any, event: str = "") -> bytes:
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + dumped(value) + b"\n\n"


def openai(name: str) -> Wire:
    def chunk(finish: str | None = None, **delta: str) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse({"id": "c1", "object": "chat.completion.chunk", "model": "x", "choices": [choice]})

    end = chunk("stop") + b"data: [DONE]\n\n"
    message = {"role": "assistant", "content": TEXT}
    return Wire(
        name,
        chunk(role="assistant", content="") + b"".join(chunk(content=each) for each in PIECES) + end,
        dumped(
            {"id": "c1", "model": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        ),
        "text/event-stream",
        Frames(end, sse({"error": {"message": "boom", "type": "server_error"}}), b": ping\n\n"),
        1,
    )


def claude() -> Wire:
    message: dict[str, Any] = {"id": "m1", "type": "message", "role": "assistant", "model": "x"}
    begun = [
        sse({"type": "message_start", "message": {**message, "content": [], "usage": {}}}, "message_start"),
        sse(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            "content_block_start",
        ),
    ]
    deltas = [
        sse(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": each}},
            "content_block_delta",
        )
        for each in PIECES
    ]
    end = sse({"type": "message_stop"}, "message_stop")
    done = [
        sse({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, "message_delta"),
        end,
    ]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}
    content = [{"type": "text", "text": TEXT}]
    return Wire(
        "claude",
        b"".join(begun + deltas + done),
        dumped({**message, "content": content, "stop_reason": "end_turn", "usage": {}}),
        "text/event-stream",
        Frames(end, sse(error, "error"), sse({"type": "ping"}, "ping")),
        2,
    )


def ollama() -> Wire:
    def line(text: str, **more: Any) -> bytes:
        message = {"role": "assistant", "content": text}
        return dumped({"model": "x", "message": message, "done": False, **more}) + b"\n"

    end = line("", done=True, done_reason="stop")
    return Wire(
        "ollama",
        b"".join(line(each) for each in PIECES) + end,
        line(TEXT, done=True, done_reason="stop"),
        "application/x-ndjson",
        Frames(end, b'{"error": "boom"}\n', line("")),
        0,
    )


HERE = {each.name: each for each in (openai("openai"), openai("localai"), claude(), ollama())}


# ── a router over it ─────────────────────────────────────────────────────────────────────────────────


class Transports(PointsmanSpec):
    """The upstreams as transports, by name."""

    def __init__(self, **upstreams: FaultUpstream) -> None:
        self.upstreams = upstreams

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [
            TransportFactory(name, None, lambda _context, upstream=upstream: upstream)
            for name, upstream in self.upstreams.items()
        ]


def upstream(wire: Wire, *script: FaultStep, streamed: bool, **more: Any) -> FaultUpstream:
    reply = CannedReply(200, wire.stream, {"content-type": wire.content_type})
    if not streamed:
        reply = CannedReply(200, wire.whole, {"content-type": "application/json"})
    return FaultUpstream(reply, *script, frames=wire.frames, **more)


def router(wire: Wire, attempts: int = 1, **upstreams: FaultUpstream) -> Router:
    providers = {
        name: {"type": wire.name, "base_url": f"http://{name}.test", "api_key": "k-1", "transport": name}
        for name in upstreams
    }
    config = {
        "providers": providers,
        "models": {"m": {"deployments": [f"{name}/x" for name in upstreams]}},
        "retry": {"type": "exponential", "attempts": attempts},
        "timeouts": {"first_token": 10, "idle": 4, "total": 100},
    }
    return Router.from_config(config, plugins=[Transports(**upstreams)], rng=random.Random(1))


@dataclass
class End:
    """How a call ended: what was delivered, the error if any, when, and what became of the connection."""

    text: str = ""
    error: PointsmanError | None = None
    seconds: float = 0.0
    released: bool = True
    in_flight: int = 0
    attempts: Sequence[str] = ()


def ended(wire: str, *faults: FaultStep, streamed: bool, attempts: int = 1) -> End:
    """One call, whose attempts go to a faulty upstream (`a`) first, and then to a sound one (`b`)."""
    given = HERE[wire]

    async def work() -> End:
        end = End()
        faulty = upstream(given, *faults, streamed=streamed)
        sound = {"b": upstream(given, streamed=streamed)} if attempts > 1 else {}
        router_ = router(given, attempts, a=faulty, **sound)
        async with router_:
            loop = asyncio.get_running_loop()
            began = loop.time()
            try:
                if streamed:
                    async with router_.stream("m", "hi", max_tokens=9) as stream:
                        async for event in stream:
                            end.text += event.text if event.kind == "text" else ""
                else:
                    end.text = (await router_.chat("m", "hi", max_tokens=9)).text
            except PointsmanError as error:
                end.error = error
            end.seconds = loop.time() - began
            end.in_flight = router_.status().in_flight
        end.released = all(body.released for body in faulty.bodies)
        end.attempts = faulty.suffered
        return end

    end = run(work())
    assert end.in_flight == 0
    assert end.released, "the connection was kept"
    return end


def step(fault: str, wire: str, *, pieces: int) -> FaultStep:
    """The fault of that name, in a stream after `pieces` pieces of text."""
    given = HERE[wire]
    length = given.through(pieces)
    frames = given.opening + pieces
    made: dict[str, FaultStep] = {
        "stall": Fault.stall_after(length),
        "ping only": Fault.ping_only(3, after=frames),
        "reset": Fault.reset_after(length),
        "cut": Fault.cut_after(length),
        "cut in a frame": Fault.cut_after(length + 20),
        "truncate": Fault.truncate_after(length),
        "truncate in a frame": Fault.truncate_after(length + 20),
        "error": Fault.error_after(frames),
        "giant line": Fault.giant_line(after=frames),
    }
    return made[fault]


LATE = ("stall", "ping only", "timeout", "drip")
"""What brings no content in time. With nowhere else to go, that is waited for to the deadline."""

BROKEN: dict[str, type[CallError]] = {
    "stall": AttemptTimeout,
    "ping only": AttemptTimeout,
    "reset": ConnectionFailed,
    "cut": Truncated,
    "cut in a frame": Truncated,
    "truncate": Truncated,
    "truncate in a frame": Truncated,
    "error": Unavailable,
    "giant line": BadResponse,
}


def kind(fault: str, wire: str) -> type[CallError]:
    return Overloaded if (fault, wire) == ("error", "claude") else BROKEN[fault]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_before_the_first_content_is_the_error_of_its_kind(wire: str, fault: str) -> None:
    end = ended(wire, step(fault, wire, pieces=0), streamed=True)

    assert isinstance(end.error, DeadlineExceeded if fault in LATE else kind(fault, wire))
    assert not isinstance(end.error, MidStreamError)
    assert end.text == ""
    if fault in LATE:
        assert end.seconds == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_before_the_first_content_is_made_good_elsewhere(wire: str, fault: str) -> None:
    end = ended(wire, step(fault, wire, pieces=0), streamed=True, attempts=2)

    assert (end.text, end.error) == (TEXT, None)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BROKEN)
def test_a_fault_after_content_ends_the_stream_once_with_what_was_delivered(wire: str, fault: str) -> None:
    end = ended(wire, step(fault, wire, pieces=2), streamed=True, attempts=2)

    assert isinstance(end.error, MidStreamError)
    assert isinstance(end.error.cause, kind(fault, wire))
    assert end.error.text == end.text == "héllo wörld "
    if fault == "stall":
        assert isinstance(end.error.cause, IdleTimeout)
        assert end.seconds == pytest.approx(4, abs=0.01)
    if fault == "ping only":  # they are signs of life, but not for ever
        assert isinstance(end.error.cause, IdleTimeout)
        assert end.seconds == pytest.approx(16, abs=0.01)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.refuse(), ConnectionFailed),
        (Fault.reset(), ConnectionFailed),
        (Fault.wrong_content_type(), BadResponse),
        (Fault.gzip_bomb(), BadResponse),
    ],
    ids=lambda given: given.name if isinstance(given, Fault) else "",
)
def test_a_fault_that_leaves_no_answer_is_the_error_of_its_kind(
    wire: str, streamed: bool, fault: Fault, error: type[CallError]
) -> None:
    end = ended(wire, fault, streamed=streamed)

    assert type(end.error) is error
    if isinstance(end.error, ConnectionFailed):
        assert end.error.sent is (fault.name != "refuse")
    assert end.seconds < 1


def test_a_whole_answer_above_the_limit_is_a_bad_response() -> None:
    end = ended("openai", Fault.giant_line(65 << 20), streamed=False)

    assert type(end.error) is BadResponse


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_an_upstream_that_never_answers_is_given_up_in_time(wire: str, streamed: bool) -> None:
    end = ended(wire, Fault.timeout(), streamed=streamed)

    assert type(end.error) is DeadlineExceeded
    assert end.seconds == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_a_body_that_drips_is_ended_by_our_timers_and_not_by_its_reads(wire: str, streamed: bool) -> None:
    end = ended(wire, Fault.drip(1), streamed=streamed)

    late = end.error.cause if isinstance(end.error, MidStreamError) else end.error
    assert type(late) is DeadlineExceeded
    assert end.seconds == pytest.approx(100, abs=0.01)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [Fault.cut_after(30), Fault.truncate_after(30), Fault.reset_after(30)])
def test_half_a_whole_answer_is_an_error(wire: str, fault: Fault) -> None:
    end = ended(wire, fault, streamed=False)

    errors = {
        "cut_after": (Truncated,),
        "truncate_after": (BadResponse, Truncated),
        "reset_after": (ConnectionFailed,),
    }
    assert type(end.error) in errors[fault.name]


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_without_its_end_marker_is_truncated_however_much_text_it_had(wire: str) -> None:
    end = ended(wire, Fault.no_terminator(), streamed=True)

    assert isinstance(end.error, MidStreamError)
    assert type(end.error.cause) is Truncated
    assert end.error.text == TEXT


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Fault.latency(3), 3),
        (Fault.bandwidth(1000), 1),
        ([Fault.latency(1), Fault.bandwidth(2000)], 1.5),
        (Fault.slices(), 0),
        (Fault.split_utf8(), 0),
        (Fault.two_terminators(), 0),
        (Fault.crlf_in_headers(), 0),
        (None, 0),
    ],
    ids=lambda given: given.name if isinstance(given, Fault) else "",
)
def test_what_does_no_harm_is_answered(wire: str, streamed: bool, fault: FaultStep, seconds: float) -> None:
    if not streamed and isinstance(fault, Fault) and fault.name == "two_terminators":
        return  # a whole answer has none

    end = ended(wire, fault, streamed=streamed)

    assert (end.text, end.error) == (TEXT, None)
    assert seconds - 1 <= end.seconds <= seconds + 1


@pytest.mark.parametrize("wire", WIRES)
def test_a_slow_close_costs_a_stream_nothing_and_a_whole_answer_its_time(wire: str) -> None:
    if (
        wire == "ollama"
    ):  # its whole answer is read as the one line of a stream, which says that it is the last
        assert ended(wire, Fault.slow_close(50), streamed=False).seconds < 0.1
        return
    stream = ended(wire, Fault.slow_close(50), streamed=True)
    whole = ended(wire, Fault.slow_close(50), streamed=False)
    never = ended(wire, Fault.slow_close(500), streamed=False)

    assert (stream.text, whole.text) == (TEXT, TEXT)
    assert stream.seconds < 0.1
    assert whole.seconds == pytest.approx(50, abs=0.01)
    assert type(never.error) is DeadlineExceeded


@pytest.mark.parametrize("wire", WIRES)
def test_a_line_break_in_a_header_injects_nothing(wire: str) -> None:
    async def work() -> tuple[str, float | None]:
        given = HERE[wire]
        refusing = FaultUpstream(CannedReply(503, b"{}"), Fault.crlf_in_headers())
        async with router(given, a=refusing) as router_:
            with pytest.raises(CallError) as caught:
                await router_.chat("m", "hi", max_tokens=9)
        return str(caught.value), caught.value.retry_after

    message, retry_after = run(work())

    assert "injected" not in message
    assert retry_after is None


# ── the upstream itself ──────────────────────────────────────────────────────────────────────────────


async def sent(transport: FaultUpstream) -> None:
    client = client_for("http://upstream.test", transport)
    await client.send("GET", "/", timeouts=client.within(5))


async def heard(transport: FaultUpstream, count: int) -> list[str]:
    client = client_for("http://upstream.test", transport)
    ends = []
    for _ in range(count):
        try:
            answer = await client.send("GET", "/", timeouts=client.within(5))
            ends.append((await answer.read()).decode())
        except CallError as error:
            ends.append(type(error).__name__)
    return ends


def test_the_script_comes_first_and_then_chance_and_what_happened_is_written_down() -> None:
    transport = FaultUpstream(
        CannedReply(200, b"fine"),
        Fault.reset(),
        None,
        [Fault.latency(1), Fault.cut_after(2)],
        faults=[Fault.refuse()],
        share=1,
    )

    ends = run(heard(transport, 5))

    assert ends == ["ConnectionFailed", "fine", "Truncated", "ConnectionFailed", "ConnectionFailed"]
    assert transport.suffered == ["reset", "", "latency+cut_after", "refuse", "refuse"]
    assert len(transport.requests) == 5


def test_a_share_of_the_requests_suffers_and_the_seed_says_which() -> None:
    def suffered(seed: int) -> list[str]:
        faults = [Fault.refuse(), Fault.reset(), [Fault.slices(), Fault.cut_after(1)]]
        transport = FaultUpstream(CannedReply(200, b"fine"), faults=faults, share=0.2, seed=seed)
        run(heard(transport, 1_000))
        return transport.suffered

    first = suffered(1)

    assert first == suffered(1)
    assert first != suffered(2)
    counts = Counter(first)
    assert 150 < 1_000 - counts[""] < 250
    assert min(counts[each] for each in ("refuse", "reset", "slices+cut_after")) > 30


def test_the_reply_may_depend_on_the_request() -> None:
    transport = FaultUpstream(lambda request: CannedReply(200, request.url.path.encode()))

    assert run(heard(transport, 1)) == ["/"]


def test_a_request_that_is_given_up_is_counted() -> None:
    transport = FaultUpstream(CannedReply(200, b"fine"), Fault.latency(60), Fault.timeout())

    assert run(heard(transport, 2)) == ["AttemptTimeout", "AttemptTimeout"]
    assert transport.cancelled == 2


def test_a_fault_that_needs_a_frame_says_so() -> None:
    for fault, name in ((Fault.error_after(1), "error"), (Fault.ping_only(1), "ping")):
        with pytest.raises(PluginError) as caught:
            run(sent(FaultUpstream(CannedReply(200, b"fine"), fault)))
        assert f"Frames({name}=" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match="above 0"):
        Fault.bandwidth(0)


def test_a_fault_of_ones_own_is_a_function() -> None:
    teapot = Fault("teapot", lambda given, _frames, _rng: replace(given, status=418))

    async def status() -> int:
        transport = FaultUpstream(CannedReply(200), teapot)
        response = await transport.handle_async_request(httpx.Request("GET", "http://upstream.test"))
        return response.status_code

    assert run(status()) == 418


@given(st.lists(st.sampled_from([b"data: x\n\n", b"a\n", b"\n", b"b"]), max_size=6).map(b"".join))
def test_the_frames_of_a_body_are_the_body(body: bytes) -> None:
    assert b"".join(frames_of(body)) == body
    assert all(frames_of(body))

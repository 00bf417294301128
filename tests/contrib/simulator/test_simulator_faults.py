"""Each fault as a client sees it on the wire, in each API."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from pointsman_simulator import Fault, Reply, Simulator

SIX = Reply(chunks=("one", " two", " three", " four", " five", " six"))


def with_fault(fault: Fault, **fields: Any) -> Reply:
    return Reply(chunks=SIX.chunks, fault=fault, **fields)


async def test_a_reset_comes_before_any_byte(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(Reply(fault=Fault.reset()))

    with pytest.raises(aiohttp.ClientConnectionError):
        await client.ask(up)

    assert up.requests[0].outcome == "faulted"


async def test_a_reset_is_a_reset_and_not_a_close(simulator: Simulator) -> None:
    up = await simulator.add("ollama")
    up.script(Reply(fault=Fault.reset()))
    request = b'{"model":"llama3.2","prompt":"x"}'
    head = f"POST /api/generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request)}\r\n\r\n"

    reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
    writer.write(head.encode() + request)

    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("fault", "outcome"), [(Fault.reset_after(2), "faulted"), (Fault.cut_after(2), "faulted")]
)
async def test_a_broken_stream_stops_after_its_events(
    simulator: Simulator, client: Any, wire: str, fault: Fault, outcome: str
) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(fault))
    received = bytearray()

    async def read() -> None:
        async with client.post(up, stream=True) as response:
            async for chunk in response.content.iter_any():
                received.extend(chunk)

    with pytest.raises(aiohttp.ClientError):
        await read()

    assert b"three" not in received
    assert up.requests[0].events_sent == 2
    assert up.requests[0].outcome == outcome


async def test_a_cut_body_is_shorter_than_announced(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(Reply(fault=Fault.cut_after(0)))

    with pytest.raises(aiohttp.ClientPayloadError):
        await client.ask(up)


async def test_a_truncated_stream_ends_cleanly_without_its_end(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(Fault.truncate_after(3)))

    got = await client.ask(up, stream=True)

    assert got.pieces() == ["one", " two", " three"]
    for end in ("[DONE]", "message_stop", '"done":true', '"finish_reason":"stop"'):
        assert end not in got.text


async def test_omitting_the_terminator_keeps_the_finish_reason(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)
    up.script(Reply(text="hi", omit_terminator=True))

    got = await client.ask(up, stream=True)

    assert "[DONE]" not in got.text
    assert "message_stop" not in got.text
    assert '"done":true' not in got.text
    if wire != "ollama":  # there the reason is part of the terminator
        assert '"stop"' in got.text or '"end_turn"' in got.text


ERROR_MARKS = {
    "claude": 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",',
    "localai": 'data: {"error":{"code":"server_error",',
    "ollama": '{"error":"server busy, please try again.  maximum pending requests exceeded"}\n',
    "openai": '"type":"service_unavailable_error","param":null,"code":"server_is_overloaded"}}\n\n',
}


@pytest.mark.parametrize("n", [0, 2])
async def test_an_error_event_comes_after_status_200(
    simulator: Simulator, client: Any, wire: str, n: int
) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(Fault.error_after(n, kind="overloaded")))

    got = await client.ask(up, stream=True)

    assert got.status == 200
    assert got.pieces() == ["one", " two"][:n]
    assert ERROR_MARKS[wire] in got.text


async def test_an_error_event_can_be_the_very_first(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(Fault.error_after(0, opening=False)))

    got = await client.ask(up, stream=True)

    assert got.text.startswith(("event: error", 'data: {"error"', '{"error"'))


async def test_localai_completions_send_their_failure_as_text(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("localai")
    up.script(with_fault(Fault.error_after(1)))

    got = await client.call(
        up, "POST", "/v1/completions", json={"model": "qwen3-4b", "prompt": "x", "stream": True}
    )

    last = got.frames()[-1]["choices"][0]
    assert last["text"].startswith("Internal error: ")
    assert last["finish_reason"] == "stop"
    assert "[DONE]" not in got.text


STATUSES = [
    # wire, code, kind, a part of the body
    ("openai", 429, None, '"code":"rate_limit_exceeded"'),
    ("openai", 429, "quota", '"type":"insufficient_quota","param":null,"code":"insufficient_quota"'),
    ("openai", 500, None, '"type":"server_error"'),
    ("openai", 503, None, '"code":"server_is_overloaded"'),
    ("openai", 401, None, '"code":"invalid_api_key"'),
    ("openai", 400, "context_length", '"code":"context_length_exceeded"'),
    ("openai", 400, "content_filter", '"code":"content_policy_violation"'),
    ("openai", 502, None, "<html>"),
    ("claude", 429, None, '"type":"rate_limit_error"'),
    ("claude", 429, "quota", '"details":{"error_code":"enforced_spend_limit_reached"}'),
    ("claude", 402, None, '"type":"billing_error"'),
    ("claude", 529, None, '"type":"overloaded_error","message":"Overloaded"}'),
    ("claude", 529, "edge", "<html>"),
    ("claude", 400, "context_length", "prompt is too long"),
    ("claude", 413, None, '"type":"request_too_large"'),
    ("claude", 403, None, '"type":"permission_error"'),
    ("ollama", 503, None, '{"error":"server busy, please try again.  maximum pending requests exceeded"}'),
    ("ollama", 500, None, '{"error":"llama-server process has terminated: signal: killed"}'),
    ("ollama", 404, None, '{"error":"model \'llama3.2\' not found"}'),
    ("ollama", 401, None, '"error":"unauthorized","signin_url"'),
    ("localai", 429, "quota", '{"error":{"code":429,"message":"quota exceeded","type":"quota_exceeded"}}'),
    ("localai", 503, None, '"code":503,"message":"backend inference capacity reached'),
    ("localai", 403, None, '"type":"model_disabled"'),
    ("localai", 500, "empty", ""),
]


@pytest.mark.parametrize(("api", "code", "kind", "part"), STATUSES)
async def test_an_http_error_has_the_body_of_its_wire(
    simulator: Simulator, client: Any, api: str, code: int, kind: str | None, part: str
) -> None:
    up = await simulator.add(api)
    up.script(Reply(fault=Fault.status(code, kind=kind)))

    got = await client.ask(up)

    assert got.status == code
    assert part in got.text
    assert (got.text == "") == (kind == "empty")


async def test_retry_after_is_sent_in_the_wires_way(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(
        Reply(fault=Fault.status(429, retry_after=1.5)),
        Reply(fault=Fault.status(429, retry_after=7)),
        Reply(fault=Fault.status(429, retry_after="Mon, 10 Aug 2026 10:00:07 GMT")),
    )

    fraction, whole, date = [(await client.ask(up)).headers for _ in range(3)]

    if wire == "openai":
        assert (fraction["retry-after"], fraction["retry-after-ms"]) == ("2", "1500")
    else:
        assert fraction["retry-after"] == "1.5"
    assert whole["retry-after"] == "7"
    assert date["retry-after"] == "Mon, 10 Aug 2026 10:00:07 GMT"


async def test_a_scripted_body_replaces_the_wires(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai")
    up.script(Reply(fault=Fault.status(418, body="short"), headers={"x-should-retry": "false"}))

    got = await client.ask(up)

    assert (got.status, got.text, got.headers["x-should-retry"]) == (418, "short", "false")


async def test_invalid_json_is_no_json(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(Fault.invalid_json()), with_fault(Fault.invalid_json()))

    whole = await client.ask(up)
    streamed = await client.ask(up, stream=True)

    for got in (whole, streamed):
        with pytest.raises(json.JSONDecodeError):
            got.frames() if got is streamed else got.json
    assert "one" in streamed.text


@pytest.mark.parametrize("stream", [False, True])
async def test_invalid_utf8_cannot_be_decoded(
    simulator: Simulator, client: Any, wire: str, stream: bool
) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(Fault.invalid_utf8()))

    got = await client.ask(up, stream=stream)

    with pytest.raises(UnicodeDecodeError):
        got.text  # noqa: B018
    assert b"\xff\xfe" in got.body


async def test_a_dripping_body_takes_its_time_and_is_right(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(Fault.drip(20_000)), with_fault(Fault.drip(20_000)))
    loop = asyncio.get_running_loop()

    started = loop.time()
    streamed = await client.ask(up, stream=True)
    took = loop.time() - started
    whole = await client.ask(up)

    assert "".join(streamed.pieces()) == "one two three four five six"
    assert took >= len(streamed.body) / 20_000 * 0.9
    assert "one two three four five six" in whole.text


async def test_a_giant_line_is_one_event(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(Reply(fault=Fault.giant_line(300_000)))

    got = await client.ask(up, stream=True)

    assert got.pieces() == ["x" * 300_000]


async def test_a_wrong_content_type_keeps_or_replaces_the_body(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)
    page = "<html>login</html>"
    up.script(
        Reply(text="hi", fault=Fault.wrong_content_type()), Reply(fault=Fault.wrong_content_type(body=page))
    )

    kept = await client.ask(up, stream=True)
    replaced = await client.ask(up)

    assert kept.headers["content-type"] == replaced.headers["content-type"] == "text/html; charset=utf-8"
    assert kept.pieces() == ["hi"]
    assert replaced.text == page


async def test_a_redirect_names_its_target(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(Reply(fault=Fault.redirect("http://127.0.0.1:9/elsewhere")))

    got = await client.ask(up)

    assert (got.status, got.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")


async def test_loading_is_an_answer_at_localai_and_a_wait_at_ollama(
    simulator: Simulator, client: Any
) -> None:
    localai, ollama = await simulator.add("localai"), await simulator.add("ollama")
    localai.script(Reply(fault=Fault.loading(12)))
    ollama.script(Reply(text="hi", fault=Fault.loading(0.05)))

    refused = await client.ask(localai)
    waited = await client.ask(ollama)

    assert (refused.status, refused.headers["retry-after"]) == (503, "12")
    assert refused.json["error"]["code"] == "model_loading"
    assert refused.json["loading"]["eta_seconds"] == 12
    assert waited.json["load_duration"] == 50_000_000


@pytest.mark.parametrize("fault", [Fault.stall(), Fault.stall_after(2)])
async def test_a_stalled_request_lasts_until_the_client_leaves(
    simulator: Simulator, client: Any, wire: str, fault: Fault
) -> None:
    up = await simulator.add(wire)
    up.script(with_fault(fault))
    task = asyncio.create_task(client.ask(up, stream=True))
    record = await up.arrived()
    assert up.in_flight == 1

    task.cancel()
    await asyncio.wait_for(record.ended.wait(), 5)

    assert record.outcome == "aborted by client"
    assert up.in_flight == 0


async def test_split_bytes_cut_characters_and_change_nothing(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)
    text = "Grüße, 世界 🚂"
    up.script(Reply(text=text, split_bytes=1), Reply(text=text, split_bytes=3))
    parts = []

    async with client.post(up, stream=True) as response:
        async for data, _ in response.content.iter_chunks():
            parts.append(data)
    whole = await client.ask(up)

    assert max(map(len, parts)) == 1
    assert "🚂" in b"".join(parts).decode()
    assert text in whole.text


async def test_pings_come_before_the_first_content(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(Reply(text="hi", pings=3))

    got = await client.ask(up, stream=True)

    mark = {"claude": "event: ping\n", "ollama": '"content":""},"done":false'}.get(wire, ": ping\n\n")
    assert got.text.count(mark) == 3
    assert got.text.rindex(mark) < got.text.index("hi")

"""What each wire says when all goes well, and what it refuses."""

import base64
import json
import struct
from typing import Any

import pytest

from pointsman_simulator import Reply, Simulator, Usage

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            },
        },
    }
]
WEATHER = Reply(text="Let me see", tool_calls=(("get_weather", {"city": "Paris"}), ("get_time", {})))


async def test_a_scripted_text_is_said_whole_and_in_pieces(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)
    up.script(
        Reply(text="The sky is blue"), Reply(text="The sky is blue"), Reply(text="The sky is blue", chunks=2)
    )

    whole = await client.ask(up)
    streamed = await client.ask(up, stream=True)
    halved = await client.ask(up, stream=True)

    assert "The sky is blue" in whole.text
    assert streamed.pieces() == ["The", " sky", " is", " blue"]
    assert halved.pieces() == ["The sky", " is blue"]


async def test_generated_text_is_the_same_streamed_or_not(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)

    streamed = await client.ask(up, stream=True)
    whole = await client.ask(up)
    other = await client.ask(up, stream=True, question="Another one?")

    text = "".join(streamed.pieces())
    assert len(text.split()) >= 8
    assert json.dumps(text) in whole.text
    assert other.pieces() != streamed.pieces()


async def test_a_token_limit_cuts_generated_text(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    limit: dict[str, Any] = {"options": {"num_predict": 3}} if wire == "ollama" else {"max_tokens": 3}

    got = await client.ask(up, stream=True, **limit)

    assert len(got.pieces()) == 3
    assert '"max_tokens"' in got.text or '"length"' in got.text


async def test_the_first_tool_is_called_only_when_the_script_says_so(
    simulator: Simulator, client: Any
) -> None:
    up = await simulator.add("openai")
    up.script(Reply(call_first_tool=True))

    called = await client.ask(up, tools=TOOLS)
    unscripted = await client.ask(up, tools=TOOLS)

    call = called.json["choices"][0]["message"]["tool_calls"][0]["function"]
    assert call["name"] == "get_weather"
    assert {name: type(v) for name, v in json.loads(call["arguments"]).items()} == {"city": str, "days": int}
    assert "tool_calls" not in unscripted.json["choices"][0]["message"]


async def test_openai_streams_tool_calls_in_fragments(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai")
    up.script(WEATHER)

    got = await client.ask(up, stream=True, stream_options={"include_usage": True})

    *frames, usage, done = got.frames()
    parts = [p for f in frames for p in f["choices"][0]["delta"].get("tool_calls", [])]
    first = [p for p in parts if p["index"] == 0]
    assert done == "[DONE]"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 1 + 11)
    assert all(frame["usage"] is None for frame in frames)
    assert set(first[0]) == {"index", "id", "type", "function"}
    assert all(set(part) == {"index", "function"} for part in first[1:])
    assert "".join(part["function"]["arguments"] for part in first) == '{"city":"Paris"}'
    assert frames[-1]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "tool_calls",
    }


async def test_localai_repeats_ids_and_sends_null_content(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("localai")
    up.script(Reply(reasoning="Hm", tool_calls=WEATHER.tool_calls), Reply(text="a", reasoning="Hm"))

    got = await client.ask(up, stream=True)
    whole = await client.ask(up)

    deltas = [frame["choices"][0]["delta"] for frame in got.frames()[:-1]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert [(call["index"], "name" in call["function"]) for call in calls] == [
        (0, True),
        (0, False),
        (1, True),
        (1, False),
    ]
    assert calls[0]["id"] == calls[1]["id"]
    assert all(delta["content"] is None for delta in deltas)
    assert deltas[1]["reasoning"] == "Hm"
    assert whole.json["choices"][0]["message"] == {"role": "assistant", "content": "a", "reasoning": "Hm"}


async def test_claude_blocks_open_and_close_in_order(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("claude")
    up.script(
        Reply(text="Let me", reasoning="Hm so", tool_calls=WEATHER.tool_calls, usage=Usage(10, 5, cached=4))
    )

    got = await client.ask(up, stream=True)

    frames = got.frames()
    open_block, seen = None, []
    for frame in frames[1:-2]:
        if frame["type"] == "content_block_start":
            assert open_block is None
            assert frame["index"] == len(seen)
            open_block = frame["index"]
            seen.append(frame["content_block"]["type"])
        else:
            assert frame["index"] == open_block
            if frame["type"] == "content_block_stop":
                open_block = None
    assert seen == ["thinking", "text", "tool_use", "tool_use"]
    assert open_block is None
    usage = frames[0]["message"]["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (6, 4)
    assert frames[-2]["delta"]["stop_reason"] == "tool_use"
    assert frames[-2]["usage"] == {"output_tokens": 5}
    assert [line for line in got.text.split("\n") if line == "event: message_stop"]


async def test_ollama_sends_arguments_as_objects_and_durations_in_nanoseconds(
    simulator: Simulator, client: Any
) -> None:
    up = await simulator.add("ollama")
    up.script(
        Reply(tool_calls=WEATHER.tool_calls, latency=0.01, usage=Usage(9, 4)),
        Reply(usage=Usage(9, 4, cached=9)),
    )

    got = await client.ask(up, stream=True)
    cached = await client.ask(up)

    *lines, last = got.frames()
    assert [line["message"]["tool_calls"][0]["function"] for line in lines] == [
        {"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}},
        {"index": 1, "name": "get_time", "arguments": {}},
    ]
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"]) == (9, 4)
    assert last["prompt_eval_duration"] == 10_000_000
    assert "prompt_eval_count" not in cached.json


async def test_ollama_streams_unless_told_otherwise(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama")
    body = {"model": "LLAMA3.2:latest", "prompt": "hello"}

    got = await client.call(up, "POST", "/api/generate", json=body)

    assert got.headers["content-type"] == "application/x-ndjson"
    assert len(got.frames()) > 2


async def test_usage_can_be_left_out(simulator: Simulator, client: Any, wire: str) -> None:
    up = await simulator.add(wire)
    up.script(Reply(text="hi", omit_usage=True), Reply(text="hi", omit_usage=True))

    for stream in (False, True):
        got = await client.ask(up, stream=stream)
        assert "eval_count" not in got.text
        if not stream:
            assert "usage" not in got.text


EMBEDDINGS = [
    ("openai", "/embeddings", "input"),
    ("localai", "/embeddings", "input"),
    ("localai", "/v1/embeddings", "input"),
    ("ollama", "/api/embed", "input"),
]


@pytest.mark.parametrize(("api", "path", "field"), EMBEDDINGS)
async def test_embeddings_have_length_one_and_come_in_order(
    simulator: Simulator, client: Any, api: str, path: str, field: str
) -> None:
    up = await simulator.add(api, default=Reply(dim=5))
    model = next(iter(up.site.models))

    got = await client.call(up, "POST", path, json={"model": model, field: ["a", "b", "a"]})

    vectors = got.json.get("embeddings") or [entry["embedding"] for entry in got.json["data"]]
    assert [len(vector) for vector in vectors] == [5, 5, 5]
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(x * x for x in vectors[0]) == pytest.approx(1, abs=1e-4)
    assert ("usage" in got.json) == (api == "openai")


async def test_base64_embeddings_are_the_same_numbers(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai", default=Reply(dim=4))
    body = {"model": "gpt-4.1-mini", "input": "a"}

    floats = await client.call(up, "POST", "/embeddings", json=body)
    packed = await client.call(up, "POST", "/embeddings", json=body | {"encoding_format": "base64"})

    decoded = struct.unpack("<4f", base64.b64decode(packed.json["data"][0]["embedding"]))
    assert list(decoded) == pytest.approx(floats.json["data"][0]["embedding"], abs=1e-6)


UNKNOWN = {
    "claude": {"type": "error", "error": {"type": "not_found_error", "message": "model: nope"}},
    "localai": {
        "error": {
            "code": 404,
            "message": 'model "nope" not found. To see available models, call GET /v1/models',
            "type": "invalid_request_error",
        }
    },
    "ollama": {"error": "model 'nope' not found"},
    "openai": {
        "error": {
            "message": "The model `nope` does not exist or you do not have access to it.",
            "type": "invalid_request_error",
            "param": None,
            "code": "model_not_found",
        }
    },
}


async def test_an_unknown_model_is_404_and_leaves_the_script_alone(
    simulator: Simulator, client: Any, wire: str
) -> None:
    up = await simulator.add(wire)
    up.script(Reply(text="kept"))

    got = await client.ask(up, model="nope")
    next_one = await client.ask(up)

    body = {name: value for name, value in got.json.items() if name != "request_id"}
    assert (got.status, body) == (404, UNKNOWN[wire])
    assert "kept" in next_one.text


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
async def test_a_key_is_demanded_in_the_wires_way(
    simulator: Simulator, client: Any, wire: str, header: str
) -> None:
    up = await simulator.add(wire, api_key="k")
    value = "Bearer k" if header == "authorization" else "k"
    path = {"openai": "/models", "ollama": "/api/tags"}.get(wire, "/v1/models")
    extra = {"anthropic-version": "2023-06-01"}

    without = await client.ask(up)
    wrong = await client.call(up, "GET", path, headers=extra | {"authorization": "Bearer no"})
    right = await client.call(up, "GET", path, headers=extra | {header: value})

    accepted = header == "authorization" or wire in ("claude", "localai")
    assert (without.status, wrong.status) == (401, 401)
    assert right.status == (200 if accepted else 401)


REFUSED = [
    ("claude", {"max_tokens": None}, "max_tokens: Field required"),
    ("claude", {"seed": 1}, "seed: Extra inputs are not permitted"),
    ("claude", {"temperature": 1.5}, "temperature: range: 0..1"),
    ("claude", {"messages": []}, "messages: at least one message is required"),
    (
        "claude",
        {"tools": [{"name": "f", "input_schema": {}}]},
        "tools.0.custom.input_schema.type: Field required",
    ),
    ("openai", {"model": "gpt-5-mini", "max_tokens": 5}, "Unsupported parameter: 'max_tokens'"),
    ("openai", {"model": "o3", "max_tokens": 5}, "Unsupported parameter: 'max_tokens'"),
    ("openai", {"top_k": 5}, "Unknown parameter: 'top_k'"),
    ("openai", {"stream_options": {"include_usage": True}}, "'stream_options' parameter"),
    ("openai", {"messages": 7}, "Invalid value."),
    ("ollama", {"model": ""}, '{"error":"model is required"}'),
    ("ollama", {"options": {"stop": "x"}}, "must be of type array"),
    ("ollama", {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "cannot unmarshal array"),
    ("localai", {"metadata": {"a": 1}}, '"code":400'),
]


@pytest.mark.parametrize(("api", "fields", "words"), REFUSED)
async def test_a_bad_request_is_refused_in_the_apis_words(
    simulator: Simulator, client: Any, api: str, fields: dict[str, Any], words: str
) -> None:
    up = await simulator.add(api, models=["m", "gpt-5-mini", "o3"])

    got = await client.ask(up, **fields)

    assert got.status == 400
    assert words in got.text


async def test_what_is_nested_too_deep_to_read_is_a_bad_request(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai")

    url = f"{up.base_url}/chat/completions"
    async with client.session.post(url, data=b"[" * 100_000 + b"]" * 100_000) as got:
        status = got.status

    assert status == 400


async def test_a_lenient_openai_ignores_unknown_fields(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai", lenient=True)

    assert (await client.ask(up, top_k=5)).status == 200


async def test_claude_demands_its_version_and_its_newest_one_has_no_sampling(
    simulator: Simulator, client: Any
) -> None:
    up = await simulator.add("claude")
    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 5,
        "temperature": 1,
        "messages": [{"role": "user", "content": "x"}],
    }

    async def send(**headers: str) -> Any:
        return await client.call(up, "POST", "/v1/messages", json=body, headers=headers)

    missing = await send()
    old = await send(**{"anthropic-version": "2023-06-01"})
    new = await send(**{"anthropic-version": "2026-10-21"})

    assert (missing.status, old.status, new.status) == (400, 200, 400)
    assert new.json["error"] == {
        "type": "invalid_request_error",
        "message": "temperature: Extra inputs are not permitted",
    }
    assert new.headers["request-id"] == new.json["request_id"]
    assert new.headers["x-should-retry"] == "false"


async def test_claude_counts_tokens_and_pages_its_models(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("claude", models=["a", "b", "c"])
    version = {"anthropic-version": "2023-06-01"}
    body = {"model": "a", "messages": [{"role": "user", "content": "one two three"}]}

    counted = await client.call(up, "POST", "/v1/messages/count_tokens", json=body, headers=version)
    page = await client.call(up, "GET", "/v1/models?limit=2", headers=version)
    rest = await client.call(up, "GET", "/v1/models?after_id=b", headers=version)

    assert counted.json == {"input_tokens": 3}
    assert ([m["id"] for m in page.json["data"]], page.json["has_more"]) == (["a", "b"], True)
    assert ([m["id"] for m in rest.json["data"]], rest.json["has_more"]) == (["c"], False)


async def test_openai_finds_models_with_a_slash(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("openai", models=["org/m"])

    plain = await client.call(up, "GET", "/models/org/m")
    listed = await client.call(up, "GET", "/models")

    assert plain.json == listed.json["data"][0]
    assert (await client.call(up, "GET", "/models/nope")).status == 404


async def test_ollama_pulls_copies_and_deletes(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama", models=["a"])

    pulled = await client.call(up, "POST", "/api/pull", json={"model": "new"})
    failed = await client.call(up, "POST", "/api/pull", json={"model": "missing"})
    copied = await client.call(up, "POST", "/api/copy", json={"source": "new", "destination": "copy"})
    deleted = await client.call(up, "DELETE", "/api/delete", json={"model": "new:latest"})
    tags = await client.call(up, "GET", "/api/tags")

    statuses = [line["status"] for line in pulled.frames()]
    assert (statuses[0], statuses[-1]) == ("pulling manifest", "success")
    assert statuses[-3:-1] == ["verifying sha256 digest", "writing manifest"]
    totals = [line for line in pulled.frames() if "completed" in line]
    assert totals[3]["completed"] == totals[3]["total"]
    assert failed.frames() == [
        {"status": "pulling manifest"},
        {"error": "pull model manifest: file does not exist"},
    ]
    assert (copied.status, copied.body, deleted.status) == (200, b"", 200)
    assert [m["name"] for m in tags.json["models"]] == ["a:latest", "copy:latest"]
    assert (await client.call(up, "DELETE", "/api/delete", json={"model": "new"})).status == 404


async def test_ollama_answers_its_small_routes(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("ollama", capabilities=["completion"])

    assert (await client.call(up, "GET", "/")).text == "Ollama is running"
    assert (await client.call(up, "HEAD", "/")).status == 200
    assert "version" in (await client.call(up, "GET", "/api/version")).json
    assert (await client.call(up, "POST", "/api/show", json={"model": "llama3.2"})).json["model_info"]
    assert (await client.call(up, "GET", "/api/chat")).status == 405
    assert (await client.call(up, "GET", "/nope")).text == "404 page not found"
    assert "does not support tools" in (await client.ask(up, tools=TOOLS)).text


async def test_localai_downloads_move_on_with_each_look(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("localai")
    applied = await client.call(up, "POST", "/models/apply", json={"id": "gallery@new"})
    job = "/models/jobs/" + applied.json["uuid"]

    looks = [(await client.call(up, "GET", job)).json for _ in range(4)]

    assert [look["progress"] for look in looks] == [25, 50, 75, 100]
    assert [look["processed"] for look in looks] == [False, False, False, True]
    assert looks[3]["message"] == "completed"
    assert "new" in [m["id"] for m in (await client.call(up, "GET", "/v1/models")).json["data"]]
    assert (await client.call(up, "GET", "/models/jobs/none")).status == 500


async def test_a_localai_download_of_something_missing_fails(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("localai")
    applied = await client.call(up, "POST", "/models/apply", json={"id": "missing"})

    look = (await client.call(up, "GET", "/models/jobs/" + applied.json["uuid"])).json

    assert look["processed"]
    assert "missing" in look["error"]


async def test_localai_is_ready_when_it_says_so_and_echoes_the_correlation_id(
    simulator: Simulator, client: Any
) -> None:
    up = await simulator.add("localai", api_key="k")
    up.site.ready = False

    starting = await client.call(up, "GET", "/readyz")
    up.site.ready = True
    ready = await client.call(up, "GET", "/readyz")
    headers = {"authorization": "Bearer k", "x-correlation-id": "mine"}
    body = {"model": "qwen3-4b", "messages": [{"role": "user", "content": "x"}]}
    echoed = await client.call(up, "POST", "/chat/completions", json=body, headers=headers)

    assert (starting.status, starting.json["status"]) == (503, "starting")
    assert (ready.status, ready.body) == (200, b"")
    assert (echoed.headers["x-correlation-id"], echoed.json["id"]) == ("mine", "mine")
    assert (await client.call(up, "GET", "/healthz")).status == 200


async def test_localai_loads_tokenizes_and_has_no_model_route(simulator: Simulator, client: Any) -> None:
    up = await simulator.add("localai")

    loaded = await client.call(up, "POST", "/backend/load", json={"model": "qwen3-4b"})
    refused = await client.call(up, "POST", "/backend/load", json={"model": "nope"})
    tokens = await client.call(up, "POST", "/v1/tokenize", json={"model": "qwen3-4b", "content": "a b"})

    assert loaded.json == {"loaded": ["qwen3-4b"], "message": "model loaded"}
    assert (refused.status, refused.json["loaded"]) == (400, [])
    assert len(tokens.json["tokens"]) == 2
    assert (await client.call(up, "GET", "/v1/models/qwen3-4b")).json["error"][
        "message"
    ] == "Resource not found"


async def test_request_ids_are_unique(simulator: Simulator, client: Any) -> None:
    openai, claude = await simulator.add("openai"), await simulator.add("claude")

    first, second, error = [
        (await client.ask(openai, **fields)).headers["x-request-id"] for fields in ({}, {}, {"model": "nope"})
    ]

    assert len({first, second, error}) == 3
    assert (await client.ask(claude)).headers["request-id"].startswith("req_")

"""What the settings of provider types change in what goes to the upstream, or keep from going."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx
from proving import Given, Setting, ask, listen, proves

from pointsman import Router
from pointsman.plugin import Original, PointsmanSpec, hookimpl
from pointsman.testing import CannedReply, ReplayTransport, run
from pointsman.transports.factory import TransportFactory
from pointsman.types import ChatRequest, Message, Tool, ToolCall

USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def sse(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in values)


def _openai(delta: str, part: dict[str, Any], finish: str | None) -> dict[str, Any]:
    choice = {"index": 0, delta: part, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion", "model": "x", "choices": [choice], "usage": USAGE}


_OPENAI = (
    json.dumps(_openai("message", {"role": "assistant", "content": "ok"}, "stop")).encode(),
    sse(_openai("delta", {"content": "ok"}, None), _openai("delta", {}, "stop")) + b"data: [DONE]\n\n",
)
_TEXT = {"type": "text", "text": "ok"}
_MESSAGE = {"id": "m1", "type": "message", "role": "assistant", "model": "x", "stop_sequence": None}
_COUNTS = {"input_tokens": 1, "output_tokens": 1}
_CLAUDE = (
    json.dumps({**_MESSAGE, "content": [_TEXT], "stop_reason": "end_turn", "usage": _COUNTS}).encode(),
    sse(
        {
            "type": "message_start",
            "message": {**_MESSAGE, "content": [], "stop_reason": None, "usage": _COUNTS},
        },
        {"type": "content_block_start", "index": 0, "content_block": _TEXT},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _COUNTS},
        {"type": "message_stop"},
    ),
)
_LINE = {
    "model": "x", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "ok"},
    "done": True, "done_reason": "stop", "prompt_eval_count": 1, "eval_count": 1,
}  # fmt: skip
_OLLAMA = (json.dumps(_LINE).encode(), json.dumps(_LINE).encode() + b"\n")
ANSWERS = {"openai": _OPENAI, "localai": _OPENAI, "claude": _CLAUDE, "ollama": _OLLAMA}
"""Of each type: a whole answer, and a stream."""
STREAMS = {"ollama": "application/x-ndjson"}


class Sent(NamedTuple):
    """How a call ended, and what went out for it: None when nothing did."""

    end: str
    body: dict[str, Any] | None
    headers: httpx.Headers | None


class Canned(PointsmanSpec):
    """The transport `canned`: upstreams of one type, which answer everybody."""

    def __init__(self, type_: str) -> None:
        def answer(request: httpx.Request) -> CannedReply:
            streamed = json.loads(request.content).get("stream", type_ == "ollama")
            kind = STREAMS.get(type_, "text/event-stream") if streamed else "application/json"
            return CannedReply(200, ANSWERS[type_][streamed], {"content-type": kind})

        self.transport = ReplayTransport(answer)

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        return [TransportFactory("canned", None, lambda _context: self.transport)]


def at(type_: str, *, base_url: str = "http://box.test/v1", **provider: Any) -> Given:
    credential = {} if type_ == "ollama" else {"api_key": "sk-long-enough-to-be-a-key"}
    return {
        "providers": {"a": {"type": type_, "base_url": base_url, **credential, **provider}},
        "models": {"m": {"deployments": ["a/x"]}},
        "retry": "none",
        "transport": "canned",
    }


def sent(
    setting: Setting,
    value: object,
    messages: Any = "hi",
    *,
    stream: bool = False,
    base: Given | None = None,
    **options: Any,
) -> Sent:
    """What the setting makes of one call."""
    type_ = setting.key.partition(":")[2].partition(".")[0] or "openai"
    plugin = Canned(type_)

    async def main() -> str:
        async with Router.from_config(setting.to(value, base or at(type_)), plugins=[plugin]) as r:
            return await (listen(r, **options) if stream else ask(r, text=messages, **options))

    end = run(main())
    if not plugin.transport.requests:
        return Sent(end, None, None)
    (request,) = plugin.transport.requests
    return Sent(end, json.loads(request.content), request.headers)


def body(setting: Setting, value: object, messages: Any = "hi", **options: Any) -> dict[str, Any]:
    """The body of a call that succeeds."""
    end, found, _ = sent(setting, value, messages, **options)
    assert end == "ok"
    assert found is not None
    return found


def head(setting: Setting, value: object, name: str, **options: Any) -> str | None:
    """A header of a call that succeeds."""
    end, _, headers = sent(setting, value, **options)
    assert end == "ok"
    assert headers is not None
    return headers.get(name)


def both(type_: str, *names: str) -> Sequence[str]:
    """The settings of a provider that a deployment's `options` may say, too."""
    return [f"{part}:{type_}.{name}" for part in ("provider", "options") for name in names]


# ── all types ────────────────────────────────────────────────────────────────────────────────────────


@proves(*(f"provider:{each}.stream_underneath" for each in ANSWERS))
def whole_answers_are_asked_for_as_streams_and_put_together(setting: Setting) -> None:
    for value in (True, False):
        found = body(setting, value)
        assert found.get("stream", False) is value


@proves("models.<name>.deployments[].options")
def the_options_of_a_deployment_win_over_its_provider(setting: Setting) -> None:
    base = at("openai", max_tokens_field="max_completion_tokens")
    assert body(setting, {}, base=base, max_tokens=5)["max_completion_tokens"] == 5
    assert body(setting, {"max_tokens_field": "max_tokens"}, base=base, max_tokens=5)["max_tokens"] == 5


@proves(*both("openai", "include_usage"), *both("localai", "include_usage"))
def the_token_counts_of_streams_are_asked_for(setting: Setting) -> None:
    assert body(setting, True, stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(setting, False, stream=True)


@proves(*both("openai", "unsupported"), *both("localai", "unsupported"))
def what_the_model_cannot_do_is_refused_before_the_call(setting: Setting) -> None:
    asks: dict[str, dict[str, Any]] = {
        "temperature": {"temperature": 1}, "seed": {"seed": 1}, "tools": {"tools": [Tool("f")]}, "stop": {"stop": ["x"]},
    }  # fmt: skip
    for name, options in asks.items():
        refused = sent(setting, [name], **options)
        assert (refused.end, refused.body) == ("Unsupported", None)
        assert sent(setting, [each for each in asks if each != name], **options).end == "ok"


# ── openai ───────────────────────────────────────────────────────────────────────────────────────────


@proves(*both("openai", "max_tokens_field"))
def that_field_carries_max_tokens(setting: Setting) -> None:
    for value, field in (("auto", "max_tokens"), ("max_tokens",) * 2, ("max_completion_tokens",) * 2):
        found = body(setting, value, max_tokens=5)
        assert [each for each in found if "max" in each] == [field]
    official = at("openai", base_url="https://api.openai.com/v1")
    assert body(setting, "auto", base=official, max_tokens=5)["max_completion_tokens"] == 5


@proves(*both("openai", "system_role"))
def that_is_the_role_of_system_messages(setting: Setting) -> None:
    for value, role in (("auto", "system"), ("system", "system"), ("developer", "developer")):
        found = body(
            setting, value, [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
        )
        assert found["messages"][0]["role"] == role


@proves(*both("openai", "extra_sampling"))
def more_sampling_is_sent_or_refused(setting: Setting) -> None:
    assert body(setting, True, top_k=3, min_p=0.1)["top_k"] == 3
    assert sent(setting, False, top_k=3)[:2] == ("Unsupported", None)


@proves(*both("openai", "repeat_penalty_field"))
def that_field_carries_repeat_penalty(setting: Setting) -> None:
    for value in ("repetition_penalty", "repeat_penalty"):
        found = body(setting, value, base=at("openai", extra_sampling=True), repeat_penalty=1.1)
        assert [each for each in found if "repe" in each] == [value]


@proves(*both("openai", "reasoning_field"))
def in_that_field_earlier_reasoning_goes_back(setting: Setting) -> None:
    messages = [Message("user", "hi"), Message("assistant", "yes", reasoning="hm"), Message("user", "so?")]
    for value in ("none", "reasoning", "reasoning_content"):
        found = body(setting, value, messages)["messages"][1]
        assert {key: each for key, each in found.items() if "reasoning" in key} == (
            {} if value == "none" else {value: "hm"}
        )


@proves("providers.<name>.preset")
def it_is_written_to_and_called_as_the_preset_has_it(setting: Setting) -> None:
    for value, field in ((None, "seed"), ("mistral", "random_seed"), ("openrouter", "seed")):
        found = body(setting, value, seed=7)
        assert {name: each for name, each in found.items() if "seed" in name} == {field: 7}
    assert sent(setting, "mistral", logit_bias={"1": 1}).end == "Unsupported"
    assert sent(setting, "openrouter", logit_bias={"1": 1}).end == "ok"


@proves(*both("openai", "seed_field"))
def that_field_carries_seed(setting: Setting) -> None:
    for value in ("seed", "random_seed"):
        found = body(setting, value, seed=7)
        assert {name: each for name, each in found.items() if "seed" in name} == {value: 7}


@proves(*both("openai", "tool_call_ids"))
def ids_of_calls_go_as_given_or_short(setting: Setting) -> None:
    messages = [
        Message("user", "hi"),
        Message("assistant", "", tool_calls=[ToolCall("call_abc", "f", "{}")]),
        Message("tool", "1", tool_call_id="call_abc"),
    ]
    for value in ("as_given", "nine_characters"):
        _, asked, result = body(setting, value, messages)["messages"]
        assert result["tool_call_id"] == asked["tool_calls"][0]["id"]
        assert (result["tool_call_id"] == "call_abc") is (value == "as_given")
        assert len(result["tool_call_id"]) == (8 if value == "as_given" else 9)


@proves(*both("openai", "send_labels"))
def user_and_metadata_are_sent_or_not(setting: Setting) -> None:
    for value in (True, False):
        found = body(setting, value, user="somebody", metadata={"a": "b"})
        assert ({"user", "metadata"} <= set(found), {"user", "metadata"} & set(found) == set()) == (
            value,
            not value,
        )


@proves("provider:openai.relayed")
def what_a_caller_wrote_goes_on_as_it_was_or_anew(setting: Setting) -> None:
    request = ChatRequest("m", [Message.user("hi")])
    messages = b'[{"role":"user","content":"hi"}]'
    original = Original("openai.chat", b'{"model":"m","messages":%s,"of_its_own":1}' % messages, request)
    for value in (True, False):
        found = sent(setting, value, original=original).body
        assert found is not None
        assert ("of_its_own" in found) is value


@proves("provider:openai.organization", "provider:openai.project")
def it_is_sent_in_its_header(setting: Setting) -> None:
    name = f"openai-{setting.key.rpartition('.')[2]}"
    assert [head(setting, each, name) for each in (None, "one", "two")] == [None, "one", "two"]


@proves("provider:openai.responses")
def requests_in_the_responses_api_go_on_as_they_came(setting: Setting) -> None:
    request = ChatRequest("m", [Message.user("hi")])
    original = Original("openai.responses", b'{"model":"m","input":"hi"}', request)
    official = at("openai", base_url="https://api.openai.com/v1")
    for value, base, member in (
        (True, None, "input"), (False, None, "messages"), (None, None, "messages"), (None, official, "input"),
    ):  # fmt: skip
        found = sent(setting, value, base=base, original=original).body
        assert found is not None
        assert member in found


@proves("provider:openai.key_header")
def the_credential_goes_in_that_header(setting: Setting) -> None:
    key = "sk-long-enough-to-be-a-key"
    for value, shown in (("authorization", f"Bearer {key}"), ("api-key", key), ("x-api-key", key)):
        headers = sent(setting, value).headers
        assert headers is not None
        assert [name for name in ("authorization", "api-key", "x-api-key") if name in headers] == [value]
        assert headers[value] == shown


# ── claude ───────────────────────────────────────────────────────────────────────────────────────────


@proves(*both("claude", "api_version"))
def the_version_is_sent_and_heeded(setting: Setting) -> None:
    for value in ("2023-06-01", "2026-10-21"):
        assert head(setting, value, "anthropic-version") == value
    assert body(setting, "2023-06-01", temperature=0.5)["temperature"] == 0.5
    assert sent(setting, "2026-10-21", temperature=0.5)[:2] == ("Unsupported", None)


@proves(*both("claude", "beta"))
def betas_are_sent(setting: Setting) -> None:
    for value, expected in (([], None), (["one"], "one"), (["one", "two"], "one,two")):
        assert head(setting, value, "anthropic-beta") == expected


@proves("provider:claude.default_max_tokens")
def requests_without_max_tokens_get_that(setting: Setting) -> None:
    assert [body(setting, each)["max_tokens"] for each in (None, 99)] == [4096, 99]
    assert body(setting, 99, max_tokens=5)["max_tokens"] == 5


@proves("provider:claude.workspace")
def the_workspace_is_sent(setting: Setting) -> None:
    assert [head(setting, each, "anthropic-workspace-id") for each in (None, "w1")] == [None, "w1"]


@proves(*both("claude", "late_system"))
def a_late_system_message_is_moved_sent_or_refused(setting: Setting) -> None:
    messages = [Message("user", "hi"), Message("system", "be kind"), Message("user", "so?")]
    hoisted, native = body(setting, "hoist", messages), body(setting, "native", messages)
    assert "be kind" in json.dumps(hoisted["system"])
    assert "system" not in [each["role"] for each in hoisted["messages"]]
    assert "system" not in native
    assert [each["role"] for each in native["messages"]] == ["user", "system", "user"]
    assert sent(setting, "refuse", messages)[:2] == ("Unsupported", None)


# ── localai ──────────────────────────────────────────────────────────────────────────────────────────


@proves(*both("localai", "strict_tools"))
def strict_tools_are_refused_or_sent_without_that_demand(setting: Setting) -> None:
    tools = [Tool("f", strict=True)]
    assert sent(setting, "refuse", tools=tools)[:2] == ("Unsupported", None)
    assert "strict" not in json.dumps(body(setting, "drop", tools=tools)["tools"])


# ── ollama ───────────────────────────────────────────────────────────────────────────────────────────


@proves("provider:ollama.keep_alive", "provider:ollama.think")
def it_is_sent_under_its_name(setting: Setting) -> None:
    name = setting.key.rpartition(".")[2]
    values: list[object] = ["10m", -1, 0] if name == "keep_alive" else [True, False, "high"]
    assert name not in body(setting, None)
    assert [body(setting, each)[name] for each in values] == values


@proves("provider:ollama.options")
def options_are_sent_as_ollama_names_them(setting: Setting) -> None:
    assert body(setting, {"num_ctx": 8192, "top_k": 3})["options"] == {"num_ctx": 8192, "top_k": 3}
    assert "options" not in body(setting, {})
    assert body(setting, {"top_k": 3}, top_k=5)["options"] == {"top_k": 5}

"""The contract of every provider, kept by `ollama`."""

from __future__ import annotations

from typing import ClassVar

from replay import exchange

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ModelNotFound,
    PermissionDenied,
    Unavailable,
    Unsupported,
)
from pointsman.testing.contract import (
    CannedBreak,
    CannedChat,
    CannedEmbeddings,
    CannedError,
    CannedModels,
    CannedStream,
    ProviderContract,
)
from pointsman.testing.contract.subject import PROMPT
from pointsman.testing.replay import CannedReply
from pointsman.types import (
    ChatRequest,
    File,
    GenerateRequest,
    Image,
    Message,
    Tool,
    ToolCall,
    ToolChoice,
    Usage,
)
from pointsman_ollama import plugin

CHAT = b"""{"model":"qwen3:4b","created_at":"2026-08-10T10:00:01.1Z","message":{"role":"assistant",
"content":"The sky is blue, \\u00e9videmment","thinking":"Rayleigh."},"done":true,"done_reason":"stop",
"total_duration":912345678,"prompt_eval_count":14,"eval_count":6}"""

STREAM = """\
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:01.1Z","message":{"role":"assistant","content":"","thinking":"Ray"},"done":false}
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:01.2Z","message":{"role":"assistant","content":"","thinking":"leigh"},"done":false}
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:02.1Z","message":{"role":"assistant","content":"The"},"done":false}
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:02.2Z","message":{"role":"assistant","content":" heaven"},"done":false}
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:02.3Z","message":{"role":"assistant","content":" ist blau – 青い\u2028"},"done":false}
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:03.1Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"length","prompt_eval_count":14,"eval_count":6}
""".encode()

TOOLS = b"""\
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:01.1Z","message":{"role":"assistant","content":"","tool_calls":[{"id":"call_a","function":{"index":0,"name":"weather","arguments":{"city":"Paris"}}}]},"done":false}
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:01.2Z","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"time","arguments":{}}}]},"done":false}
{"model":"qwen3:4b","created_at":"2026-08-10T10:00:01.3Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":90,"eval_count":30}
"""


def refusal(name: str, kind: type[CallError]) -> CannedError:
    found = exchange(f"constructed/ollama/{name}")
    return CannedError(status=found.status, headers=found.headers, body=found.body, kind=kind)


def chat(**more: object) -> ChatRequest:
    return ChatRequest("public", (Message.user("hello"),), **more)  # type: ignore[arg-type]


class TestOllama(ProviderContract):
    (factory,) = plugin.pointsman_providers()
    relays: ClassVar = {  # with what `settings` fill in
        "ollama": {
            "messages": [{"role": "user", "content": PROMPT}],
            "keep_alive": "10m",
            "options": {"num_ctx": 8192, "novelty": 1},
        },
        "ollama.generate": {"prompt": PROMPT, "keep_alive": "10m", "options": {"num_ctx": 8192}},
    }
    settings: ClassVar = {"keep_alive": "10m", "options": {"num_ctx": 8192}}
    model = "qwen3:4b"
    chat_ok = CannedChat(
        body=CHAT,
        text="The sky is blue, évidemment",
        reasoning="Rayleigh.",
        usage=Usage(prompt=14, completion=6),
    )
    stream_ok = CannedStream(
        body=STREAM,
        end=b'"done":true',
        text="The heaven ist blau – 青い\u2028",
        reasoning="Rayleigh",
        finish_reason="length",
        usage=Usage(prompt=14, completion=6),
    )
    stream_tools = CannedStream(
        body=TOOLS,
        end=b'"done":true',
        finish_reason="tool_calls",
        tool_calls=(ToolCall("call_a", "weather", '{"city": "Paris"}'), ToolCall("", "time", "{}", 1)),
        usage=Usage(prompt=90, completion=30),
    )
    mid_stream_error = CannedBreak(
        body=exchange("constructed/ollama/010-stream-error-line").body, text="The sky", kind=Unavailable
    )
    finish_words: ClassVar = {b'"done_reason":"stop"': "stop", b'"done_reason":"length"': "length"}
    embed_ok = CannedEmbeddings(
        body=b'{"model":"qwen3:4b","embeddings":[[0.5,1],[2,3]],"prompt_eval_count":7}',
        texts=("one", "two"),
        vectors=((0.5, 1.0), (2.0, 3.0)),
        usage=Usage(prompt=7),
    )
    models_ok = CannedModels(
        body=b'{"models":[{"name":"qwen3:4b","model":"qwen3:4b","size":2620788260},{"name":"nomic:latest"}]}',
        ids=("qwen3:4b", "nomic:latest"),
    )
    probe_ok = CannedReply(200, b'{"version":"0.32.14"}')
    errors = (
        refusal("001-503-busy", Unavailable),
        refusal("002-404-chat", ModelNotFound),
        refusal("003-400-no-tools", Unsupported),
        refusal("005-500-runner-terminated", Unavailable),
        refusal("007-401-cloud", AuthenticationFailed),
        refusal("008-403-host", PermissionDenied),
    )
    unsupported = (
        chat(logit_bias={"7": 1.0}),
        chat(tools=(Tool("t"),), tool_choice=ToolChoice("required")),
        chat(tools=(Tool("t"),), parallel_tool_calls=False),
        ChatRequest("public", (Message.user((Image(url="https://pictures.test/a.png"),)),)),
        ChatRequest("public", (Message.user((File(data=b"%PDF"),)),)),
        GenerateRequest("public", "hello", images=(Image(url="https://pictures.test/a.png"),)),
    )


class TestOllamaInOnePiece(TestOllama):
    settings: ClassVar = {**TestOllama.settings, "stream_underneath": False}

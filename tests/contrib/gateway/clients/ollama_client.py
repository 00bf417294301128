"""What programs do with Ollama's official SDK, at the address and models of the command line.

Prints JSON: the version of the SDK, and for each model and feature "ok" or what went wrong. It runs with the
SDK of today and with one of the generation before, in an environment of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import ollama

MESSAGES: Any = [{"role": "user", "content": "Where do the points lie?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "forecast",
            "description": "the weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def chat(client: Any, model: str) -> None:
    """A whole answer with its counts and times."""
    said = client.chat(model=model, messages=MESSAGES, options={"temperature": 0.5, "num_ctx": 4096})
    assert (said.model, said.done, said.done_reason) == (model, True, "stop")
    assert said.message.role == "assistant"
    assert said.message.content
    assert said.prompt_eval_count
    assert said.eval_count
    assert said.total_duration


def stream(client: Any, model: str) -> None:
    """The same in lines, of which the last one says that it is done."""
    lines = list(client.chat(model=model, messages=MESSAGES, stream=True))
    assert "".join(each.message.content or "" for each in lines)
    assert [each.done for each in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1].eval_count


def tools(client: Any, model: str) -> None:
    """A call, whole and in a stream, and the answer that follows its result."""
    first = client.chat(model=model, messages=MESSAGES, tools=TOOLS)
    (call,) = first.message.tool_calls
    assert call.function.name == "forecast"
    assert isinstance(call.function.arguments["city"], str)
    result = {"role": "tool", "content": "rain", "tool_name": "forecast"}
    second = client.chat(model=model, messages=[*MESSAGES, first.message, result])
    assert second.message.content
    lines = client.chat(model=model, messages=MESSAGES, tools=TOOLS, stream=True)
    assert [call.function.name for line in lines for call in line.message.tool_calls or ()] == ["forecast"]


def generate(client: Any, model: str) -> None:
    """What follows a prompt, whole and in lines."""
    said = client.generate(model=model, prompt="Once", system="be brief")
    assert said.response
    assert "".join(each.response for each in client.generate(model=model, prompt="Once", stream=True))


def embed(client: Any, model: str) -> None:
    """Vectors, in both forms."""
    said = client.embed(model=model, input=["one", "two"])
    assert len(said.embeddings) == 2
    assert len(client.embeddings(model=model, prompt="one").embedding) == len(said.embeddings[0])


def models(client: Any, model: str) -> None:
    """The list of models, those in memory, and one of them."""
    assert model in [each.model for each in client.list().models]
    assert model in [each.model for each in client.ps().models]
    shown = client.show(model)
    assert shown.modelinfo["general.architecture"]
    assert shown.details is not None


def errors(client: Any, model: str) -> None:
    """An unknown model, and a wrong body."""
    for asked, status in (
        ({"model": f"{model}-none", "messages": MESSAGES}, 404),
        ({"model": model, "messages": MESSAGES, "options": {"stop": 1}}, 400),
    ):
        try:
            client.chat(**asked)
        except ollama.ResponseError as error:
            assert error.status_code == status
            assert isinstance(error.error, str)
        else:
            raise AssertionError("no ResponseError")


FEATURES: tuple[Callable[[Any, str], None], ...] = (chat, stream, tools, generate, embed, models, errors)


def tried(feature: Callable[[Any, str], None], client: Any, model: str) -> str:
    try:
        feature(client, model)
    except Exception as error:
        return f"{type(error).__name__}: {error}" if str(error) else repr(error)
    return "ok"


def main(host: str, *names: str) -> None:
    client = ollama.Client(host=host, timeout=10)
    found = {name: {feature.__name__: tried(feature, client, name) for feature in FEATURES} for name in names}
    json.dump({"version": version("ollama"), "found": found}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

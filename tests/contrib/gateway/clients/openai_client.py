"""What programs do with OpenAI's official SDK, at the address and models of the command line.

Prints JSON: the version of the SDK, and for each model and feature "ok" or what went wrong. It runs with the
SDK of today and with one of the generation before, in an environment of its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import openai
from pydantic import BaseModel

MESSAGES: Any = [{"role": "user", "content": "Where do the points lie?"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "forecast", "parameters": PARAMETERS}}]


class Journey(BaseModel):
    name: str
    return_by: str


def chat(client: Any, model: str) -> None:
    """A whole answer with its token counts and ids."""
    said = client.chat.completions.create(model=model, messages=MESSAGES, max_completion_tokens=50)
    assert said.id
    assert said.model == model
    assert said.object == "chat.completion"
    assert said.choices[0].message.content
    assert said.choices[0].message.tool_calls is None
    assert said.choices[0].finish_reason == "stop"
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens
    assert said._request_id


def stream(client: Any, model: str) -> None:
    """The same in chunks: a role first, one id, a reason last, and no token counts unasked."""
    chunks = list(client.chat.completions.create(model=model, messages=MESSAGES, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(each.choices[0].delta.content or "" for each in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {each.id for each in chunks} == {chunks[0].id}
    assert {each.model for each in chunks} == {model}


def counted_stream(client: Any, model: str) -> None:
    """With token counts, in the last chunk alone."""
    asked = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model=model, messages=MESSAGES, stream=True, stream_options=asked)
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0
    assert [each.usage for each in chunks[:-1]] == [None] * (len(chunks) - 1)


def tools(client: Any, model: str) -> None:
    """A call, and the answer that follows its result."""
    first = client.chat.completions.create(model=model, messages=MESSAGES, tools=TOOLS)
    assert first.choices[0].finish_reason == "tool_calls"
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert call.function.name == "forecast"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    answered = [
        *MESSAGES,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "rain"},
    ]
    second = client.chat.completions.create(model=model, messages=answered, tools=TOOLS)
    assert second.choices[0].message is not None


def streamed_tools(client: Any, model: str) -> None:
    """A call in pieces, which are joined by index."""
    ids, names, arguments = "", "", ""
    for chunk in client.chat.completions.create(model=model, messages=MESSAGES, tools=TOOLS, stream=True):
        for piece in chunk.choices[0].delta.tool_calls or ():
            assert piece.index == 0
            ids += piece.id or ""
            names += piece.function.name or ""
            arguments += piece.function.arguments or ""
        reason = chunk.choices[0].finish_reason
    assert reason == "tool_calls"
    assert ids
    assert names == "forecast"
    assert isinstance(json.loads(arguments)["city"], str)


def parse(client: Any, model: str) -> None:
    """An answer of a schema, as an object."""
    said = client.chat.completions.parse(model=model, messages=MESSAGES, response_format=Journey)
    assert isinstance(said.choices[0].message.parsed, Journey)


def stream_helper(client: Any, model: str) -> None:
    """The helper that puts a stream together, with a call in it."""
    with client.chat.completions.stream(model=model, messages=MESSAGES, tools=TOOLS) as helper:
        for _ in helper:
            pass
        final = helper.get_final_completion()
    (call,) = final.choices[0].message.tool_calls
    assert call.function.name == "forecast"
    assert json.loads(call.function.arguments)


def embeddings(client: Any, model: str) -> None:
    """Vectors, which the SDK asks for in base64 unless it is told otherwise."""
    got = client.embeddings.create(model=model, input=["one", "two"])
    plain = client.embeddings.create(model=model, input=["one", "two"], encoding_format="float")
    assert [each.index for each in got.data] == [0, 1]
    assert len(got.data[0].embedding) > 1
    near = zip(got.data[0].embedding, plain.data[0].embedding, strict=True)
    assert all(abs(one - other) < 1e-5 for one, other in near)


def completions(client: Any, model: str) -> None:
    """Plain text that goes on, whole and as a stream."""
    said = client.completions.create(model=model, prompt="Once")
    assert said.object == "text_completion"
    assert said.choices[0].text
    chunks = list(client.completions.create(model=model, prompt="Once", stream=True))
    assert "".join(each.choices[0].text for each in chunks) == said.choices[0].text
    assert chunks[-1].choices[0].finish_reason == said.choices[0].finish_reason


FLAT: Any = [{"type": "function", "name": "forecast", "parameters": PARAMETERS, "strict": False}]


def responses(client: Any, model: str) -> None:
    """A whole response with its token counts."""
    said = client.responses.create(model=model, instructions="Be brief.", input="Where do the points lie?")
    assert said.id.startswith("resp_")
    assert (said.object, said.status, said.model) == ("response", "completed", model)
    assert said.output_text
    assert said.usage.total_tokens == said.usage.input_tokens + said.usage.output_tokens
    assert said._request_id


def responses_tools(client: Any, model: str) -> None:
    """A call, and the response that follows its result."""
    asked = [{"role": "user", "content": "Where do the points lie?"}]
    first = client.responses.create(model=model, input=asked, tools=FLAT)
    (call,) = [each for each in first.output if each.type == "function_call"]
    assert call.name == "forecast"
    assert isinstance(json.loads(call.arguments)["city"], str)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    output = [each.model_dump(exclude_none=True) for each in first.output]
    second = client.responses.create(model=model, input=[*asked, *output, result], tools=FLAT)
    assert second.status == "completed"


def responses_parse(client: Any, model: str) -> None:
    """A response of a schema, as an object."""
    said = client.responses.parse(model=model, input="Where do the points lie?", text_format=Journey)
    assert isinstance(said.output_parsed, Journey)


def responses_helper(client: Any, model: str) -> None:
    """The helper that demands all events in their order, with a text and with a call."""
    for tools_ in (FLAT, []):
        with client.responses.stream(model=model, input="Where do the points lie?", tools=tools_) as helper:
            seen = [each.type for each in helper]
            final = helper.get_final_response()
        assert (seen[0], seen[-1]) == ("response.created", "response.completed")
        assert final.output
    assert final.output_text


def models(client: Any, model: str) -> None:
    """The list of models, and each of them: the name of one has a slash in it."""
    names = [each.id for each in client.models.list()]
    assert model in names
    assert any("/" in name for name in names)
    assert [client.models.retrieve(name).id for name in names] == names
    try:
        client.models.retrieve(f"no-{model}")
    except openai.NotFoundError as error:
        assert (error.code, error.param) == ("model_not_found", "model")
    else:
        raise AssertionError("no NotFoundError")


def errors(client: Any, model: str) -> None:
    """An unknown model, a wrong body, and what no upstream can do."""
    try:
        client.chat.completions.create(model=f"{model}-none", messages=MESSAGES)
    except openai.NotFoundError as error:
        assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
        assert error.request_id
    else:
        raise AssertionError("no NotFoundError")
    try:
        client.chat.completions.create(model=model, messages=[{"role": "robot", "content": ""}])
    except openai.BadRequestError as error:
        assert error.param == "messages[0].role"
    else:
        raise AssertionError("no BadRequestError")


FEATURES: tuple[Callable[[Any, str], None], ...] = (
    chat,
    stream,
    counted_stream,
    tools,
    streamed_tools,
    parse,
    stream_helper,
    embeddings,
    completions,
    models,
    responses,
    responses_tools,
    responses_parse,
    responses_helper,
    errors,
)


def tried(feature: Callable[[Any, str], None], client: Any, model: str) -> str:
    try:
        feature(client, model)
    except Exception as error:
        return f"{type(error).__name__}: {error}" if str(error) else repr(error)
    return "ok"


def main(base_url: str, *names: str) -> None:
    with openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=10) as client:
        found = {
            name: {feature.__name__: tried(feature, client, name) for feature in FEATURES} for name in names
        }
    json.dump({"version": openai.__version__, "found": found}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])

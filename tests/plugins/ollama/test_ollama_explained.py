"""A dry run of a request that an Ollama server would get as its caller wrote it."""

from __future__ import annotations

from pointsman import Message, Router
from pointsman.original import Original
from pointsman.types import ChatRequest
from pointsman_ollama import plugin as ollama


def test_a_request_that_goes_on_as_it_was_written_is_shown_so() -> None:
    r = Router.from_config(
        {
            "providers": {"p": {"type": "ollama", "base_url": "http://127.0.0.1:9"}},
            "models": {"m": {"deployments": ["p/x"]}},
        },
        plugins=[ollama],
    )
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": false, "odd": [1, 2]}'
    request = ChatRequest("m", (Message.user("hi"),))
    original = Original("ollama", body, request)

    wire = r.explain(request, original=original).wire

    assert wire is not None
    assert wire.relayed
    assert (wire.body["model"], wire.body["odd"]) == ("x", [1, 2])

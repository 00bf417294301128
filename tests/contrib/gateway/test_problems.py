"""What callers hear of errors: whose doing it is, and that once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gateways import MODEL, configuration, gateway_for

import pointsman_gateway
from pointsman import errors
from pointsman.errors import CallError, MidStreamError
from pointsman_gateway.access.denials import problem_in
from pointsman_gateway.calls.problems import problem_of
from pointsman_simulator import Simulator

SOURCE = Path(pointsman_gateway.__file__).parent
DOMAIN = re.compile(r"(gateway|policy|upstream|caller): ")
SAID = (
    "it failed",
    "upstream: it failed",
    "caller: caller: it failed",
    "HTTP 400: caller: it failed",
    "HTTP 502: upstream: upstream: it failed",
)


def kinds(root: type[CallError] = CallError) -> Iterator[type[CallError]]:
    """Every kind of error of a call."""
    for each in root.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from kinds(each)


def made(kind: type[CallError], message: str) -> CallError:
    error = kind.__new__(kind, message)
    CallError.__init__(error, message)
    return error


@pytest.mark.parametrize("to_operator", [False, True])
@pytest.mark.parametrize("message", SAID)
def test_every_error_says_once_whose_doing_it_is(message: str, to_operator: bool) -> None:
    simple = [made(each, message) for each in kinds() if each is not MidStreamError]
    broken = [MidStreamError(message, cause=each, events=2) for each in simple]

    for error in (*simple, *broken):
        problem = problem_of(error, "r", to_operator=to_operator)
        assert problem.message.startswith(f"{problem.domain}: "), error
        assert len(DOMAIN.findall(problem.message)) == 1, problem.message


def test_what_is_no_domain_stays_in_the_message() -> None:
    said = [problem_in("caller", "invalid", "c", each).message for each in ("HTTP 400: x", "model: y", "")]

    assert said == ["caller: HTTP 400: x", "caller: model: y", "caller: "]


def test_problems_are_made_in_one_place_only() -> None:
    makers = [
        file.relative_to(SOURCE).as_posix()
        for file in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ProblemDetails"
    ]

    assert makers == ["access/denials.py"]


async def test_a_gateway_behind_a_gateway_names_one_domain(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    asked = {"model": MODEL, "prompt": "x" * 5_000}
    async with gateway_for(upstream, settings={"body_limit": "1kB"}) as inner:
        providers = {"inner": {"type": "openai", "base_url": f"{inner.url}/v1"}}
        models = {MODEL: {"deployments": [f"inner/{MODEL}"]}}
        async with (
            gateway_for(providers=providers, models=models) as outer,
            httpx.AsyncClient(base_url=outer.url) as client,
        ):
            answer = await client.post("/api/v1/ai/generate", json=asked)

    assert answer.status_code == 400
    assert answer.json()["message"] == "caller: HTTP 413: the body is larger than 1000 bytes"


async def test_who_sends_no_key_is_not_named(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    deployments = configuration(upstream)["models"][MODEL]
    access = {"anonymous": {"models": [MODEL]}, "loopback": False}
    async with (
        gateway_for(
            upstream, settings={"access": access}, models={MODEL: deployments, "private": deployments}
        ) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answer = await client.post("/api/v1/ai/generate", json={"prompt": "x", "model": "private"})

    assert (answer.status_code, answer.json()["code"]) == (403, "model_not_allowed")
    assert answer.json()["message"] == "policy: who is not known may not use the model 'private'"

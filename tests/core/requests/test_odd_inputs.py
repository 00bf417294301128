"""Whatever a caller hands in: an answer or one typed error, and exactly one record."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from routers import Heard, in_flight
from routers import config as configured

from pointsman import InvalidRequest, Router, UnknownModel
from pointsman.errors import CallError, PluginError
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.requests.call_options import CallOptions
from pointsman.testing import Scripted, run
from pointsman.transports.factory import TransportFactory
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest

LONE = "\ud800"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


ODD: dict[str, Any] = {
    "0": 0,
    "-1": -1,
    "1.5": 1.5,
    "tiny": 5e-324,
    "huge": 1e308,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "10**18": 10**18,
    "2**63": 2**63,
    "10**400": 10**400,
    "-10**400": -(10**400),
    "10**5000": 10**5000,  # Python refuses to write it out
    "True": True,
    "None": None,
    "text": "x",
    "lone surrogate": LONE,
    "NUL": "\0",
    "much": "x" * 100_000,
    "bytes": b"x",
    "[]": [],
    "[None]": [None],
    "{}": {},
    "[lone]": [LONE],
    "{lone: lone}": {LONE: LONE},
    "{a: nan}": {"a": math.nan},
    "{a: 10**400}": {"a": 10**400},
    "{a: object}": {"a": object()},
    "object": Unspeakable(),
}


class Mute(PointsmanSpec):
    """A transport whose upstream always fails, so that all that matters is what is sent."""

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [
            TransportFactory(
                "mute", None, lambda _context: httpx.MockTransport(lambda _: httpx.Response(500))
            )
        ]


def router(kind: str, **changes: Any) -> Router:
    given = configured("a", retry="none", circuit_breaker={"enabled": False}, **changes)
    if kind != "scripted":
        given["providers"]["a"] = {"type": kind, "base_url": "http://127.0.0.1:1/v1"}
        given["transport"] = "mute"
    return Router.from_config(given, plugins=[Scripted(), Mute()])


async def streamed(router: Router, *given: Any, **options: Any) -> None:
    async with router.stream(*given, **options) as stream:
        async for _ in stream:
            pass


Call = Callable[..., Awaitable[Any]]
CALLS: dict[str, tuple[Call, type]] = {
    "chat": (lambda router, *given, **options: router.chat(*given, **options), ChatRequest),
    "stream": (streamed, ChatRequest),
    "generate": (lambda router, *given, **options: router.generate(*given, **options), GenerateRequest),
    "embed": (lambda router, *given, **options: router.embed(*given, **options), EmbedRequest),
}


def options_of(kind: type) -> list[str]:
    names = [*kind.__struct_fields__, *CallOptions.__struct_fields__]
    return [each for each in names if each not in ("model", "messages", "prompt", "texts")]


async def ends_well(router: Router, call: Call, *given: Any, **options: Any) -> CallError | None:
    """Make the call, which must end in an answer or in one typed error that can be shown, with one record."""
    heard = Heard(router)
    error: CallError | None = None
    try:
        await call(router, *given, **options)
    except CallError as failure:
        error = failure
        assert not isinstance(failure, PluginError), failure
        str(failure).encode()
        assert len(str(failure)) < 1000
    assert len(heard.requests) == 1
    assert heard.requests[0].result == ("ok" if error is None else "error")
    heard.requests[0].model.encode()
    assert error is None or error.request_id == heard.requests[0].request_id
    assert in_flight(router) == 0
    return error


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["scripted", "openai", "claude", "ollama", "localai"])
def test_any_value_of_any_option_ends_in_an_answer_or_one_typed_error(kind: str, operation: str) -> None:
    call, request = CALLS[operation]

    async def main() -> None:
        async with router(kind) as r:
            for name in options_of(request):
                for value in ODD.values():
                    await ends_well(r, call, "m", "hi", **{name: value})

    run(main())


@pytest.mark.parametrize("operation", CALLS)
def test_any_name_of_a_model_ends_in_one_typed_error(operation: str) -> None:
    call, _ = CALLS[operation]

    async def main() -> None:
        async with router("scripted") as r:
            for model in ODD.values():
                error = await ends_well(r, call, model, "hi")
                assert type(error) is (UnknownModel if isinstance(model, str) else InvalidRequest)

    run(main())


FULL_NAMES = [f"a/{LONE}", "a/\0", "a/" + "x" * 1_000_000, f"{LONE}/x", "/", "a/", "//"]


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["scripted", "openai"])
def test_any_full_name_ends_well(kind: str, operation: str) -> None:
    call, _ = CALLS[operation]

    async def main() -> None:
        async with router(kind) as r:
            for model in FULL_NAMES:
                await ends_well(r, call, model, "hi")

    run(main())


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("kind", ["scripted", "openai", "claude", "ollama"])
def test_any_prompt_ends_well(kind: str, operation: str) -> None:
    call, _ = CALLS[operation]

    async def main() -> None:
        async with router(kind) as r:
            for text in ODD.values():
                await ends_well(r, call, "m", text)
                if operation in ("chat", "stream"):
                    await ends_well(r, call, "m", [{"role": "user", "content": text}])
                    await ends_well(r, call, "m", [{"role": text, "content": "hi"}])
                    await ends_well(r, call, ChatRequest(text, text))

    run(main())


SECONDS = [
    "0",
    "-1",
    "nan",
    "inf",
    "10**400",
    "-10**400",
    "10**5000",
    "huge",
    "True",
    "text",
    "lone surrogate",
]


@pytest.mark.parametrize("name", ["timeout", "first_token_timeout", "idle_timeout"])
@pytest.mark.parametrize("value", SECONDS)
def test_seconds_are_a_number_above_0_that_somebody_could_live_to_see(name: str, value: str) -> None:
    async def main() -> None:
        async with router("scripted") as r:
            error = await ends_well(r, CALLS["stream"][0], "m", "hi", **{name: ODD[value]})
            assert isinstance(error, InvalidRequest)
            assert name in error.message

    run(main())


@pytest.mark.parametrize("value", ODD)
def test_an_explanation_of_anything_is_one_or_a_typed_error(value: str) -> None:
    with pytest.raises(CallError):
        router("scripted").explain(ODD[value])


def test_the_audit_has_one_readable_line_for_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with router("scripted", audit=[{"type": "jsonl", "path": str(tmp_path)}]) as r:
            for model in (LONE, "\0", "x" * 1_000_000, 5, None):
                for call, _ in CALLS.values():
                    await ends_well(r, call, model, "hi")
            await ends_well(r, CALLS["chat"][0], "m", "hi", temperature=LONE)

    run(main())
    (path,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(each) for each in path.read_text("utf-8").splitlines()]
    assert sum(each["event"] == "request" for each in lines) == 21
    assert max(map(len, path.read_text("utf-8").splitlines())) < 3000

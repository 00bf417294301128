"""Whatever an upstream repeats of our secrets, none of them is in an error, event, status, record or log."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from canaries import EVERY, HEADER, KEY, PASSWORD, WAYS, WIRES, found_in, upstream

from pointsman import Router
from pointsman._internal.scrubber import forms
from pointsman.errors import PointsmanError


def config(wire: str, transport: str, url: str, audit: Path) -> dict[str, Any]:
    return {
        "providers": {
            "a": {
                "type": wire,
                "base_url": url,
                "auth": {"type": "static", "value": KEY},
                "headers": {"x-more": HEADER, "proxy-authorization": PASSWORD},
            }
        },
        "models": {"m": {"deployments": ["a/x"]}},
        "retry": "none",
        "circuit_breaker": {"enabled": False},
        "transport": transport,
        "audit": [{"type": "jsonl", "path": str(audit)}, {"type": "logging"}],
    }


def told(error: BaseException) -> str:
    """Everything that an error says to anybody."""
    shown = [
        str(error),
        repr(error),
        repr(error.args),
        repr(vars(error)),
        pickle.dumps(error).decode("latin-1"),
    ]
    shown += traceback.format_exception(error)
    shown += traceback.format_exception(error, chain=False)
    return "\n".join(shown)


def variables(error: BaseException | None) -> str:
    """What the frames of an error, and of those before it, hold: some tools show that, too."""
    shown = []
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        for frame in frames:
            if frame.f_code.co_filename != __file__:  # its own hold what is looked for
                shown += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
        error = error.__cause__ or error.__context__
    return "\n".join(shown)


async def asked(router: Router, operation: str) -> str:
    """What the caller is given by a call that succeeds."""
    if operation == "chat":
        return repr(await router.chat("m", "hi"))
    async with router.stream("m", "hi") as stream:
        async for _ in stream:
            pass
    return repr(stream.response)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("transport", ["h1", "aiohttp", "httpx"])
async def test_no_secret_comes_back(
    transport: str, wire: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    places: dict[str, str] = {}
    failed = set()
    async with upstream(WIRES[wire]) as (url, set_way):
        router = Router.from_config(config(wire, transport, url, tmp_path))
        events: list[object] = []
        router.listen(events.append)
        async with router:
            for way, secret in [
                (way, secret) for way in WAYS for secret in (EVERY if wire == "openai" else [KEY])
            ]:
                set_way(WAYS[way], secret)
                place = f"{way}, {EVERY.index(secret)}"
                for operation in ("chat", "stream"):
                    try:
                        places[f"{operation}: {place}"] = await asked(router, operation)
                    except PointsmanError as error:
                        failed.add(way)
                        places[f"{operation} error: {place}"] = told(error)
                    router.reset("a/x")
                places[f"health: {place}"] = json.dumps((await router.health()).to_dict())
                places[f"events: {place}"] = "\n".join(map(repr, events))
                places[f"status: {place}"] = json.dumps(router.status().to_dict())
                places[f"log: {place}"] = caplog.text
                events.clear()
                caplog.clear()
            places["config"] = f"{router.config!r} {router.config.model_dump_json()}"
    places["audit"] = "".join(file.read_text() for file in tmp_path.iterdir())  # noqa: ASYNC240 - all is over

    assert {place: found for place, text in places.items() if (found := found_in(text))} == {}
    assert set(WAYS) - failed <= {"in the id of an answer", "as the content type"}


@pytest.mark.parametrize("wire", WIRES)
async def test_no_secret_is_in_a_variable_of_a_frame_of_an_error(wire: str, tmp_path: Path) -> None:
    places: dict[str, str] = {}
    async with (
        upstream(WIRES[wire]) as (url, set_way),
        Router.from_config(config(wire, "h1", url, tmp_path)) as router,
    ):
        for way in WAYS:
            set_way(WAYS[way], KEY)
            for operation in ("chat", "stream"):
                with suppress(PointsmanError):
                    try:
                        await asked(router, operation)
                    except PointsmanError as error:
                        places[f"{operation}: {way}"] = variables(error)
                        raise
                router.reset("a/x")

    assert len(places) > len(WAYS)
    assert {place: found for place, text in places.items() if (found := found_in(text))} == {}


USER = f"user:{PASSWORD}"


@pytest.mark.parametrize("transport", ["aiohttp", "httpx"])
async def test_no_password_of_a_proxy_comes_back(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    places: dict[str, str] = {}
    async with upstream(WIRES["openai"]) as (url, set_way):
        given = config("openai", transport, "http://upstream.test/v1", tmp_path)
        given["providers"]["a"]["proxy"] = url.replace("http://", f"http://user:{quote(PASSWORD)}@")
        del given["providers"]["a"]["headers"]
        async with Router.from_config(given) as router:
            for way in WAYS:
                for secret in (PASSWORD, USER):
                    set_way(WAYS[way], secret)
                    with pytest.raises(PointsmanError) as raised:
                        await asked(router, "chat")
                        raise PointsmanError("an answer")
                    places[f"{way}: {len(secret)}"] = told(raised.value) + caplog.text
                    caplog.clear()
                    router.reset("a/x")

    hidden = [*forms(PASSWORD), *forms(USER)]
    assert {
        place: found for place, text in places.items() if (found := [each for each in hidden if each in text])
    } == {}


async def test_a_key_that_changes_is_hidden_before_and_after(tmp_path: Path) -> None:
    old, new = f"old-{KEY}", f"new-{KEY[::-1]}"
    file = tmp_path / "key"
    file.write_text(old)
    places: list[str] = []
    async with upstream(WIRES["openai"]) as (url, set_way):
        given = config("openai", "h1", url, tmp_path / "audit")
        given["providers"]["a"] = {
            "type": "openai",
            "base_url": url,
            "auth": {"type": "file", "path": str(file)},
        }
        async with Router.from_config(given) as router:
            for secret in (old, new, old):  # an answer to the old one may be late
                file.write_text(new if places else old)
                set_way(WAYS["with the status of a wrong key"], secret)
                with pytest.raises(PointsmanError) as raised:
                    await asked(router, "chat")
                places.append(told(raised.value))
                router.reset("a/x")

    assert [
        secret in text for text in places for secret in (*forms(old), *forms(new)) if secret in text
    ] == []
    assert all("***" in text for text in places)


def test_the_search_finds_what_it_looks_for() -> None:
    assert [bool(found_in(json.dumps([secret]))) for secret in EVERY] == [True, True, True]
    assert found_in("nothing") == []

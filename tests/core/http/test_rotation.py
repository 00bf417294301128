"""Several credentials of one provider: a 401 moves on to the next within the attempt, whatever they are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from pointsman import Router
from pointsman._internal.scrubber import Scrubber
from pointsman.auth import Auth, CredentialVersion, Fixed, Outgoing, RefreshingAuth, Secret, SigningAuth
from pointsman.clock import LoopClock
from pointsman.errors import AuthenticationFailed, CallError, NotReady, Refusal
from pointsman.http.client import CallTimeouts, Client, Endpoint
from pointsman.http.failures import Used
from pointsman.http.renewal import Renewal
from pointsman.http.rotation import CredentialRotation, RotationSource
from pointsman.testing import run

LONG = CallTimeouts(deadline=1e9)


class Guard(httpx.AsyncBaseTransport):
    """An upstream that takes what is not in `refuses`, after `wait` seconds."""

    def __init__(self, *refuses: str, wait: float = 0.0) -> None:
        self.refuses, self.wait = set(refuses), wait
        self.seen: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = request.headers.get("authorization", "nothing").removeprefix("Bearer ")
        self.seen.append(token)
        await asyncio.sleep(self.wait)
        return httpx.Response(401 if token in self.refuses else 200, stream=httpx.ByteStream(b"{}"))


class Signs(SigningAuth):
    def __init__(self, key: str) -> None:
        self.key = key

    def sign(self, outgoing: Outgoing) -> Mapping[str, str]:
        return {"authorization": f"{self.key} {outgoing.method}"}


class Fails(RefreshingAuth):
    """Gives nobody anything."""

    refreshes = 0

    def current(self) -> Secret | None:
        raise NotReady("there is none yet")

    async def refresh(self) -> None:
        self.refreshes += 1
        await asyncio.sleep(1)
        raise AuthenticationFailed("the vault is shut")


class Versions(RefreshingAuth):
    """What `store` holds, as it was when it was last read, which takes a second."""

    def __init__(self, *values: str) -> None:
        self.store = [CredentialVersion(value, Secret(value)) for value in values]
        self.read: Sequence[CredentialVersion] | None = None
        self.reads = 0

    def current(self) -> Secret | None:
        return self.versions()[0].secret

    def versions(self) -> Sequence[CredentialVersion]:
        if self.read is None:
            raise NotReady("it was not read yet")
        return self.read

    def rejected(self, secret: Secret) -> bool:
        if self.read is not None and len(self.read) != len(self.store):
            self.read = None
        return self.read is None

    async def refresh(self) -> None:
        self.reads += 1
        await asyncio.sleep(1)
        self.read = tuple(self.store)


def source(auth: Auth, *, not_before: float | None = None, not_after: float | None = None) -> RotationSource:
    renewal = Renewal(auth, clock=LoopClock(), rng=random.Random(1), scrubber=Scrubber(), plugin="some")
    return RotationSource("some", renewal, auth, not_before, not_after)


def rotation(*sources: RotationSource | Auth) -> CredentialRotation:
    made = [each if isinstance(each, RotationSource) else source(each) for each in sources]
    return CredentialRotation(
        made, clock=LoopClock(), rng=random.Random(1), scrubber=Scrubber(), provider="here"
    )


def client(auth: Auth, upstream: httpx.AsyncBaseTransport) -> Client:
    clock = LoopClock()
    return Client(Endpoint("http://host"), upstream, auth=auth, clock=clock, plugins=Used(auth="some"))


def keys(*values: str) -> list[Fixed]:
    return [Fixed(Secret(value)) for value in values]


async def status(made: Client) -> int:
    return (await made.fetch("POST", "/x", {}, timeouts=LONG))[0].status


def test_a_call_goes_on_to_each_credential_that_is_left_and_those_after_it_begin_there() -> None:
    async def work() -> None:
        upstream = Guard("a", "b", "c")
        made = client(rotation(*keys("a", "b", "c", "d")), upstream)

        assert [await status(made), await status(made)] == [200, 200]
        assert upstream.seen == ["a", "b", "c", "d", "d"]

    run(work())


def test_of_a_hundred_calls_in_flight_none_fails_and_none_asks_with_the_old_one_again() -> None:
    async def work() -> None:
        upstream = Guard("old", wait=0.5)
        made = client(rotation(*keys("old", "new")), upstream)

        assert await asyncio.gather(*(status(made) for _ in range(100))) == [200] * 100
        assert [upstream.seen.count(each) for each in ("old", "new")] == [100, 100]
        assert await status(made) == 200
        assert upstream.seen[-1] == "new"

    run(work())


def test_where_all_are_rejected_the_401_is_the_answer_and_the_first_to_be_rested_is_asked_again() -> None:
    async def work() -> None:
        upstream = Guard("a", "b")
        made = client(rotation(*keys("a", "b")), upstream)

        assert await status(made) == 401
        await asyncio.sleep(30)
        assert await status(made) == 401
        assert upstream.seen == ["a", "b", "a", "b"]
        upstream.refuses.clear()
        assert await status(made) == 200
        await asyncio.sleep(1)
        assert await status(made) == 200
        assert len(set(upstream.seen[4:])) == 1

    run(work())


def test_one_that_was_rejected_before_it_was_valid_upstream_is_used_when_the_other_is_revoked() -> None:
    async def work() -> None:
        upstream = Guard("new")
        made = client(rotation(*keys("new", "old")), upstream)
        assert await status(made) == 200

        upstream.refuses = {"old"}

        assert await asyncio.gather(*(status(made) for _ in range(20))) == [200] * 20

    run(work())


def test_a_rested_one_is_preferred_again_after_a_minute() -> None:
    async def work() -> None:
        upstream = Guard("a")
        made = client(rotation(*keys("a", "b")), upstream)
        await status(made)
        upstream.refuses.clear()

        await asyncio.sleep(59)
        await status(made)
        await asyncio.sleep(2)
        await status(made)

        assert upstream.seen == ["a", "b", "b", "a"]

    run(work())


def test_one_that_has_nothing_to_send_gives_way_without_an_attempt() -> None:
    async def work() -> None:
        upstream, fails = Guard(), Fails()
        made = client(rotation(fails, *keys("b")), upstream)

        assert [await status(made), await status(made)] == [200, 200]
        assert (fails.refreshes, upstream.seen) == (1, ["b", "b"])

    run(work())


def test_signatures_take_turns_too() -> None:
    async def work() -> None:
        upstream = Guard("one POST")
        made = client(rotation(Signs("one"), Signs("two")), upstream)

        assert await status(made) == 200
        assert upstream.seen == ["one POST", "two POST"]

    run(work())


def test_a_credential_is_used_from_its_begin_to_its_end_and_outside_of_that_nobody_is_asked() -> None:
    async def work() -> None:
        upstream, wall = Guard(), LoopClock().wall()
        ended = source(*keys("ended"), not_after=wall - 10)
        early = source(*keys("early"), not_before=wall + 10_000)
        made = client(rotation(ended, early, source(*keys("now"), not_after=wall + 10_000)), upstream)
        assert await status(made) == 200

        made = client(rotation(ended, early), upstream)
        with pytest.raises(
            AuthenticationFailed, match="no credential: none of provider 'here' is valid"
        ) as failed:
            await status(made)

        assert upstream.seen == ["now"]
        assert (failed.value.refusal, failed.value.without_credential) == (Refusal.NO_CREDENTIAL, True)

    run(work())


def test_versions_that_a_source_gets_after_a_rejection_are_used_by_the_call_that_was_rejected() -> None:
    async def work() -> None:
        upstream, versions = Guard(), Versions("one")
        made = client(rotation(versions), upstream)
        assert await status(made) == 200

        versions.store.append(CredentialVersion("two", Secret("two"), not_before=1.0))
        upstream.refuses.add("one")

        assert await asyncio.gather(*(status(made) for _ in range(50))) == [200] * 50
        assert versions.reads == 2
        assert upstream.seen[-1] == "two"

    run(work())


def test_a_source_that_is_being_read_holds_up_nobody_while_another_has_a_credential() -> None:
    async def work() -> None:
        upstream, versions = Guard(), Versions("one")
        made, loop = client(rotation(versions, *keys("other")), upstream), asyncio.get_running_loop()

        begun = loop.time()
        assert await status(made) == 200
        assert loop.time() - begun < 0.1
        await asyncio.sleep(2)
        assert versions.reads == 1

    run(work())


def test_the_error_says_why_the_only_source_has_nothing() -> None:
    async def work() -> None:
        class Shut(Versions):
            async def refresh(self) -> None:
                raise AuthenticationFailed("the vault is shut")

        with pytest.raises(CallError, match="no credential: the vault is shut"):
            await status(client(rotation(Shut()), Guard()))

    run(work())


async def test_a_status_tells_sources_of_one_type_apart_by_their_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NEW_KEY", "sk-new-0123456789")
    monkeypatch.setenv("OLD_KEY", "sk-old-0123456789")
    (tmp_path / "key").write_text("sk-file-0123456789")
    auth = [
        {"type": "env", "name": name, "not_after": 4e9 - n} for n, name in enumerate(("NEW_KEY", "OLD_KEY"))
    ]
    auth.append({"type": "file", "path": str(tmp_path / "key")})
    given = {
        "providers": {"a": {"type": "openai", "base_url": "http://127.0.0.1:9", "auth": auth}},
        "models": {"m": {"deployments": ["a/m"]}},
    }

    async with Router.from_config(given) as router:
        told = [(each.source, each.name) for each in router.status().credentials]

    assert told == [("env", "NEW_KEY"), ("env", "OLD_KEY"), ("file", str(tmp_path / "key"))]

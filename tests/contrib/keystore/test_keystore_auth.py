"""Credentials of a running router out of a keystore and a keyring: taken up, rotated, lost and found again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

from pointsman import AuthenticationFailed, Router
from pointsman.plugin import Secret
from pointsman_keystore import keystore_auth
from pointsman_keystore.edits import added, removed, rotated
from pointsman_keystore.format import Master
from pointsman_keystore.store import Keystore
from pointsman_simulator import Simulator, Upstream

PASSPHRASE = "correct horse battery"
OLD, NEW = "sk-canary-old-0001", "sk-canary-new-0002"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keystore:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("POINTSMAN_KEYSTORE_PASSPHRASE", PASSPHRASE)
    made = Keystore(tmp_path / "pointsman.keystore", lambda: Master(passphrase=Secret(PASSPHRASE)))
    made.create(lambda entries: added(entries, "cloud", Secret(OLD), 1.0), n=2**10)
    return made


@asynccontextmanager
async def running(folder: Path, auth: Any = None, **more: Any) -> AsyncIterator[tuple[Router, Upstream]]:
    async with Simulator() as simulator:
        upstream = await simulator.add("openai", name="cloud", models=["m"], api_key=OLD)
        given = {
            "providers": {
                "a": {
                    "type": "openai",
                    "base_url": upstream.base_url,
                    "auth": auth or {"type": "keystore", "entry": "cloud"},
                }
            },
            "models": {"m": {"deployments": ["a/m"]}},
            "retry": "none",
            "keystore": {"path": str(folder / "pointsman.keystore")},
            **more,
        }
        async with Router.from_config(given) as router:
            yield router, upstream


async def ask(router: Router) -> str:
    return (await router.chat("m", "hello")).text


def credentials(router: Router) -> list[dict[str, Any]]:
    return [each.to_dict() for each in router.status().credentials]


def test_type_and_entry_are_enough_and_the_status_says_where_it_comes_from(
    store: Keystore, tmp_path: Path
) -> None:
    async def main() -> None:
        async with running(tmp_path) as (router, _):
            assert await ask(router)
            (told,) = credentials(router)
            assert (told["provider"], told["source"], told["name"], told["state"]) == (
                "a",
                "keystore",
                "cloud 1",
                "in_use",
            )
            assert OLD not in str(told)

    asyncio.run(main())


def test_a_rotation_and_the_end_of_the_old_key_fail_no_call(store: Keystore, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as (router, upstream):
            assert await ask(router)
            store.change(lambda entries: rotated(entries, "cloud", Secret(NEW), 2.0, overlap=60.0))
            upstream.site.api_key = NEW

            assert all(await asyncio.gather(*(ask(router) for _ in range(50))))
            assert credentials(router)[0]["state"] == "in_use"
            assert credentials(router)[0]["name"] == "cloud 2"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("passphrase", "its key or passphrase is another one, or the file was changed"),
        ("edit", "its key or passphrase is another one, or the file was changed"),
        ("mode", "chmod 600"),
        ("gone", "there is no keystore"),
        ("entry", "the keystore has no entry cloud; there are: none"),
        ("unset", "nothing says what opens the keystore: set POINTSMAN_KEYSTORE_PASSPHRASE"),
    ],
)
def test_a_store_that_is_of_no_use_fails_what_needs_it_alone_and_the_status_is_loud(
    spoil: str, why: str, store: Keystore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = store.path
    match spoil:
        case "passphrase":
            monkeypatch.setenv("POINTSMAN_KEYSTORE_PASSPHRASE", "another")
        case "edit":
            file.write_bytes(file.read_bytes()[:-1] + b"!")
        case "mode":
            file.chmod(0o644)
        case "gone":
            file.unlink()
        case "entry":
            store.change(lambda entries: removed(entries, "cloud"))
        case "unset":
            monkeypatch.delenv("POINTSMAN_KEYSTORE_PASSPHRASE")

    async def main() -> None:
        async with running(tmp_path) as (router, upstream):
            with pytest.raises(AuthenticationFailed) as raised:
                await ask(router)
            assert raised.value.message.startswith("no credential: ")
            assert why in raised.value.message
            (told,) = credentials(router)
            assert told["state"] == "missing"
            assert why in told["trouble"]
            assert upstream.requests == []

    asyncio.run(main())


def test_another_provider_goes_on_where_the_keystore_cannot_be_opened(
    store: Keystore, tmp_path: Path
) -> None:
    store.path.chmod(0o644)

    async def main() -> None:
        auth = [{"type": "keystore", "entry": "cloud"}, {"type": "static", "value": OLD}]
        async with running(tmp_path, auth) as (router, _):
            assert await ask(router)
            assert [each["state"] for each in credentials(router)] == ["missing", "in_use"]

    asyncio.run(main())


def test_a_running_router_keeps_what_it_had_when_the_file_is_spoilt_and_says_so(
    store: Keystore, tmp_path: Path
) -> None:
    async def main() -> None:
        async with running(tmp_path) as (router, _):
            assert await ask(router)
            store.path.write_bytes(b"spoilt")
            await asyncio.sleep(1.05)  # it looks once a second
            for _ in range(100):
                assert await ask(router)
                if credentials(router)[0]["trouble"]:
                    break
                await asyncio.sleep(0.02)
            assert "cannot be opened" in credentials(router)[0]["trouble"]
            assert credentials(router)[0]["state"] == "in_use"

    asyncio.run(main())


def test_what_several_providers_have_in_common_is_opened_once(
    store: Keystore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    real = keystore_auth.master_of
    monkeypatch.setattr(keystore_auth, "master_of", lambda *given: (opened.append(given), real(*given))[1])

    async def main() -> None:
        async with Simulator() as simulator:
            upstream = await simulator.add("openai", name="cloud", models=["m"], api_key=OLD)
            auth = {"type": "keystore", "entry": "cloud"}
            provider = {"type": "openai", "base_url": upstream.base_url, "auth": auth}
            given = {
                "providers": {f"p{n}": dict(provider) for n in range(8)},
                "models": {f"m{n}": {"deployments": [f"p{n}/m"]} for n in range(8)},
                "keystore": {"path": str(store.path)},
            }
            async with Router.from_config(given) as router:
                await asyncio.gather(*(router.chat(f"m{n}", "hello") for n in range(8)))
            assert len(opened) == 1

    asyncio.run(main())


class InMemory(KeyringBackend):
    """A keyring of the operating system, of which there is none here."""

    priority = 1  # type: ignore[assignment]  # a property there

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def ring() -> Iterator[InMemory]:
    before = keyring.get_keyring()
    made = InMemory()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_a_keyring_is_asked_again_when_its_credential_was_rejected(
    ring: InMemory, store: Keystore, tmp_path: Path
) -> None:
    ring.set_password("pointsman", "cloud", OLD)

    async def main() -> None:
        async with running(tmp_path, {"type": "keyring", "user": "cloud"}) as (router, upstream):
            assert await ask(router)
            upstream.site.api_key = NEW
            ring.set_password("pointsman", "cloud", NEW)

            assert all(await asyncio.gather(*(ask(router) for _ in range(20))))

    asyncio.run(main())


def test_a_keyring_that_has_nothing_says_so(ring: InMemory, store: Keystore, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, {"type": "keyring", "user": "cloud"}) as (router, _):
            with pytest.raises(AuthenticationFailed, match="the keyring has nothing under pointsman / cloud"):
                await ask(router)
            assert credentials(router)[0]["state"] == "missing"

    asyncio.run(main())


def test_a_key_in_the_keyring_opens_a_keystore(ring: InMemory, tmp_path: Path) -> None:
    from base64 import b64encode

    tmp_path.chmod(0o700)
    key = bytes(range(32))
    ring.set_password("pointsman", "keystore", b64encode(key).decode())
    made = Keystore(tmp_path / "other", lambda: Master(key=key))
    made.create(lambda entries: added(entries, "cloud", Secret(OLD), 1.0))

    async def main() -> None:
        section = {"path": str(tmp_path / "other"), "keyring": True}
        async with running(tmp_path, keystore=section) as (router, _):
            assert await ask(router)

    asyncio.run(main())

"""How it stands with credentials, as `pointsman status` and `pointsman doctor` tell it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest
from click.testing import CliRunner

from pointsman.plugin import Secret
from pointsman_keystore.edits import added, rotated
from pointsman_keystore.format import Master
from pointsman_keystore.store import Keystore
from pointsman_simulator import Simulator

KEY, NEXT = "sk-canary-0001-first", "sk-canary-0002-next"
PASSPHRASE = "correct horse battery"


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(work):  # type: ignore[no-untyped-def]  # whatever a coroutine gives
        return asyncio.run_coroutine_threadsafe(work, loop).result(20)

    simulator = Simulator()
    upstream = wait(simulator.add("openai", name="cloud", models=["m"], api_key=KEY))
    yield upstream.base_url
    wait(simulator.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def store(tmp_path: Path, base_url: str, monkeypatch: pytest.MonkeyPatch) -> Keystore:
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POINTSMAN_KEYSTORE_PASSPHRASE", PASSPHRASE)
    (tmp_path / "pointsman.yaml").write_text(
        "providers:\n"
        f"  a: {{type: openai, base_url: '{base_url}', auth: {{type: keystore, entry: cloud}}, models: [m]}}\n"
        "keystore: {path: kept}\n"
    )
    return Keystore(tmp_path / "kept", lambda: Master(passphrase=Secret(PASSPHRASE)))


def run(*arguments: str) -> str:
    from pointsman_cli.app import run as run_app

    with CliRunner().isolation() as (out, err, _both):
        run_app([*arguments])
        said = out.getvalue().decode() + err.getvalue().decode()
    assert KEY not in said
    assert NEXT not in said
    return said


def doctor() -> list[str]:
    return [line for line in run("doctor").splitlines() if line.startswith("credentials\t")]


def made(store: Keystore, **more: float) -> None:
    store.create(lambda entries: added(entries, "cloud", Secret(KEY), time(), **more), n=2**10)


def test_a_credential_that_is_well_is_told_by_where_it_comes_from(store: Keystore) -> None:
    made(store)

    assert doctor() == ["credentials\tok\ta\tauth keystore\t"]
    assert "credential of" not in run("status")


def test_one_that_ends_within_a_week_is_a_warning_unless_another_follows_it(store: Keystore) -> None:
    made(store, not_after=time() + 3 * 86_400 + 60)

    (line,) = doctor()
    assert line.startswith("credentials\twarn\ta\tkeystore 'cloud 1': in use, ends in 3 d")
    assert "credential of a: keystore 'cloud 1': in use, ends in 3 d" in run("status")

    store.change(lambda entries: rotated(entries, "cloud", Secret(KEY + "x"), time() - 1, overlap=9e5))
    assert "no other follows it" not in "".join(doctor())


def test_one_that_has_ended_is_a_failure(store: Keystore) -> None:
    made(store, not_after=time() - 60)

    (line,) = doctor()
    assert line.startswith("credentials\tfail\ta\tkeystore 'cloud 1': ended")
    assert "credential of a: keystore 'cloud 1': ended" in run("status")


def test_one_that_was_rejected_is_named_with_the_one_that_took_its_place(store: Keystore) -> None:
    made(store)
    store.change(lambda entries: rotated(entries, "cloud", Secret(NEXT), time() - 1, overlap=9e5))

    (line,) = doctor()
    assert line.startswith("credentials\twarn\ta\trefused by the provider: keystore 'cloud 2': resting")


def test_a_keystore_that_cannot_be_opened_is_loud(store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    made(store)
    monkeypatch.setenv("POINTSMAN_KEYSTORE_PASSPHRASE", "another")

    (line,) = doctor()
    assert line.startswith("credentials\tfail\ta\tkeystore: missing; the keystore ")
    assert "its key or passphrase is another one, or the file was changed" in line
    assert "its key or passphrase is another one" in run("status")

"""Keys in a database: made once, shown once, and of no use to whoever has what is stored."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest
from postgres import postgres_url as postgres_url

from pointsman.plugin import ConfigError, InvalidRequest, Secret
from pointsman_callers.keys.live import LiveKeys
from pointsman_callers.keys.managing import KeyManager, Made, Maker, NotYours, shown
from pointsman_callers.keys.pepper import pepper_in
from pointsman_callers.keys.scope import Scope
from pointsman_callers.keys.service import CallersSettings, configured_names, opened
from pointsman_callers.keys.store import KeyStore, NameTaken
from pointsman_callers.keys.wanted import Wanted, parse_limit, written_limits
from pointsman_database import Database

PEPPER = b"p" * 32
ROOT = Maker("root")


class Wall:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    found = KeyStore(Database.open("keys.db", tmp_path))
    found.prepare()
    yield found
    found.database.close()


@pytest.fixture
def manager(store: KeyStore, wall: Wall) -> KeyManager:
    return KeyManager(store, PEPPER, wall, frozenset(["ci"]), frozenset(["openai", "ai"]))


def live(store: KeyStore, pepper: bytes = PEPPER) -> LiveKeys:
    found = LiveKeys(pepper)
    found.replace(store.everything().keys, 0.0)
    return found


def until(keys: LiveKeys, text: str) -> float | None:
    known = keys.known(text)
    return None if known is None else known.until


def test_a_key_is_known_as_its_caller_with_what_it_grants(manager: KeyManager, store: KeyStore) -> None:
    wanted = Wanted(
        "qa", ["assistant"], ["openai"], labels={"team": "qa"}, require={"region": "eu"}, expires="1h"
    )
    made = manager.add(wanted, ROOT)

    known = live(store).known(made.text)

    assert known is not None
    caller = known.caller
    assert (caller.name, caller.key_id, caller.models) == ("qa", made.key.id, frozenset(["assistant"]))
    assert (caller.surfaces, dict(caller.require)) == (frozenset(["openai"]), {"region": ("eu",)})
    assert (dict(caller.labels), caller.operator, known.until) == ({"team": "qa"}, False, 4_600.0)


def test_what_is_stored_opens_nothing_and_shows_nothing(
    manager: KeyManager, store: KeyStore, tmp_path: Path
) -> None:
    made = manager.add(Wanted("qa"), ROOT)
    keys = live(store)
    (secret,) = store.everything().keys[made.key.id].secrets

    for text in (
        secret.digest,
        f"pm_{made.key.id}_{secret.digest}",
        made.key.id,
        made.text[:-1],
        made.text + "0",
    ):
        assert keys.known(text) is None
    assert live(store, b"q" * 32).known(made.text) is None
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert made.text.encode() not in kept
    assert made.text[12:].encode() not in kept
    assert made.text not in repr(made)
    assert made.text not in str(shown(made.key, {made.key.id: made.key}, 0.0))


def test_a_name_is_of_one_good_key_and_of_none_of_the_configuration(manager: KeyManager) -> None:
    first = manager.add(Wanted("qa"), ROOT)
    with pytest.raises(NameTaken):
        manager.add(Wanted("qa"), ROOT)
    with pytest.raises(NameTaken):
        manager.add(Wanted("ci"), ROOT)

    manager.revoke(first.key.id, ROOT)

    assert manager.add(Wanted("qa"), ROOT).key.id != first.key.id


def test_a_key_that_is_made_anew_is_good_beside_the_former_one_for_a_while(
    manager: KeyManager, store: KeyStore, wall: Wall
) -> None:
    first = manager.add(Wanted("qa"), ROOT)
    wall.now = 2_000.0

    second = manager.rotate(first.key.id, 60.0, ROOT)

    keys = live(store)
    assert second.key.id == first.key.id
    assert (until(keys, first.text), until(keys, second.text)) == (2_060.0, inf)
    wall.now = 2_010.0
    third = manager.rotate(first.key.id, 3_600.0, ROOT)
    keys = live(store)
    assert [until(keys, each.text) for each in (first, second, third)] == [2_060.0, 5_610.0, inf]


def test_a_revoked_key_and_those_that_it_made_are_over(
    manager: KeyManager, store: KeyStore, wall: Wall
) -> None:
    root = manager.add(Wanted("lead", operator=True), ROOT)
    child = manager.add(Wanted("child"), Maker("lead", root.key.id, root.key.scope))
    keys = live(store)
    wall.now = 2_000.0

    manager.revoke(root.key.id, ROOT)

    over, others = keys.replace(store.everything().keys, 2_000.0)
    assert (sorted(over), others) == (sorted([root.key.id, child.key.id]), [])
    assert until(keys, root.text) == until(keys, child.text) == 2_000.0
    with pytest.raises(InvalidRequest, match="revoked"):
        manager.rotate(child.key.id, 0.0, ROOT)


def test_an_erased_key_leaves_nothing(manager: KeyManager, store: KeyStore) -> None:
    made = manager.add(Wanted("qa"), ROOT)

    manager.erase(made.key.id, ROOT)

    assert store.everything().keys == {}
    assert live(store).known(made.text) is None


def test_limits_of_a_unit_replace_those_of_that_unit_alone(manager: KeyManager, store: KeyStore) -> None:
    made = manager.add(
        Wanted("qa", limits={"requests": "9/day", "money": ["1 USD/day", "10 USD/month"]}), ROOT
    )

    manager.rescope(made.key.id, Wanted(limits={"money": None, "tokens": "1M/hour"}), ROOT)

    scope = store.everything().keys[made.key.id].scope
    assert scope.limits == {"requests/day": 9.0, "tokens/hour": 1_000_000.0}


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("requests", "9"),
        ("requests", "9/week"),
        ("money", "9/day"),
        ("tokens", "9 USD/day"),
        ("calls", "9/day"),
        ("requests", "9" * 400 + "/day"),
        ("money", "9" * 20 + " USD/day"),
    ],
)
def test_a_limit_that_cannot_be_read_is_refused_with_one_that_can(unit: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match="limits: "):
        parse_limit(unit, text)


def test_limits_are_written_as_they_are_read() -> None:
    said = {"requests": ["1000/day"], "money": ["1.50 USD/day", "10.00 USD/month"]}
    read = dict(parse_limit(unit, text) for unit, texts in said.items() for text in texts)

    assert written_limits(read) == said


@pytest.mark.parametrize(
    "said",
    [
        {"name": ""},
        {"name": " qa"},
        {"name": "q\x1b[31m"},
        {"models": "assistant"},
        {"models": ["a*"]},
        {"labels": {"key_id": "other"}},
        {"labels": {f"l{n}": "x" for n in range(13)}},
        {"expires": "yesterday"},
        {"expires": "1970-01-01T00:00:00Z"},
        {"require": {"region": []}},
        {"require": {"region": {"eu": True}}},
        {"require": {"region": [["eu"]]}},
        {"require": {"region": None}},
        {"require": {"r" * 65: "eu"}},
        {"require": {"region": "e" * 257}},
        {"require": {f"l{n}": "x" for n in range(13)}},
        {"models": ["m" * 201]},
        {"models": ["assistant\n"]},
        {"models": [f"m{n}" for n in range(1_001)]},
        {"surfaces": ["opnai"]},
        {"surfaces": "openai"},
    ],
)
def test_what_cannot_be_right_is_refused_and_no_key_is_made(
    manager: KeyManager, store: KeyStore, said: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        manager.add(Wanted(**{"name": "qa", **said}), ROOT)
    assert store.everything().keys == {}


def test_the_pepper_is_made_once_for_its_owner_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.db.pepper"
    with caplog.at_level(logging.WARNING):
        store, pepper = opened(CallersSettings(database="keys.db"), tmp_path)
    store.database.close()

    assert "all replicas need the same" in caplog.text
    assert pepper.decode() not in caplog.text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert pepper_in(file) == (pepper, False)
    os.chmod(file, 0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        pepper_in(file)


def test_processes_that_begin_at_once_make_one_pepper(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pointsman_callers.keys.pepper import pepper_in;"
        "print(pepper_in(Path(sys.argv[1]))[0].decode())"
    )
    asked = [sys.executable, "-c", code, str(tmp_path / "pepper")]
    running = [subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    assert len({each.communicate()[0] for each in running}) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["pepper"]


def test_another_pepper_than_the_keys_were_made_with_is_told_at_once(tmp_path: Path) -> None:
    for number, pepper in enumerate(("p" * 32, "p" * 32, "q" * 32)):
        settings = CallersSettings(database="keys.db", pepper=Secret(pepper))
        if number < 2:
            opened(settings, tmp_path)[0].database.close()
        else:
            with pytest.raises(ConfigError, match="another pepper"):
                opened(settings, tmp_path)


def test_a_key_with_limits_does_not_get_those_of_another_by_making_it_anew(manager: KeyManager) -> None:
    limits = {"requests": "2/day"}
    one, two = (manager.add(Wanted(each, operator=True, limits=limits), ROOT).key for each in ("one", "two"))
    by = Maker("one", one.id, one.scope)

    with pytest.raises(NotYours, match="makes anew only itself"):
        manager.rotate(two.id, 0, by)
    assert manager.rotate(one.id, 0, by).text


def test_a_key_of_a_caller_with_less_is_refused_in_words(manager: KeyManager) -> None:
    lead = Maker("lead", scope=Scope(models=frozenset("a"), operator=True))
    with pytest.raises(NotYours, match="models: all, where whoever makes it has a"):
        manager.add(Wanted("qa", models="*"), lead)
    made: Made = manager.add(Wanted("qa"), lead)
    assert made.key.scope.models == frozenset("a")


def test_keys_in_postgres_are_those_of_all_who_have_its_address(postgres_url: str, tmp_path: Path) -> None:
    settings = CallersSettings(database=postgres_url, pepper=Secret("p" * 32))
    (one, pepper), (other, _) = opened(settings, tmp_path), opened(settings, tmp_path)
    try:
        made = KeyManager(one, pepper).add(Wanted("qa", labels={"team": "qa"}, expires="1h"), ROOT)
        one.seen("here", made.change)
        other.seen("there", 0)

        keys = LiveKeys(pepper)
        keys.replace(other.everything().keys, made.key.created)
        assert until(keys, made.text) == made.key.scope.expires
        with pytest.raises(NameTaken):
            KeyManager(other, pepper).add(Wanted("qa"), ROOT)
        found = KeyManager(other, pepper).announced(made.change, within=0.0)
        assert (found.seen, found.waiting, found.silent) == (["here"], ["there"], [])
        other.used({made.key.id: 5.0})
        assert one.everything().keys[made.key.id].last_used == 5.0
        other.gone("there")
        other.erase(made.key.id)
        assert one.everything().keys == {}
    finally:
        one.database.close()
        other.database.close()


@pytest.mark.parametrize("kind", ["keys", "signatures", "certificates"])
def test_no_key_is_named_as_whoever_the_configuration_names(kind: str) -> None:
    assert configured_names({"gateway": {"access": {kind: [{"name": "ci"}]}}}) == {"ci"}

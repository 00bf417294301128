"""How keys are written."""

from __future__ import annotations

import random

from pointsman_callers.keys.key_text import id_of, is_key, new_id, new_key


def test_a_key_is_known_by_its_own_check() -> None:
    for _ in range(200):
        id = new_id()
        key = new_key(id)
        assert is_key(key)
        assert id_of(key) == id
        assert len(key) == len("pm_") + 8 + 1 + 43 + 6
        assert key.replace("_", "").isalnum()


def test_every_typo_of_one_letter_and_every_cut_is_told_without_a_look_up() -> None:
    rng = random.Random(15)
    key = new_key(new_id())
    for at in range(len(key)):
        other = rng.choice([each for each in "0aZ_" if each != key[at]])
        assert not is_key(key[:at] + other + key[at + 1 :])
        assert not is_key(key[:at])
        assert not is_key(key[:at] + key[at + 1 :])


def test_two_keys_have_nothing_in_common_but_their_form() -> None:
    id = new_id()
    assert len({new_key(id) for _ in range(100)}) == 100
    assert len({new_id() for _ in range(1000)}) == 1000

"""Somebody follows docs/plugins/tutorial.md in an empty folder, and sees what it shows."""

from __future__ import annotations

import os

import pytest
from plugin_pages import PAGES
from walkthrough import Reader, Step, agrees, replaced, steps
from wheelhouse import Wheelhouse, third_party

PAGE = PAGES["tutorial.md"]


NOT_OF_THE_READER = ("VIRTUAL_ENV", "PYTHONPATH", "PYTEST_ADDOPTS", "UV_INDEX", "UV_PROJECT_ENVIRONMENT")


class Thrifty(Reader):
    """Takes packages out of uv's cache, and asks the network only for what that has not."""

    def type(self, command: str) -> tuple[int, str]:
        if not command.startswith("uv "):
            return super().type(command)
        code, seen = super().type(f"UV_OFFLINE=1 {command}")
        return (code, seen) if code == 0 else super().type(command)


@pytest.fixture(scope="module")
def reader(wheelhouse: Wheelhouse) -> Reader:
    """In an empty folder; our packages come from their wheels, others in the versions that the tests run with."""
    folder = wheelhouse.folder / "tutorial"
    folder.mkdir()
    constraints = wheelhouse.folder / "constraints.txt"
    constraints.write_text("\n".join(third_party()))
    inherited = {key: value for key, value in os.environ.items() if key not in NOT_OF_THE_READER}
    links = wheelhouse.ours[0].parent
    return Thrifty(folder, {**inherited, "UV_FIND_LINKS": str(links), "UV_CONSTRAINT": str(constraints)})


def test_the_tutorial_shows_what_one_sees_who_follows_it(reader: Reader) -> None:
    followed = list(steps(PAGE))

    for step in followed:
        reader.follow(step)

    assert len(followed) > 20


# ── whoever follows would notice ─────────────────────────────────────────────────────────────────────


def test_what_a_page_has_one_do_is_read_in_order() -> None:
    page = """
Type:

```console
$ ls
one
two
$ cd there
```

**`a.py`** is new:

```python
A = 1
```

In **`b.py`**, this changes:

```python
def f(): ...
```

```toml
only = "shown"
```
"""

    assert list(steps(page)) == [
        Step(command="ls", shown="one\ntwo"),
        Step(command="cd there"),
        Step(path="a.py", text="A = 1\n"),
        Step(path="b.py", text="def f(): ...\n", part=True),
    ]


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("9 passed in 7.44s", "11 passed in 0.31s"),
        ("…\nlast", "first\nsecond\nlast"),
        ("all 8 rules held", "all 12 rules held"),
        ("...F      [100%]", ".F..s.   [100%]"),
    ],
)
def test_what_varies_may_differ(shown: str, seen: str) -> None:
    assert agrees(shown, seen)


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("9 passed in 7.44s", "9 failed in 7.44s"),
        ("one\ntwo", "one\ntwo\nthree"),
        ("one", ""),
        ("", "a warning"),
        ("broken: STRATEGY-02", "broken: STRATEGY-03"),
    ],
)
def test_a_page_that_shows_something_else_than_is_seen_is_found(shown: str, seen: str) -> None:
    assert not agrees(shown, seen)


def test_definitions_take_the_place_of_those_of_their_names() -> None:
    text = "import a\n\n\nclass A:\n    x = 1\n\n\ndef f():\n    return 1\n"

    assert replaced(text, "def f():\n    return 2") == text.replace("return 1", "return 2")
    with pytest.raises(AssertionError, match="of the name of g"):
        replaced(text, "def g(): ...")

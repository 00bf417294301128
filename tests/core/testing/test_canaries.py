"""What authors of plugins have to see that no secret gets out."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest
from plugin_pages import block

from pointsman.testing import Canaries

pytest_plugins = ["pytester"]


def written(secret: str) -> list[str]:
    return [
        secret, json.dumps(secret), quote(secret), b64encode(f"user:{secret}".encode()).decode(),
        secret.encode().hex(), repr(secret),
    ]  # fmt: skip


def test_a_secret_is_found_however_it_is_written_and_nothing_else_is() -> None:
    canary = Canaries.one()
    canaries = Canaries([canary])

    assert [bool(canaries.in_text(f"a {each} b")) for each in written(canary)] == [True] * 6
    assert canaries.in_text("a sk-canary b " * 100) == []
    assert Canaries.one() != canary


def test_one_is_found_in_all_that_an_error_came_of() -> None:
    canary = Canaries.one()
    canaries = Canaries([canary])
    noted, holding = ValueError("no"), ValueError("no")
    noted.add_note(canary)
    holding.field = {"deep": canary}  # type: ignore[attr-defined]
    group = ExceptionGroup("no", [ValueError(canary)])
    caused, during = ValueError("no"), ValueError("no")
    caused.__cause__, during.__context__ = KeyError(canary), KeyError(canary)
    round = ValueError("no")
    round.__cause__ = round

    found = [bool(canaries.in_error(each)) for each in (noted, holding, group, caused, during, round)]

    assert found == [True, True, True, True, True, False]


def test_one_is_found_in_files_of_any_kind_but_those_that_may_have_it(tmp_path: Path) -> None:
    canary = Canaries.one()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log.bin").write_bytes(b"\xff\x00" + canary.encode() + b"\x00")
    (tmp_path / "pointsman.yaml").write_text(f"api_key: {json.dumps(canary)}")
    (tmp_path / "else.txt").write_text("nothing")
    os.mkfifo(tmp_path / "fifo")

    found = Canaries([canary]).in_files(tmp_path, but=lambda path: path == "pointsman.yaml")

    assert found.keys() == {"deep/log.bin"}
    assert canary in found["deep/log.bin"]


@pytest.mark.canary_in("*", reason="it tries a test that prints one")
def test_a_test_that_prints_its_secret_fails_and_one_that_keeps_it_does_not(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import base64, logging

        def test_prints(pointsman_canary):
            print(base64.b64encode(pointsman_canary.encode()).decode())

        def test_logs(pointsman_canary):
            logging.getLogger("a").warning(pointsman_canary)

        def test_keeps(pointsman_canary):
            assert pointsman_canary.startswith("sk-canary")
        """
    )

    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")

    ran.assert_outcomes(failed=2, passed=1)
    ran.stdout.fnmatch_lines(["*test_prints printed or logged the secret, as *"])


def test_the_test_of_the_page_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_page=block("testing.md", "pointsman_canary"))

    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")

    ran.assert_outcomes(passed=1)

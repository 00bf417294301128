"""The guard of all tests: a test that lets a well-known secret out is red, whichever way it goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import indent
from types import ModuleType

import pytest
from canary_guard import CanaryGuard, watch, watch_metrics

from pointsman import Router
from pointsman.auth import Secret
from pointsman.testing import Scripted

SUPPORT = Path(__file__).parents[1] / "support"
GUARD = Path(__file__).parents[1] / "conftest.py"

HEAD = """
import base64, logging, sqlite3, subprocess, sys
import canaries, pytest
from pointsman import Router
from pointsman.auth import Secret
from pointsman.testing import Scripted

def router(**changes):
    given = {"providers": {"p": {"type": "scripted"}}, "models": {"m": {"deployments": ["p/x"]}}, **changes}
    return Router.from_config(given, plugins=[Scripted()])
"""

LEAKS = {
    "printed": "print(canaries.KEY)",
    "error_output": "sys.stderr.write(canaries.HEADER)",
    "logged": "logging.getLogger('a').warning('%s', canaries.PASSWORD)",
    "in_base64": "print(base64.b64encode(canaries.KEY.encode()).decode())",
    "read_by_the_test": "print(canaries.KEY)\ncapsys.readouterr()",
    "by_a_program": "subprocess.run([sys.executable, '-c', f'print({canaries.HEADER!r})'], capture_output=True)",
    "raised": "with pytest.raises(ValueError):\n    raise ValueError(canaries.KEY)",
    "raised_as_cause": "with pytest.raises(ValueError):\n    raise ValueError('no') from KeyError(canaries.KEY)",
    "in_a_group": "with pytest.raises(ExceptionGroup):\n    raise ExceptionGroup('no', [KeyError(canaries.KEY)])",
    "as_a_note": "e = ValueError('no')\ne.add_note(canaries.HEADER)\nwith pytest.raises(ValueError):\n    raise e",
    "as_an_attribute": "e = ValueError('no')\ne.of = [canaries.HEADER]\nwith pytest.raises(ValueError):\n    raise e",
    "in_a_file": "with open(tmp_path / 'a.jsonl', 'w') as file:\n    file.write(canaries.KEY)",
    "in_a_database": "db = sqlite3.connect(tmp_path / 'a.db')\ndb.execute('create table t (a)')\n"
    "db.execute('insert into t values (?)', [canaries.PASSWORD])\ndb.commit()\ndb.close()",
    "as_its_own": "secret = Secret('another-canary-of-mine')\nprint(secret.reveal())",
    "in_the_status": "secret = Secret('a-canary-of-mine')\nrouter(aliases={secret.reveal(): 'm'}).status()",
    "in_the_configuration": "secret = Secret('a-canary-of-mine')\nrouter(aliases={secret.reveal(): 'm'})",
}
FINE = {
    "says_nothing": "print('fine')",
    "keeps_it": "repr(Secret('a-canary-of-mine'))",
    "is_a_fixture": "(tmp_path / 'key').write_text(canaries.KEY)",
}
ALLOWED = """
@pytest.mark.canary_in("file a.*", reason="it is what this file is for")
def test_may(tmp_path):
    with open(tmp_path / 'a.jsonl', 'w') as file:
        file.write(canaries.KEY)
"""


def ran(folder: Path, text: str) -> str:
    (folder / "conftest.py").write_text(GUARD.read_text())
    (folder / "test_leak.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "-o", f"pythonpath={SUPPORT}", folder],
        capture_output=True, text=True, cwd=folder, check=False, timeout=60,
    ).stdout  # fmt: skip


def as_tests(named: dict[str, str]) -> str:
    return "".join(
        f"\ndef test_{name}(tmp_path, capsys):\n{indent(body, '    ')}\n"
        if name == "read_by_the_test"
        else f"\ndef test_{name}(tmp_path):\n{indent(body, '    ')}\n"
        for name, body in named.items()
    )


@pytest.mark.canary_in("printed", reason="it tries tests that print some")
def test_a_test_that_lets_a_secret_out_is_red_whichever_way_it_goes(tmp_path: Path) -> None:
    said = ran(tmp_path, HEAD + as_tests(LEAKS) + as_tests(FINE) + ALLOWED)

    red = {
        line.partition("::test_")[2].partition(" ")[0]
        for line in said.splitlines()
        if line.startswith("FAILED")
    }
    assert red == LEAKS.keys(), said
    assert f"{len(red)} failed, {len(FINE) + 1} passed" in said
    assert "let out, at call" in said


def test_who_lets_one_out_says_why(tmp_path: Path) -> None:
    said = ran(tmp_path, HEAD + ALLOWED.replace(', reason="it is what this file is for"', ""))

    assert "canary_in needs places and a reason" in said or "passed" not in said


def seen_by(guard: CanaryGuard, request: pytest.FixtureRequest) -> list[str]:
    return [each.partition(":")[0] for each in guard.found(request.node, "setup", "")]


def test_what_is_measured_is_looked_at(request: pytest.FixtureRequest) -> None:
    class Metrics:
        def exposition(self) -> tuple[bytes, str]:
            return b"# a-canary-of-mine", "text/plain"

    guard, module = CanaryGuard(), ModuleType("metrics")
    module.Metrics = Metrics  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pointsman_telemetry.metrics", module)
        watch_metrics(guard, patch)
        guard.knows_of("a-canary-of-mine")
        Metrics().exposition()

    assert seen_by(guard, request) == ["measured"]


def test_what_is_explained_is_looked_at(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = CanaryGuard()
    given = {"providers": {"p": {"type": "scripted"}}, "models": {"m": {"deployments": ["p/x"]}}}
    router = Router.from_config(given, plugins=[Scripted()])
    monkeypatch.setattr(Router, "explain", lambda _router, model: f"why {model}")
    with pytest.MonkeyPatch.context() as patch:
        watch(guard, patch)
        Secret("of-a-kind-canary")
        router.explain("of-a-kind-canary")

    assert seen_by(guard, request) == ["explained"]

"""A check of an installed distribution: what it finds, what it tells, and what it cannot try."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from distributions import write_distribution

from pointsman.build.contexts import Contexts
from pointsman.clock import Clock
from pointsman.testing.checking import run
from pointsman.testing.checking.import_time import CORE, ImportTime, import_time
from pointsman.testing.checking.offered import Offered
from pointsman.testing.checking.run import CheckBegun, Checked, CheckImpossible, CheckNote, check
from pointsman.testing.contract import PluginContract, RetryContract, rules_of
from pointsman.testing.contract.distribution import may_be_secret

pytest_plugins = ["pytester"]

UNTIMED = [each.id for each in rules_of(PluginContract) if each.id != "PLUGIN-07"]
"""Without that which measures: no test here hangs on how fast a machine is."""

RUDE = """
import atexit, logging, os, socket, subprocess, sys, threading
from pydantic import BaseModel
from pointsman.plugin import PointsmanSpec, RetryFactory, StrategyFactory, ProviderFactory, HttpProvider, hookimpl

print("hello from rude")
open("rude.log", "w").close()
threading.Thread(target=lambda: None).start()
threading.Thread(target=threading.Event().wait, name="for ever", daemon=True).start()
subprocess.run([sys.executable, "-c", "pass"])
os.environ["RUDE"] = "1"
logging.basicConfig()
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError:
    pass

class Settings(BaseModel):
    api_token: str = ""

class Provider(HttpProvider):
    default_base_url = "http://127.0.0.1:1"

    def __init__(self, context):
        super().__init__(context)
        open("made.log", "a").close()

    async def aclose(self):
        raise RuntimeError("never opened")

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self):
        socket.getaddrinfo("localhost", 80)
        return [ProviderFactory("rude", Settings, Provider, default_base_url="http://127.0.0.1:1")]

    @hookimpl
    def pointsman_retry_policies(self):
        return [RetryFactory("rude", None, lambda context: object())]

plugin = Plugin()
"""

POLITE = """
from pydantic import BaseModel, ConfigDict
from pointsman.plugin import PointsmanSpec, RetryFactory, RetryPolicy, hookimpl

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    attempts: int

class Polite(RetryPolicy):
    budget = None

    def __init__(self, context):
        self.attempts = context.settings.attempts

    def delay(self, failure):
        return 1.0 if failure.number < self.attempts else None

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_retry_policies(self):
        return [RetryFactory("polite", Settings, Polite), RetryFactory("late", Settings, Polite)]

plugin = Plugin()
"""

CONTRACTS = """
from pointsman.plugin import system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman.testing.contract import PluginContract, RetryContract
from polite import Polite, Settings, plugin

class OfPolite(RetryContract):
    xfail = {"RETRY-02": "it is tried on Monday"}

    def make(self, rng):
        made = Polite(Contexts(SystemClock(), rng).retry("polite", Settings(attempts=3)))
        made.delay = lambda failure: 1.0
        return made

class Whole(PluginContract):
    settings = {"retry.late": {"attempts": 2}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, also on that of processes that are started."""
    folder = tmp_path / "installed"
    folder.mkdir()
    put_on_path(folder, monkeypatch)
    return folder


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    known = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{known}" if known else str(folder))


def results(told: Sequence[object], of: str = "TestPlugin") -> dict[str, Checked]:
    return {each.id: each for each in told if isinstance(each, Checked) and each.of == of}


# ── what is found ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def rude(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checked]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("rude")
        put_on_path(folder, patch)
        entry_points = {
            "pointsman.providers": {"rude": "rude:plugin", "missing": "rude:plugin"},
            "pointsman.retry": {"rude": "rude:plugin"},
        }
        requires = "pointsman>=7"
        write_distribution(folder, "rude", {"rude.py": RUDE}, entry_points, requires=requires)
        first = results([*check("rude", rules=["PLUGIN-01", "PLUGIN-02"])])
        # What breaks these keeps the others from being tried.
        (folder / "rude-1.0.dist-info" / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: rude\nVersion: 1.0\n"
        )
        points = folder / "rude-1.0.dist-info" / "entry_points.txt"
        points.write_text(points.read_text().replace("missing = rude:plugin\n", ""))
        return results([*check("rude", rules=UNTIMED)]) | first


@pytest.mark.parametrize(
    ("id", "found"),
    [
        ("PLUGIN-01", "provider 'missing' cannot be used"),
        ("PLUGIN-02", "rude requires pointsman>=7"),
        ("PLUGIN-04", "writes the file 'rude.log', at "),
        ("PLUGIN-04", "starts the program"),
        ("PLUGIN-04", "connects to ('127.0.0.1', 9), at "),
        ("PLUGIN-04", "rude.py:"),
        ("PLUGIN-04", "changes the environment"),
        ("PLUGIN-04", "changes the logging of the whole program"),
        ("PLUGIN-04", "starts the thread 'Thread-"),
        ("PLUGIN-04", "leaves the thread 'for ever'"),
        ("PLUGIN-04", "prints 'hello from rude"),
        ("PLUGIN-05", "in its hooks, it looks up 'localhost'"),
        ("PLUGIN-06", "when what it offers is made, it writes the file 'made.log'"),
        ("PLUGIN-08", "the factory of retry.rude made a object, which has no method delay()"),
        ("PLUGIN-09", "provider.rude: Settings takes any key"),
        ("PLUGIN-10", "provider.rude: add hide_input_in_errors=True to Settings"),
        ("PLUGIN-11", "provider.rude: the repr of Settings shows `api_token`"),
        ("PLUGIN-12", "provider.rude: closing it raised RuntimeError: never opened"),
    ],
)
def test_a_rude_plugin_is_found_out(rude: Mapping[str, Checked], id: str, found: str) -> None:
    assert rude[id].result == "broken"
    assert found in rude[id].found


def test_what_is_told_of_a_rule_explains_itself(rude: Mapping[str, Checked]) -> None:
    told = rude["PLUGIN-09"]

    assert told.sentence == "Unknown settings are refused"
    assert told.why.startswith("A mistyped key")
    assert told.link == "docs/plugins/rules.md#plugin-09"
    assert 0 <= told.seconds < 60


def test_a_plugin_that_ends_the_process_is_told_and_ends_nothing_else(path: Path) -> None:
    files = {"deadly.py": "import os\nos._exit(7)\n"}
    write_distribution(path, "deadly", files, {"pointsman.retry": {"deadly": "deadly:plugin"}})

    (told,) = check("deadly")

    assert told == CheckNote(
        "the process in which it was tried ended with code 7 after 0 of 0 rules, and said: nothing",
        fault=True,
    )


def test_a_plugin_that_exits_when_it_is_imported_breaks_a_rule(path: Path) -> None:
    files = {"deadly.py": "raise SystemExit('bye')\n"}
    write_distribution(path, "deadly", files, {"pointsman.retry": {"deadly": "deadly:plugin"}})

    told = results([*check("deadly", rules=["PLUGIN-01", "PLUGIN-04"])])

    assert "cannot be imported: SystemExit: bye" in told["PLUGIN-01"].found
    assert "it ends the process" in told["PLUGIN-04"].found


def test_a_thread_that_never_ends_keeps_no_check_from_its_end(path: Path) -> None:
    source = f"import threading\nthreading.Thread(target=threading.Event().wait).start()\n{POLITE}"
    write_distribution(
        path, "polite", {"polite.py": source}, {"pointsman.retry": {"polite": "polite:plugin"}}
    )

    told = results([*check("polite", rules=["PLUGIN-01", "PLUGIN-04"])])

    assert [told[id].result for id in ("PLUGIN-01", "PLUGIN-04")] == ["held", "broken"]


# ── what is tried ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("top", "said"),
    [
        ("os._exit(0)", "ended with code 0 after 0 of 0 rules"),
        ("raise KeyboardInterrupt", "was interrupted"),
        ("threading.Event().wait()", "was silent for 5 s, was ended after 0 of 0 rules"),
        (
            "for fd in range(3, 20):\n    try: os.write(fd, b'[1]\\n')\n    except OSError: pass",
            "nobody understands",
        ),
    ],
)
def test_a_contract_that_keeps_the_rest_from_being_told_is_a_fault(top: str, said: str, path: Path) -> None:
    write_distribution(
        path,
        "pointsman-rough",
        {"rough.py": POLITE, "rough_contracts.py": f"import os, threading\n{top}\n"},
        entry_points={
            "pointsman.retry": {"polite": "rough:plugin"},
            "pointsman.contracts": {"polite": "rough_contracts:OfPolite"},
        },
    )
    (note,) = (each for each in check("pointsman-rough", patience=5) if isinstance(each, CheckNote))
    assert note.fault
    assert said in note.text


def test_what_a_plugin_leaves_running_does_not_keep_a_check_from_its_end(path: Path) -> None:
    leaves = "import os, time\nif os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\nos._exit(7)\n"
    write_distribution(
        path,
        "pointsman-rough",
        {"rough.py": POLITE, "rough_contracts.py": leaves},
        entry_points={
            "pointsman.retry": {"polite": "rough:plugin"},
            "pointsman.contracts": {"polite": "rough_contracts:OfPolite"},
        },
    )
    begun = time.monotonic()
    (note,) = check("pointsman-rough")
    assert isinstance(note, CheckNote)
    assert "ended with code 7" in note.text
    assert time.monotonic() - begun < 30


def test_contract_classes_are_found_by_their_entry_points(path: Path) -> None:
    entry_points = {
        "pointsman.retry": {"polite": "polite:plugin", "late": "polite:plugin"},
        "pointsman.contracts": {"polite": "polite_contracts:OfPolite", "plugin": "polite_contracts:Whole"},
    }
    write_distribution(path, "polite", {"polite.py": POLITE, "polite_contracts.py": CONTRACTS}, entry_points)

    told = [*check("polite", rules=[*UNTIMED, "RETRY"])]

    assert told[0] == CheckBegun(len(UNTIMED) + 2 * len(rules_of(RetryContract)))
    of_plugin, of_polite, derived = (
        results(told, name) for name in ("TestPlugin", "TestPolite", "TestRetryLate")
    )
    assert {each.result for each in of_plugin.values()} == {"held"}
    others = {each.id: "held" for each in rules_of(RetryContract)}
    assert {id: each.result for id, each in of_polite.items()} == {**others, "RETRY-02": "expected"}
    assert of_polite["RETRY-02"].found == "it is tried on Monday"
    assert {each.result for each in derived.values()} == {"held"}


def test_what_cannot_be_made_is_said(path: Path) -> None:
    entry_points = {"pointsman.retry": {"polite": "polite:plugin", "late": "polite:plugin"}}
    write_distribution(path, "polite", {"polite.py": POLITE}, entry_points)

    told = [*check("polite", rules=["PLUGIN-08"])]

    said = [each.text for each in told if isinstance(each, CheckNote)]
    assert [each.partition(";")[0] for each in said] == [
        "retry.late: its settings need attempts",
        "retry.polite: its settings need attempts",
    ]
    (skipped,) = results(told).values()
    assert (skipped.result, skipped.found) == (
        "skipped",
        "retry.late: its settings need attempts; retry.polite: its settings need attempts",
    )


def test_contracts_may_stand_where_the_tests_are(path: Path, tmp_path: Path) -> None:
    write_distribution(
        path, "polite", {"polite.py": POLITE}, {"pointsman.retry": {"polite": "polite:plugin"}}
    )
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_polite.py").write_text(
        CONTRACTS.replace("OfPolite", "TestPolite") + "\ndef test_of_something_else(): raise ValueError\n"
    )

    told = [*check("polite", tests=[tests], rules=["RETRY-01", "RETRY-02"])]

    assert [(each.id, each.of, each.result) for each in told if isinstance(each, Checked)] == [
        ("RETRY-01", "TestPolite", "held"),
        ("RETRY-02", "TestPolite", "expected"),
    ]


def test_tests_that_hold_no_contract_are_a_fault(path: Path, tmp_path: Path) -> None:
    write_distribution(
        path, "polite", {"polite.py": POLITE}, {"pointsman.retry": {"polite": "polite:plugin"}}
    )
    (tmp_path / "test_it.py").write_text("def test_of_something_else(): pass\n")

    told = [*check("polite", tests=[tmp_path / "test_it.py"], rules=["PLUGIN-01"])]

    (fault,) = [each.text for each in told if isinstance(each, CheckNote) and each.fault]
    assert fault == f"no test in {tmp_path / 'test_it.py'} is one of a contract"


def test_strategies_are_made_with_a_clock_that_stands_as_what_they_are_told_begins_at_0(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocks = []

    class Seen(Contexts):
        def __init__(self, clock: Clock, *rest: Any) -> None:
            clocks.append(clock)
            super().__init__(clock, *rest)

    offered = Offered("pointsman-strategies")
    (offer,) = [each for each in offered.offers if each.name == "peak_ewma"]
    monkeypatch.setattr("pointsman.testing.checking.offered.Contexts", Seen)

    offered.make(offer)

    assert [(each.now(), each.now()) for each in clocks] == [(0.0, 0.0)]


def test_one_of_our_own_passes() -> None:
    """The others: python benchmarks/plugins_check.py."""
    told = [*check("pointsman-strategies", rules=[*UNTIMED, "STRATEGY"])]

    checked = [each for each in told if isinstance(each, Checked)]
    assert {each.of for each in checked if each.id == "STRATEGY-01"} == {
        f"TestStrategy{name}" for name in ("Affinity", "Cheapest", "PeakEwma", "PowerOfTwo", "Warm")
    }
    assert [each for each in checked if each.result != "held"] == []


@pytest.mark.parametrize(
    ("kind", "name", "secret"),
    [
        ("auth", "key", True),
        ("strategy", "key", False),
        ("strategy", "api_key", True),
        ("auth", "key_id", False),
        ("auth", "token_url", False),
        ("provider", "max_tokens", False),
        ("provider", "clientSecret", False),
        ("audit", "password", True),
    ],
)
def test_what_may_be_a_secret_is_told_by_its_last_word(kind: str, name: str, secret: bool) -> None:
    assert may_be_secret(name, kind) is secret


# ── what cannot be tried ─────────────────────────────────────────────────────────────────────────────


def test_one_that_is_not_installed_is_refused_with_what_was_meant() -> None:
    with pytest.raises(
        CheckImpossible, match="no distribution 'pointsman-olama'.*did you mean 'pointsman-ollama'"
    ):
        next(check("pointsman-olama"))


def test_so_it_is_beside_what_an_uninstall_left_that_was_broken_off(path: Path) -> None:
    left = path / "left-1.0.dist-info"
    left.mkdir()
    (left / "entry_points.txt").write_text("[pointsman.providers]\nleft = left:plugin\n")

    with pytest.raises(CheckImpossible, match="did you mean 'pointsman-ollama'"):
        next(check("pointsman-olama"))


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(CheckImpossible, match="--rule: none of these tests is 'PLUGIN-99'"):
        list(check("pointsman-ollama", rules=["PLUGIN-99"]))


def test_tests_that_are_not_there_are_refused() -> None:
    with pytest.raises(CheckImpossible, match="there is no 'nowhere'"):
        next(check("pointsman-ollama", tests=[Path("nowhere")]))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: None if name == "pytest" else object())

    with pytest.raises(CheckImpossible, match=r"needs pytest, .*pip install 'pointsman\[testing\]'"):
        next(check("pointsman-ollama"))


def test_an_entry_point_that_names_no_contract_is_a_fault(path: Path) -> None:
    entry_points = {
        "pointsman.retry": {"polite": "polite:plugin"},
        "pointsman.contracts": {"polite": "polite:Polite"},
    }
    write_distribution(path, "polite", {"polite.py": POLITE}, entry_points)

    (told,) = [each for each in check("polite") if isinstance(each, CheckNote)]

    assert told.fault
    assert "polite:Polite, which pointsman.contracts has as 'polite', is no contract class" in told.text


# ── how long an import takes ─────────────────────────────────────────────────────────────────────────


class Machine:
    """One that imports in the seconds it is told, the last for ever."""

    def __init__(self, own: Sequence[float], core: Sequence[float]) -> None:
        self._left = {False: list(own), True: list(core)}
        self.asked = 0

    def __call__(self, modules: Sequence[str]) -> float:
        self.asked += 1
        left = self._left[modules is CORE]
        return left.pop(0) if len(left) > 1 else left[0]


def test_the_least_of_a_few_turns_counts() -> None:
    machine = Machine(own=[9.0, 3.0, 1.0, 2.0], core=[5.0, 1.0, 2.0])

    assert import_time(["acme"], machine) == ImportTime(1.0, 1.0)
    assert machine.asked == 1 + 2 * 3


def test_one_that_looks_too_slow_has_more_turns() -> None:
    machine = Machine(own=[9.0, 9.0, 9.0, 9.0, 9.0, 1.4], core=[1.0])

    took = import_time(["acme"], machine)

    assert took.times == 1.4
    assert machine.asked < 1 + 2 * 7
    assert str(took) == "1.40 times that of the core (1.400 s, core 1.000 s)"


def test_the_turns_come_to_an_end() -> None:
    machine = Machine(own=[9.0], core=[1.0])

    assert import_time(["acme"], machine).times == 9.0
    assert machine.asked == 1 + 2 * 7


@pytest.mark.parametrize(
    ("times", "slow", "result"), [(1.4, "", "held"), (1.6, "", "broken"), (1.6, "grpc", "expected")]
)
def test_a_slow_import_needs_a_reason(
    times: float, slow: str, result: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointsman.testing.contract import distribution

    monkeypatch.setattr(distribution, "import_time", lambda modules: ImportTime(times, 1.0))
    pytester.makepyfile(
        f"""
        from pointsman.testing.contract import PluginContract

        class TestPlugin(PluginContract):
            distribution = "pointsman-ollama"
            slow_import = {slow!r}
        """
    )

    pytester.runpytest_inprocess(
        "-p", "no:asyncio", "--pointsman-rule=PLUGIN-07", "--pointsman-report=report.json"
    )

    (told,) = json.loads(pytester.path.joinpath("report.json").read_text())["rules"]
    assert told["result"] == result
    assert f"{times:.2f} times that of the core" in told["found"]
    assert slow in told["found"]


def test_what_is_measured_is_what_is_imported_when_a_plugin_is_used(path: Path) -> None:
    entry_points = {
        "pointsman.retry": {"polite": "polite:plugin", "late": "polite:plugin"},
        "pointsman.contracts": {"polite": "polite_contracts:OfPolite"},
        "pointsman.providers": {"acme": "polite:provider.yaml"},
        "console_scripts": {"polite": "polite.command:main"},
    }
    write_distribution(path, "polite", {}, entry_points)

    assert Offered("polite").modules == ["polite", "polite.command"]


def test_what_a_check_does_not_need_is_not_loaded_for_it() -> None:
    ask = "import sys, pointsman.testing.checking.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=True)

    loaded: set[Any] = set(done.stdout.split())
    assert not loaded & {"pytest", "hypothesis", "pointsman.router", "pointsman.testing.contract"}

"""Operating a running router from the command line: a real process, a real socket, a real upstream."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pointsman_cli.demo import scene
from pointsman_cli.overview import print_state, unable, why_not
from pointsman_simulator import Fault, Reply


@pytest.fixture
def fleet(servers: Any) -> tuple[Any, Any]:
    """Two Ollama servers behind the model `assistant`, whose router listens at ./pointsman.sock."""
    one, two = servers.add("ollama", name="gpu1"), servers.add("ollama", name="gpu2")
    servers.configure(one, two, more="control: ./pointsman.sock")
    return one, two


def states(cli: Any) -> dict[str, str]:
    deployments = cli("status", "--live", "--json").json["models"]["assistant"]["deployments"]
    return {each["id"]: each["state"] for each in deployments}


def test_deployments_of_a_running_router_are_disabled_enabled_and_reset(cli, fleet, application) -> None:
    application()

    disabled = cli("disable", "gpu1/llama3.2", "gpu2/llama3.2")
    assert (disabled.code, disabled.err) == (0, "")
    assert disabled.out == (
        "gpu1/llama3.2: disabled, 0 calls in flight\ngpu2/llama3.2: disabled, 0 calls in flight\n"
    )
    assert states(cli) == {"gpu1/llama3.2": "down", "gpu2/llama3.2": "down"}
    assert cli("reset", "gpu1/llama3.2").out == "gpu1/llama3.2: reset, and still down\n"

    enabled = cli("enable", "gpu1/llama3.2", "--json")
    assert enabled.json == {"deployments": [{"deployment": "gpu1/llama3.2", "state": "up", "in_flight": 0}]}
    assert states(cli) == {"gpu1/llama3.2": "up", "gpu2/llama3.2": "down"}
    assert cli("reset", "gpu1/llama3.2").out == "gpu1/llama3.2: reset\n"


def test_the_live_status_is_that_of_the_process_and_says_why_a_deployment_is_left_out(
    cli, fleet, application
) -> None:
    running = application()
    cli("disable", "gpu2/llama3.2")

    text, data = cli("status", "--live"), cli("status", "--socket", "pointsman.sock", "--json").json

    assert text.code == 0
    assert f"process {running.process.pid}, pointsman " in text.err
    assert "gpu2/llama3.2\t1\t0\tdown\tclosed\t0\t0\t\t\t\tdisabled by an operator\t\n" in text.out
    assert "gpu1/llama3.2\t1\t0\tup\tclosed\t0\t0\t\t\t\t\t\n" in text.out
    assert data["router"]["pid"] == running.process.pid
    assert data["in_flight"] == 0


def test_at_a_terminal_the_live_status_shows_calls_errors_times_and_the_last_error(
    cli, fleet, application, processes, servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    fleet[0].default = Reply(fault=Fault.status(503))
    running = application()
    for _ in range(2):
        running.ask()
    for each in fleet:
        servers.do(each.idle())

    shown = re.sub(r"\x1b\[[0-9;]*m", "", processes.at_terminal("status", "--live").rest())

    head, *rows = shown.splitlines()[2:]
    assert head.split() == ["deployment", "calls", "errors", "first", "token"]
    assert re.match(r"  gpu1/llama3\.2 +1  1 fault", rows[0])
    assert re.match(r"    last error \d+ s ago: unavailable 503: ", rows[1])
    assert any(re.match(r"  gpu2/llama3\.2 +2 +[\d.]+ ms", row) for row in rows)


def test_a_running_router_explains_what_it_would_do_now(cli, fleet, application) -> None:
    application()
    cli("disable", "gpu1/llama3.2", "gpu2/llama3.2")

    ran = cli("explain", "assistant", "--live")

    assert ran.code == 1
    assert "goes to nowhere" in ran.err
    assert "assistant\tgpu1/llama3.2\tdisabled by an operator\n" in ran.out


def test_a_running_router_explains_a_call_with_all_that_it_says(cli, fleet, application) -> None:
    application()

    asked = cli("explain", "assistant", "hi", "-s", "Be brief.", "-o", "seed=7", "--live", "--json").json
    refused = cli("explain", "assistant", "--require", "region=eu", "--live")

    assert asked["wire"]["body"]["options"]["seed"] == 7
    assert [each["role"] for each in asked["wire"]["body"]["messages"]] == ["system", "user"]
    assert "rule_not_met" in refused.err


def test_a_drain_waits_for_the_streams_that_run(cli, servers, fleet, application, processes) -> None:
    for each in fleet:
        each.default = Reply(chunks=("one ", *["more "] * 200), tokens_per_second=20)
    running = application()
    running.ask()
    busy = next(name for name, n in _in_flight(cli).items() if n)

    late = cli("drain", busy, "--timeout", "0")
    assert (late.code, late.out) == (1, f"{busy}: still 1 call in flight; it takes no new ones\n")
    assert states(cli)[busy] == "draining"

    drain = processes.at_terminal("drain", busy, "--timeout", "60")
    drain.until(f"{busy}: 1 still in flight")
    for each in fleet:  # the stream ends when its upstream does
        servers.do(each.stop())
    assert f"{busy}: drained" in drain.rest()
    assert drain.process.returncode == 0


def test_several_are_drained_at_once_and_one_that_is_not_there_is_said_at_the_end(
    cli, fleet, application
) -> None:
    application()

    drained = cli("drain", "gpu1/llama3.2", "gpu3/llama3.2", "gpu2/llama3.2", "--json")

    assert drained.code == 2
    assert {each["deployment"]: each["drained"] for each in drained.json["deployments"]} == {
        "gpu1/llama3.2": True, "gpu2/llama3.2": True,
    }  # fmt: skip
    assert "no deployment is called 'gpu3/llama3.2'; did you mean" in drained.error["message"]
    assert drained.error["exit_code"] == 2


def _in_flight(cli: Any) -> dict[str, int]:
    deployments = cli("status", "--live", "--json").json["models"]["assistant"]["deployments"]
    return {each["id"]: each["in_flight"] for each in deployments}


def test_a_reload_takes_what_is_in_the_file_now_and_a_mistake_changes_nothing(
    cli, fleet, application, workdir: Path
) -> None:
    application()
    file = workdir / "pointsman.yaml"
    good = file.read_text()

    file.write_text(good.replace("round_robin", "rund_robin"))
    failed = cli("reload")
    assert failed.code == 2
    assert "pointsman.yaml:" in failed.err
    assert "round_robin" in failed.err
    assert "Traceback" not in failed.err
    (problem,) = cli("reload", "--json").error["problems"]
    assert problem["line"] > 1
    assert problem["path"].startswith("models.assistant.strategy")
    assert "rund_robin" in problem["message"]
    live = cli("status", "--live")
    assert live.code == 0
    assert "what the file says now is not used: refused 0 s ago\n  pointsman.yaml:" in live.out
    (told,) = cli("status", "--live", "--json").json["configuration"]["refused"]["problems"]
    assert {name: told[name] for name in problem} == problem

    file.write_text(good.replace("round_robin", "weighted"))
    assert cli("reload").out == "reloaded pointsman.yaml: 2 deployments\n"
    assert "not used" not in cli("status", "--live").out
    assert cli("status", "--live", "--json").json["models"]["assistant"]["strategy"] == "weighted"


def test_the_socket_is_found_from_another_directory_and_without_the_keys(
    cli, application, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = workdir / "etc"
    folder.mkdir()
    (folder / "p.yaml").write_text(
        "providers: {a: {type: openai, api_key: '${AN_OPERATOR_LACKS_IT}'}}\n"
        "models: {m: {deployments: [a/x]}}\n"
        "control: ./run.sock\n"
    )
    monkeypatch.setenv("AN_OPERATOR_LACKS_IT", "sk-secret")
    application("p.yaml", cwd=folder)
    monkeypatch.delenv("AN_OPERATOR_LACKS_IT")

    asked = cli("-c", "etc/p.yaml", "disable", "a/x")
    monkeypatch.setenv("POINTSMAN_CONFIG", "etc/p.yaml")

    assert asked.out == "a/x: disabled, 0 calls in flight\n"
    assert cli("enable", "a/x").code == 0


def test_the_commands_own_routers_leave_the_socket_to_the_application(cli, fleet, application) -> None:
    running = application()

    asked = cli("ask", "hi")

    assert (asked.code, asked.err) == (0, "")
    assert cli("status").code == 0
    assert cli("status", "--live", "--json").json["router"]["pid"] == running.process.pid
    assert running.close() == 0
    assert not Path("pointsman.sock").exists()
    assert cli("ask", "hi").code == 0


OPERATING = [("disable", "a/x"), ("enable", "a/x"), ("reset", "a/x"), ("drain", "a/x"), ("reload",),
             ("status", "--live")]  # fmt: skip


@pytest.mark.parametrize("command", OPERATING)
def test_who_cannot_reach_a_router_is_told_what_is_missing(cli, fleet, workdir: Path, command) -> None:
    nobody = cli(*command)
    assert (nobody.code, nobody.out) == (1, "")
    assert f"no router listens at {workdir / 'pointsman.sock'}" in nobody.err

    file = workdir / "pointsman.yaml"
    file.write_text(file.read_text().replace("control: ./pointsman.sock", ""))
    unsaid = cli(*command, "--json")
    assert (unsaid.code, unsaid.out) == (2, "")
    assert "control: ./pointsman.sock" in unsaid.error["message"]

    file.unlink()
    unnamed = cli(*command)
    assert unnamed.code == 2
    assert "--socket" in unnamed.err


def test_a_killed_router_leaves_a_socket_that_nobody_answers_and_the_next_one_takes_it(
    cli, fleet, application
) -> None:
    first = application()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(20)

    assert "no router listens" in cli("reload").err
    application()
    assert cli("reload").code == 0


def test_a_router_that_stands_still_is_waited_for_and_given_up(
    cli, fleet, application, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = application()
    monkeypatch.setattr("pointsman_cli.operating.Line.hear.__kwdefaults__", {"within": 0.05}, raising=True)
    running.process.send_signal(signal.SIGSTOP)
    try:
        stuck = cli("disable", "gpu1/llama3.2")
    finally:
        running.process.send_signal(signal.SIGCONT)

    assert stuck.code == 1
    assert "does not answer" in stuck.err


# ── several processes ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def workers(fleet, application, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, Any]:
    """Two processes of one configuration, by their ids, with sockets in ./run; and one that died."""
    file = workdir / "pointsman.yaml"
    file.write_text(file.read_text().replace("./pointsman.sock", "./run/w.${WORKER}.sock"))
    (workdir / "run").mkdir()
    started = []
    for name in ("1", "22", "333"):
        monkeypatch.setenv("WORKER", name)
        started.append(application())
    started[1].kill()
    (workdir / "run" / "notes.txt").write_text("no socket")
    return {each.process.pid: each for each in (started[0], started[2])}


@pytest.mark.parametrize("place", ["run", "run/w.{pid}.sock", "r{pid}n/w.1.sock"])
def test_all_processes_of_a_folder_or_pattern_are_operated(cli, workers, place: str) -> None:
    if "r{pid}n" in place:  # the number may stand in a folder
        Path("run").rename("r7n")

    done = cli("disable", "gpu1/llama3.2", "--socket", place)
    data = cli("enable", "gpu1/llama3.2", "--socket", place, "--json").json

    pids = {int(line.split()[1].rstrip(":")) for line in done.out.splitlines()}
    assert done.code == 0
    assert all(": gpu1/llama3.2: disabled, 0 calls in flight" in line for line in done.out.splitlines())
    assert pids == {each["pid"] for each in data["processes"]}
    assert pids == (set(workers) if "r{pid}n" not in place else {min(workers, key=list(workers).index)})


def test_status_drain_and_reload_speak_with_every_process_or_with_one(cli, workers) -> None:
    first, second = workers

    status = cli("status", "--socket", "run", "--json").json
    drained = cli("drain", "gpu1/llama3.2", "--socket", "run")
    shown = cli("status", "--socket", "run")
    reloaded = cli("reload", "--socket", "run")
    one = cli("enable", "gpu1/llama3.2", "--socket", "run", "--pid", second)

    assert {each["router"]["pid"] for each in status["processes"]} == {first, second}
    assert sorted(drained.out.splitlines()) == sorted(
        f"process {pid}: gpu1/llama3.2: drained" for pid in workers
    )
    assert shown.err.count("process ") == 2
    assert shown.out.count("gpu1/llama3.2\t1\t0\tdraining") == 2
    assert reloaded.out.count("reloaded pointsman.yaml: 2 deployments") == 2
    assert one.out == f"process {second}: gpu1/llama3.2: enabled, 0 calls in flight\n"
    left = {
        each["router"]["pid"]: each for each in cli("status", "--socket", "run", "--json").json["processes"]
    }
    assert left[first]["models"]["assistant"]["deployments"][0]["state"] == "draining"


def test_the_processes_of_one_configuration_are_found_by_it(cli, fleet, application, workdir: Path) -> None:
    file = workdir / "pointsman.yaml"
    file.write_text(file.read_text().replace("./pointsman.sock", "./p.{pid}.sock"))
    pids = {application().process.pid, application().process.pid}

    status = cli("status", "--live", "--json").json
    disabled = cli("disable", "gpu1/llama3.2")

    assert {each["router"]["pid"] for each in status["processes"]} == pids
    assert sorted(disabled.out.splitlines()) == sorted(
        f"process {pid}: gpu1/llama3.2: disabled, 0 calls in flight" for pid in pids
    )


def test_where_nobody_listens_or_another_process_does_is_said(cli, workers, workdir: Path) -> None:
    (workdir / "empty").mkdir()

    nobody = cli("status", "--socket", "empty")
    other = cli("status", "--socket", "run", "--pid", "1")

    assert (nobody.code, other.code) == (1, 1)
    assert "no router listens at empty" in nobody.err
    assert all(str(pid) in other.err for pid in workers)


def test_what_one_process_refuses_the_others_still_do(cli, workers, workdir: Path) -> None:
    ran = cli("disable", "gpu1/llama3.2", "gpu9/x", "--socket", "run", "--json")

    assert ran.code == 2
    assert [len(each["deployments"]) for each in ran.json["processes"]] == [1, 1]
    assert "no deployment is called 'gpu9/x'" in ran.error["message"]


# ── SIGTERM ──────────────────────────────────────────────────────────────────────────────────────────

TERMINATED = (143, -signal.SIGTERM)
"""To a shell both are 143. The second is of a SIGTERM that comes when all is said and Python goes down."""
SLOW = Reply(chunks=("one ", *["more "] * 500), tokens_per_second=20)
SOON = Reply(chunks=("one ", *["more "] * 10), tokens_per_second=20)


def begun(process: subprocess.Popen[bytes], gpu: Any, servers: Any) -> None:
    """Ask, and read the first word of the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Count.\nAnd again.\n")
    process.stdin.flush()
    assert process.stdout.read(4) == b"one "


def test_sigterm_lets_a_stream_finish_and_ends_the_conversation_with_143(processes, servers, gpu) -> None:
    gpu.script(SOON)
    process = processes.start("chat")
    begun(process, gpu, servers)

    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 143
    assert process.stdout.read().split() == [b"more"] * 10
    assert process.stderr.read() == b""
    assert [each.outcome for each in gpu.requests] == ["completed"]


def test_a_stream_that_takes_longer_than_the_drain_ends_with_an_error_of_ours(
    processes, servers, gpu
) -> None:
    servers.configure(gpu, more="timeouts: {drain: 200ms}")
    gpu.script(SLOW)
    process = processes.start("chat", "--json")
    process.stdin.write(b"Count.\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())

    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 143
    error = json.loads(process.stderr.read())["error"]
    assert error["code"] == "stream_broken"
    servers.do(gpu.idle())
    assert gpu.requests[0].outcome == "aborted by client"


def test_a_second_sigterm_does_not_wait(processes, servers, gpu) -> None:
    gpu.script(SLOW)
    process = processes.start("chat")
    begun(process, gpu, servers)

    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        # The first may not have been taken yet, and two of a kind are one to the system.
        process.send_signal(signal.SIGTERM)
        process.stdout.read(8)

    assert process.returncode in TERMINATED
    assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("drain", ["30s", "100ms"])
def test_sigterm_during_ask_prints_the_answer_if_there_is_time_and_ends_with_143(
    processes, servers, gpu, drain: str
) -> None:
    servers.configure(gpu, more=f"timeouts: {{drain: {drain}}}")
    gpu.script(Reply(text="Late.", latency=1.0 if drain == "30s" else 60.0))
    process = processes.start("ask", "hi")
    process.stdin.close()
    process.stdin = None
    servers.do(gpu.arrived(1, timeout=20))

    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 143
    out, err = process.stdout.read().decode(), process.stderr.read().decode()
    assert "Traceback" not in err
    assert (out.strip(), bool(err)) == (("Late.", False) if drain == "30s" else ("", True))


def test_sigterm_at_the_prompt_ends_the_conversation(processes, gpu) -> None:
    chat = processes.at_terminal("chat")
    chat.until("> ")

    while chat.process.poll() is None:  # the first may come just before it waits
        chat.process.send_signal(signal.SIGTERM)

    chat.rest()
    assert chat.process.returncode in TERMINATED
    assert "Traceback" not in chat.seen


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="says which signals a process handles")
def test_sigterm_while_ask_reads_its_input_ends_it(processes, gpu) -> None:
    ask = processes.start("ask", "-")
    status = Path(f"/proc/{ask.pid}/status")
    while not _handles_sigterm(status.read_text()):
        os.sched_yield()

    while ask.poll() is None:  # the first may come just before it reads
        ask.send_signal(signal.SIGTERM)

    assert ask.returncode in TERMINATED
    assert ask.stderr.read() == b""


def _handles_sigterm(status: str) -> bool:
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_sigterm_lets_simulated_upstreams_finish_their_answers(processes, servers, cli) -> None:
    sim = processes.start(
        "sim", "gpu=ollama", "--json", "--tokens-per-second", "40", "--config-out", "s.yaml"
    )
    sim.stdout.readline()
    chat = processes.start("-c", "s.yaml", "chat")
    chat.stdin.write(b"Count.\n")
    chat.stdin.flush()
    assert chat.stdout.read(1)

    sim.send_signal(signal.SIGTERM)
    chat.stdin.close()
    chat.stdin = None

    assert (chat.wait(20), chat.stderr.read()) == (0, b"")
    assert sim.wait(20) == 143
    assert sim.stderr.read() == b""


@pytest.mark.parametrize("title", ["starting four upstreams", scene.WELL.title])
def test_sigterm_ends_the_demo_and_its_processes(processes, workdir: Path, title: str) -> None:
    demo = processes.at_terminal("demo")
    demo.until(title)

    demo.process.send_signal(signal.SIGTERM)

    demo.rest()  # until the last process has let go of the terminal
    assert demo.process.returncode == 143
    assert "Traceback" not in demo.seen


# ── words ────────────────────────────────────────────────────────────────────────────────────────────


def deployment(**changes: Any) -> dict[str, Any]:
    return {
        "refused": None, "blocked": None, "warm_up": None, "ejection": None, "checks": None,
        "breaker": {"state": "closed", "seconds_left": None}, **changes,
    }  # fmt: skip


ILL = {"checks": {"last_error": "connection refused"}}
OUT = {"ejection": {"ejected": True, "seconds_left": 12.3}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ""),
        ({"refused": "draining"}, "draining"),
        ({"refused": "priority 1 comes after 0"}, "priority 1 comes after 0"),
        ({"refused": "unhealthy: its checks fail", **ILL}, "unhealthy: its checks fail: connection refused"),
        ({"refused": "unhealthy: ejected", **OUT}, "unhealthy: ejected for failures in a row, back in 12 s"),
        (
            {"blocked": "unhealthy: its checks fail", **ILL},
            "used although it is unhealthy: its checks fail: connection refused: too few others are well",
        ),
        (
            {"refused": "circuit breaker open", "breaker": {"state": "open", "seconds_left": 9.0}},
            "circuit breaker open, a probe in 9 s",
        ),
        (
            {"warm_up": {"active": True, "share": 0.35, "seconds_left": 19.4}},
            "warming up: 35% of its share, 19 s left",
        ),
    ],
)
def test_why_a_deployment_would_not_be_chosen_is_said_in_words(given: dict[str, Any], words: str) -> None:
    assert why_not(deployment(**given)) == words


def facts(provider: str = "p", **changes: Any) -> dict[str, Any]:
    return {
        "provider": provider, "refused": None, "blocked": None, "state": "up", "ejection": None, "checks": None, "cool_down": None,
        "breaker": {"state": "closed"}, **changes,
    }  # fmt: skip


OPEN = {"refused": "circuit breaker open", "breaker": {"state": "open"}}


@pytest.mark.parametrize(
    ("deployments", "able"),
    [
        ([facts()], True),
        ([facts("down")], False),
        ([facts("down"), facts()], True),
        ([facts(**OPEN)], False),
        ([facts(**OPEN), facts("down")], False),
        ([facts(refused="draining", state="draining")], False),
        ([facts(refused="disabled by an operator", state="down")], False),
        ([facts(refused="full: 4 of 4 in flight")], True),
        ([facts(refused="priority 1 comes after 0")], True),
        ([facts(refused="unhealthy", checks={"healthy": False})], False),
        ([facts(blocked="unhealthy", checks={"healthy": False})], True),  # in a panic it is used
        ([facts(refused="unhealthy", ejection={"ejected": True})], False),
        ([facts(refused="cooling down", cool_down={"refused": None})], True),
        ([facts(refused="credential", cool_down={"refused": "credential refused"})], False),
    ],
)
def test_a_model_is_able_when_a_call_could_go_somewhere_once_there_is_room(deployments, able: bool) -> None:
    model = {"deployments": deployments, "fallback": []}

    assert (unable({"m": model}, {"down": {"ok": False}, "p": {"ok": True}}) == []) is able


def test_a_model_that_falls_back_to_one_that_is_able_is_able_however_long_the_way_is() -> None:
    dead, fine = [facts(**OPEN)], [facts()]
    models = {
        "a": {"deployments": dead, "fallback": ["b"]},
        "b": {"deployments": dead, "fallback": ["a", "c"]},
        "c": {"deployments": fine, "fallback": []},
        "lonely": {"deployments": dead, "fallback": ["dead"]},
        "dead": {"deployments": dead, "fallback": ["lonely"]},
    }

    assert unable(models, {}) == ["lonely", "dead"]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"available": True, "reason": None}, "shared through redis: there for 12 s, routers: 2\n"),
        (
            {"available": False, "reason": "no answer within 50 ms"},
            "shared through redis: away for 12 s, routers that were there: 2; each goes by its share: "
            "no answer within 50 ms\n",
        ),
        ({"available": None}, ""),
        (None, ""),
    ],
)
def test_the_status_says_how_it_is_with_the_store_that_routers_share(
    state: dict[str, Any] | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"store": "redis", "seconds_ago": 12.3, "replicas": 2, "fail": "local"}

    print_state(None if state is None else {**known, **state})

    assert capsys.readouterr().out == said


ONE_SHOT = [("ask", "hi"), ("chat",), ("embed", "gpu1/llama3.2", "hi"), ("explain", "assistant"), ("health",),
            ("models", "list"), ("models", "show", "gpu1/llama3.2"), ("status",)]  # fmt: skip


@pytest.mark.parametrize("command", ONE_SHOT)
def test_the_commands_own_routers_start_nothing_that_listens(cli, servers, command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        servers.configure(servers.add("ollama", name="gpu1"), more=f'prometheus: {{listen: "{at}"}}')

        ran = cli(*command, input="")

    assert (ran.code, "prometheus" in ran.err) == (0, False)


def test_what_they_leave_out_has_to_be_right_all_the_same(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu1"), more="prometheus: {lisen: x}\nmodles: {}")

    ran = cli("explain", "assistant")

    assert ran.code == 2
    assert "lisen" in ran.err
    assert "did you mean 'models'?" in ran.err


@pytest.mark.parametrize("command", ONE_SHOT)
def test_only_commands_that_ask_a_model_write_an_audit(cli, servers, workdir: Path, command) -> None:
    servers.configure(servers.add("ollama", name="gpu1"), more="audit: [{type: jsonl, path: ./audit}]")

    assert cli(*command, input="hi").code == 0

    assert (workdir / "audit").exists() == (command[0] in ("ask", "chat", "embed"))


def test_an_audit_that_cannot_be_is_told_by_commands_that_write_none(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu1"), more="audit: [{type: jsonl, paht: ./audit}]")

    assert "did you mean 'path'?" in cli("explain", "assistant").err


@pytest.mark.parametrize("more", ["", "control: ./pointsman.sock\n"])
def test_what_is_wrong_is_told_with_its_place_by_whatever_command_finds_it(
    cli, servers, workdir: Path, more
) -> None:
    file = servers.configure(
        servers.add("ollama", name="gpu1"), more=more + "audit: [{type: jsonl, path: ./no}]"
    )
    (workdir / "no").write_text("a file is in the way")
    audit = cli("ask", "hi").err
    file.write_text(file.read_text().replace("  assistant:\n", "  assistant:\n    defaults: {extra: 3}\n"))

    told = [cli(*command).err for command in (("ask", "hi"), ("explain", "assistant"), ("config", "check"))]

    assert re.search(r"pointsman\.yaml:\d+:\d+: audit\[0\]", audit)
    assert told == [told[-1]] * 3
    assert re.search(r"pointsman\.yaml:\d+:\d+: models\.assistant\.defaults\.extra: extra is 3", told[0])

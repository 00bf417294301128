"""`pointsman logs`: requests of a running router or gateway, a line for each, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman_cli.commands.logs import _Told
from pointsman_cli.options import Asked
from pointsman_cli.request_log import Requests, Wanted, change_line, kept, line_of
from pointsman_simulator import Fault, Reply

ATTEMPT = {
    "type": "attempt_ended", "at": 1.0, "request_id": "r", "deployment": "a/x", "outcome": "ok", "error": "",
    "detail": "", "status": None, "seconds": 0.5, "first_token": 0.25,
}  # fmt: skip
END = {
    "type": "request_ended", "at": 1.5, "request_id": "r", "operation": "stream", "model": "m", "pool": "m",
    "deployment": "a/x", "caller": "ci", "result": "ok", "error": "", "detail": "", "attempts": 1, "seconds": 1.5,
    "usage": {"prompt": 12, "completion": 3}, "cost_microcents": 420_000, "tags": {},
}  # fmt: skip
FAILED = {**ATTEMPT, "deployment": "b/x", "error": "unavailable", "status": 503, "first_token": None}


def request(*attempts: dict[str, Any], **end: Any) -> Any:
    requests = Requests()
    assert [requests.heard(each) for each in attempts] == [None] * len(attempts)
    return requests.heard({**END, **end})


def test_a_request_is_one_line_with_all_that_one_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    line = line_of(request(FAILED, ATTEMPT))

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d  m  a/x  ok  2 attempts  first 0.25 s  1.50 s  12\+3 tokens  0.0042 USD  ci"
        r"  \(b/x: unavailable\)",
        line,
    ), line


def test_what_is_not_known_of_a_request_is_left_out() -> None:
    known = request(usage=None, cost_microcents=None, caller="", deployment="", result="error",
                    error="queue_full", detail="nobody has room")  # fmt: skip

    assert line_of(known)[10:] == "m  nowhere  error  1.50 s  queue_full: nobody has room"


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (Wanted(), True),
        (Wanted(model="m"), True), (Wanted(model="n*"), False), (Wanted(model="?"), True),
        (Wanted(deployment="b/*"), True), (Wanted(deployment="c/*"), False),
        (Wanted(caller="ci"), True), (Wanted(caller="you"), False),
        (Wanted(errors=True), True),
        (Wanted(slow=1.5), True), (Wanted(slow=1.6), False),
        (Wanted(since=1.5), True), (Wanted(since=1.6), False),
    ],
)  # fmt: skip
def test_only_what_is_wanted_is_shown(wanted: Wanted, shown: bool) -> None:
    assert wanted.shows(request(FAILED, ATTEMPT)) is shown
    assert not Wanted(errors=True).shows(request(ATTEMPT))


def test_what_a_gateway_keeps_is_the_same_as_what_its_events_come_to() -> None:
    told = request(FAILED, ATTEMPT)
    names = ("deployment", "outcome", "error", "detail", "status", "seconds", "first_token")
    of_gateway = {
        **{name: END[name] for name in END if name not in ("type", "at", "request_id", "attempts")},
        "id": "r",
        "at": "1970-01-01T00:00:00.000+00:00",
        "attempts": [{name: each[name] for name in names} for each in (FAILED, ATTEMPT)],
    }

    assert kept(of_gateway) == told


def test_a_change_is_a_line_too_where_no_kind_of_request_is_asked_for() -> None:
    change = {
        "type": "breaker_changed",
        "at": 1.0,
        "deployment": "a/x",
        "old": "closed",
        "new": "open",
        "reason": "5",
    }

    assert str(change_line(change)).endswith("a/x: its breaker went from closed to open: 5")
    assert Wanted().shows_change(change)
    assert Wanted(deployment="a/*").shows_change(change)
    assert not Wanted(deployment="b/*").shows_change(change)
    assert not Wanted(errors=True).shows_change(change)
    assert not Wanted().shows_change({"type": "of_tomorrow", "at": 1.0})
    assert change_line({"type": "breaker_changed", "at": 1.0}) is None


def test_nothing_that_an_upstream_says_drives_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = {
        **END,
        "result": "error",
        "error": "unavailable",
        "detail": "\x1b[2J\nfake line",
        "caller": "\u202e",
    }
    for as_json in (False, True):
        told = _Told(Asked(json=as_json), Wanted())
        told.event(hostile)
        told.event({"type": "gap", "at": 1.0, "left_out": 7})

    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert "\u202e" not in said.out
    text, data, gap = said.out.splitlines()
    assert "\\x1b[2J" in text
    assert json.loads(data)["detail"] == hostile["detail"]
    assert json.loads(gap)["left_out"] == 7
    assert said.err == "7 events are left out: this was too slow to read them\n"


# ── of a router ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def running(servers: Any, application: Callable[..., Any]) -> tuple[Any, Any]:
    """An application with a router over one Ollama server, and that server."""
    gpu = servers.add("ollama", name="gpu")
    servers.configure(gpu, more="control: ./pointsman.sock\nretry: {type: none}")
    return application(), gpu


def test_requests_of_a_router_are_shown_as_they_end_until_it_ends(
    running, processes, cli, workdir: Path
) -> None:
    application, gpu = running
    log = processes.start("logs", "--follow", "--json")
    heard: list[Any] = []
    while not heard:  # the first ones may be over before the log listens
        application.ask()
        while log.stdout and _readable(log):
            heard.append(json.loads(log.stdout.readline()))

    gpu.script(Reply(fault=Fault.status(500)))
    application.close()
    heard += [json.loads(line) for line in log.stdout or ()]

    assert log.wait(20) == 0
    assert {each["type"] for each in heard} == {"request"}
    assert (heard[0]["model"], heard[0]["deployment"], heard[0]["result"]) == (
        "assistant",
        "gpu/llama3.2",
        "ok",
    )
    assert heard[0]["first_token"] is not None
    assert f"process {application.process.pid} has ended" in (
        log.stderr.read().decode() if log.stderr else ""
    )


def _readable(process: subprocess.Popen[bytes]) -> bool:
    import select

    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], 0.5)[0])


def test_ctrl_c_ends_it_with_130_and_a_reader_that_leaves_ends_it_too(running, processes) -> None:
    application, _ = running
    interrupted, unread = processes.start("logs", "-f"), processes.start("logs", "-f")
    for each in (interrupted, unread):
        while not _readable(each):  # until one that ended after it began to listen
            application.ask()

    interrupted.send_signal(signal.SIGINT)
    unread.stdout.close()

    assert interrupted.wait(30) == 130
    assert unread.wait(30) == 1
    assert unread.stderr.read() == b""


def test_what_a_router_does_not_keep_is_waited_for_only_when_it_is_asked_for(running, cli) -> None:
    ran = cli("logs")

    assert (ran.code, ran.out) == (2, "")
    assert "`pointsman logs --follow` shows what happens from now on" in ran.err


def test_without_a_router_it_says_so(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), more="control: ./pointsman.sock")

    ran = cli("logs")

    assert ran.code == 1
    assert "no router listens at" in ran.err


# ── of a gateway ─────────────────────────────────────────────────────────────────────────────────────


CI_KEY = "c" * 40


@pytest.fixture
def gateway(servers: Any, processes: Any, workdir: Path) -> tuple[str, Any]:
    """The URL of a gateway over one Ollama server, and that server; who has `CI_KEY` is no operator."""
    gpu = servers.add("ollama", name="gpu")
    access = f"access: {{keys: [{{name: ci, key: {CI_KEY}}}], anonymous: {{models: [assistant]}}}}"
    servers.configure(gpu, more=f"gateway: {{listen: '127.0.0.1:0', {access}}}\nretry: {{type: none}}")
    serving = processes.start("serve")
    assert serving.stderr is not None
    said = ""
    while (found := re.search(r"listening at (127\.0\.0\.1:\d+)\n", said)) is None:
        line = serving.stderr.readline().decode()
        assert line, said
        said += line
    return f"http://{found[1]}", gpu


def ask(url: str) -> int:
    body = json.dumps({"model": "assistant", "messages": [{"role": "user", "content": "Hi"}]}).encode()
    call = urllib.request.Request(f"{url}/v1/chat/completions", body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_latest_requests_of_a_gateway_are_shown_oldest_first(
    cli, gateway: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, gpu = gateway
    gpu.script(Reply(text="one"), Reply(fault=Fault.status(500)), Reply(text="three"))
    assert [ask(url) for _ in range(3)] == [200, 502, 200]

    text, data = cli("logs", "--url", url), cli("logs", "--url", url, "--json").json_lines

    assert text.code == 0
    assert [line.split("  ")[3] for line in text.out.splitlines()] == ["ok", "error", "ok"]
    assert [each["result"] for each in data] == ["ok", "error", "ok"]
    assert len(cli("logs", "--url", url, "--errors").out.splitlines()) == 1
    assert len(cli("logs", "--url", url, "-n", "2").out.splitlines()) == 2
    assert cli("logs", "--url", url, "--since", "2999-01-01").out == ""
    monkeypatch.setenv("MY_KEY", CI_KEY)
    refused = cli("logs", "--url", url, "--key", "MY_KEY")
    assert (refused.code, refused.out) == (4, "")
    assert "put the key of an operator into MY_KEY" in refused.err
    assert CI_KEY not in refused.err
    assert len(cli("logs", "--url", url, "--since", "1h", "--model", "assist*").out.splitlines()) == 3


def test_it_goes_on_with_what_happens_and_says_nothing_twice(gateway: tuple[str, Any], processes) -> None:
    url, _ = gateway
    ask(url)
    log = processes.start("logs", "--url", url, "--json", "-f")
    assert log.stdout is not None
    first = json.loads(log.stdout.readline())

    ask(url)
    second = json.loads(log.stdout.readline())
    processes.started[0].terminate()
    rest = log.stdout.read()

    assert first["id"] != second["id"]
    assert rest == b""
    assert log.wait(30) == 0


def test_an_address_where_no_gateway_is_is_told(cli) -> None:
    refused = cli("logs", "--url", "http://127.0.0.1:1")
    wrong = cli("logs", "--url", "ftp://x")

    assert (refused.code, wrong.code) == (1, 2)
    assert "no gateway answers at http://127.0.0.1:1" in refused.err
    assert "is no URL of a gateway" in wrong.err


def test_the_gateway_of_the_configuration_is_asked_where_no_control_socket_is_named(
    cli, workdir: Path
) -> None:
    (workdir / "pointsman.yaml").write_text("gateway: {listen: '127.0.0.1:1'}\n")

    assert "no gateway answers at http://127.0.0.1:1" in cli("logs").err
    assert (
        "what a time" in cli("logs", "--since", "yesterday").err
        or cli("logs", "--since", "yesterday").code == 2
    )


def test_what_is_over_is_asked_of_the_gateway_also_where_a_control_socket_is_named(
    cli, workdir: Path
) -> None:
    both = "gateway: {listen: '127.0.0.1:1'}\ncontrol: ./none.sock\n"
    (workdir / "pointsman.yaml").write_text(both)

    for asked in (["--since", "10m"], ["-n", "3"]):
        assert "no gateway answers at http://127.0.0.1:1" in cli("logs", *asked).err
    assert "no router listens" in cli("logs").err


def test_a_router_that_keeps_nothing_says_so_and_lets_nobody_wait_for_it(cli, workdir: Path) -> None:
    (workdir / "pointsman.yaml").write_text("control: ./none.sock\n")

    for asked in (["--since", "10m"], ["-n", "3"]):
        ran = cli("logs", *asked)
        assert (ran.code, "keeps nothing that is over" in ran.err) == (2, True)

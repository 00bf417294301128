"""`pointsman doctor`: what it finds wrong, that it says so with what would help, and what it never does."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pointsman import Config
from pointsman_cli.doctor.configuration import Given
from pointsman_cli.doctor.findings import Checked
from pointsman_cli.doctor.installed import _of_one
from pointsman_cli.doctor.machine import VARIABLES, files, terminal, variables
from pointsman_cli.doctor.running import holders
from pointsman_cli.doctor.upstreams import Upstream, clock, credentials, explained, models

ROOT = Path(__file__).resolve().parents[3]
KEY = "sk-nobody-may-see-this-one"


def of(ran: Any, group: str) -> list[dict[str, Any]]:
    return [each for each in ran.json["checks"] if each["group"] == group]


def states(ran: Any, group: str) -> dict[str, str]:
    return {each["about"]: each["state"] for each in of(ran, group)}


def test_where_all_is_well_every_line_is_ok_and_nothing_is_written(
    cli, gpu, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POINTSMAN_SEED", raising=False)
    (workdir / "pointsman.yaml").chmod(0o600)
    before = sorted(workdir.iterdir())

    ran = cli("doctor", "--json")

    assert (ran.code, ran.err) == (0, "")
    assert {each["state"] for each in ran.json["checks"]} == {"ok"}, ran.out
    assert (ran.json["ok"], ran.json["exit_code"]) == (True, 0)
    groups = list(dict.fromkeys(each["group"] for each in ran.json["checks"]))
    assert groups == ["configuration", "plugins", "credentials", "providers", "models", "clock", "running",
                      "limits", "terminal", "versions"]  # fmt: skip
    assert sorted(workdir.iterdir()) == before
    assert not any(each.body for each in gpu.requests), "a probe that costs something"


def test_a_provider_that_is_down_fails_and_the_others_are_asked(cli, servers) -> None:
    up, down = servers.add("ollama", name="up"), servers.add("ollama", name="down")
    servers.configure(up, down)
    servers.do(down.stop())

    ran = cli("doctor")

    assert ran.code == 1
    assert re.search(r"^providers\tok\tup\tanswers, in \d+ ms\t$", ran.out, re.MULTILINE)
    assert "providers\tfail\tdown\tno connection to" in ran.out
    assert "nobody listens there: is it started, and is the port right?" in ran.out
    assert ran.err.endswith("1 failure\n")


def test_with_a_wrong_configuration_the_code_is_2_and_all_else_is_looked_at(cli, gpu, workdir: Path) -> None:
    file = workdir / "pointsman.yaml"
    file.write_text(file.read_text() + "stategy: weighted\n")

    ran = cli("doctor", "--json")

    assert (ran.code, ran.json["exit_code"]) == (2, 2)
    (problem,) = (each for each in of(ran, "configuration") if each["state"] == "fail")
    assert problem["about"].startswith("pointsman.yaml:9:1")
    assert "did you mean 'strategy'?" in problem["said"] + problem["hint"]
    assert states(ran, "providers") == {"gpu": "ok"}


def test_credentials_are_told_by_where_they_come_from_and_never_shown(
    cli, servers, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = servers.add("openai", name="cloud", api_key=KEY)
    monkeypatch.setenv("A_KEY", KEY)
    (workdir / "key").write_text(KEY)
    (workdir / "key").chmod(0o644)
    (workdir / "pointsman.yaml").write_text(
        "providers:\n"
        + "".join(
            f"  {name}: {{type: openai, base_url: '{cloud.base_url}', {auth}}}\n"
            for name, auth in {
                "one": "api_key: '${A_KEY}'",
                "two": f"auth: {{type: file, path: {workdir / 'key'}}}",
                "three": f"api_key: {KEY}",
                "four": "auth: {type: env, name: NOT_THERE}",
                "five": "api_key: wrong",
            }.items()
        )
    )

    text, ran = cli("doctor"), cli("doctor", "--json")

    said = {each["about"]: (each["state"], each["said"]) for each in of(ran, "credentials")}
    assert said["one"] == ("ok", "the variable A_KEY")
    assert said["two"] == ("ok", f"the file {workdir / 'key'}")
    assert said["three"] == ("warn", "written down in the configuration")
    assert said["four"][0] == "fail"
    assert said["four"][1].startswith("the variable NOT_THERE: ")
    assert said["five"][0] == "fail"
    assert said["five"][1].endswith("refused by the provider")
    assert states(ran, "providers") == {"one": "ok", "two": "ok", "three": "ok", "five": "fail"}
    holds = "everybody on this machine can read it, and it holds a secret"
    assert {each["about"] for each in of(ran, "configuration") if each["said"] == holds} == {
        "pointsman.yaml",
        str(workdir / "key"),
    }
    for each in (text.out, text.err, ran.out, ran.err):
        assert KEY not in each


def test_without_a_configuration_it_says_what_is_here(cli, servers, monkeypatch: pytest.MonkeyPatch) -> None:
    found = servers.add("ollama", name="gpu")
    monkeypatch.setenv("OLLAMA_HOST", found.base_url)
    monkeypatch.setenv("GROQ_API_KEY", "two\nlines")

    ran = cli("doctor", "--json")

    assert ran.code == 1
    assert of(ran, "configuration")[0]["said"].startswith("none: no pointsman.yaml here")
    assert states(ran, "providers") == {"ollama": "ok"}
    assert states(ran, "credentials") == {"ollama": "ok", "groq": "fail"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "cert.pem: No such file"),
        (("cert.pem",), "key.pem: No such"),
        (("cert.pem", "key.pem"), "no certificate"),
    ],
)
def test_a_certificate_that_the_gateway_cannot_use_is_told_with_the_file(
    cli, gpu, workdir: Path, files: tuple[str, ...], said: str
) -> None:
    file = workdir / "pointsman.yaml"
    tls = "{cert: cert.pem, key: key.pem}"
    file.write_text(f"{file.read_text()}gateway: {{listen: '127.0.0.1:0', tls: {tls}}}\n")
    for each in files:
        (workdir / each).write_text("nothing")

    *_, last = of(cli("doctor", "--json"), "gateway")

    assert (last["about"], last["state"]) == ("gateway.tls", "fail")
    assert said in last["said"]


def test_a_held_port_of_the_gateway_is_told_with_who_holds_it(cli, gpu, workdir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        file = workdir / "pointsman.yaml"
        file.write_text(
            f"{file.read_text()}gateway: {{listen: '127.0.0.1:{port}', health: {{listen: '127.0.0.1:1'}}}}\n"
        )

        ran = cli("doctor", "--json")

        assert holders(port) <= {os.getpid()}
    first, second = of(ran, "gateway")
    assert (first["about"], first["state"]) == (f"gateway at 127.0.0.1:{port}", "warn")
    assert first["said"].startswith("held by ")
    assert second["about"] == "gateway at 127.0.0.1:1"


def test_the_running_router_is_found_at_its_control_socket(cli, servers, application) -> None:
    servers.configure(servers.add("ollama", name="gpu"), more="control: ./pointsman.sock")
    assert [each["said"][:17] for each in of(cli("doctor", "--json"), "running")] == ["no router runs at"]

    process = application().process

    (found,) = of(cli("doctor", "--json"), "running")
    assert (found["about"], found["state"]) == (f"process {process.pid}", "ok")


def test_what_a_running_router_refused_is_told_in_words(cli, servers, application, workdir: Path) -> None:
    servers.configure(servers.add("ollama", name="gpu"), more="control: ./pointsman.sock")
    application()
    file = workdir / "pointsman.yaml"
    file.write_text(file.read_text() + "stategy: weighted\n")
    assert cli("reload").code == 2

    (found,) = of(cli("doctor", "--json"), "running")

    assert found["state"] == "warn"
    assert re.fullmatch(
        r"runs on an older configuration; it refused the file: pointsman\.yaml:\d+:1: stategy: "
        r"unknown key 'stategy'; did you mean 'strategy'\? \[PM1101\]",
        found["said"],
    )
    assert found["hint"]


def test_at_a_terminal_nothing_that_is_looked_at_drives_it(
    processes, gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setenv("POINTSMAN_\x1b[2J\x07", "1")
    gpu.site.models = {"llama\x1b[31m": None}

    seen = processes.at_terminal("doctor").rest()

    assert "nothing reads it" in seen
    assert "gpu does not list it" in seen
    assert "\x1b[2J" not in seen
    assert "\x07" not in seen
    assert "llama\x1b" not in seen
    lines = re.sub(r"\x1b\[[0-9;]*m", "", seen).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= 80


def test_a_broken_plugin_fails_where_it_is_used_and_warns_where_it_is_not() -> None:
    row = {"kind": "provider", "name": "x", "state": "broken", "error": "ImportError: no y", "version": "1"}

    (unused,) = _of_one("pointsman-x", [{**row, "used_by": []}])
    (used,) = _of_one("pointsman-x", [{**row, "used_by": ["providers.a"]}])

    assert unused == Checked("warn", "pointsman-x: provider x", "ImportError: no y", "nothing here uses it")
    assert used == Checked("fail", "pointsman-x: provider x", "ImportError: no y", "used by providers.a")


@pytest.mark.parametrize(
    ("error", "section", "environ", "helps"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] unable", {}, {}, "name its authority with `ca_file`"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", {}, {}, "is base_url to begin with http"),
        ("Connection refused", {}, {}, "nobody listens there"),
        ("Temporary failure in name resolution", {}, {}, "nobody knows a host of that name"),
        ("no route", {"base_url": "https://x.test"}, {"https_proxy": "http://p"}, "only with `trust_env: true`"),
        ("refused", {"base_url": "http://127.0.0.1:1", "trust_env": True}, {"HTTP_PROXY": "http://p"}, "NO_PROXY"),
        ("refused", {"proxy": "http://p"}, {}, "the way goes over a proxy"),
        ("refused", {"base_url": "http://127.0.0.1:1"}, {"HTTP_PROXY": "http://p"}, "nobody listens there"),
        ("who knows", {}, {}, ""),
    ],
)  # fmt: skip
def test_what_keeps_a_provider_away_is_explained(
    error: str, section: dict[str, Any], environ: dict[str, str], helps: str
) -> None:
    hint = explained(Upstream(section=section, error=error, code="connection_failed"), environ)

    assert helps in hint
    assert bool(helps) == bool(hint)


def test_a_model_that_the_upstream_does_not_list_is_told_with_what_is_like_it() -> None:
    config = Config.from_mapping(
        {
            "providers": {"gpu": {"type": "ollama"}},
            "models": {"m": {"deployments": ["gpu/lama3.2", "gpu/qwen3"]}},
        }
    )
    heard = {"gpu": Upstream(section={}, seconds=0.1, models=["llama3.2:latest", "qwen3:latest"])}

    (found,) = models(Given("x.yaml", {}, config), heard)

    assert (found.state, found.about, found.said) == ("warn", "gpu/lama3.2", "gpu does not list it")
    assert found.hint == "did you mean 'llama3.2'?"


@pytest.mark.parametrize(("skew", "state"), [(4.0, "ok"), (-4.0, "ok"), (61.0, "warn"), (-61.0, "warn")])
def test_a_clock_that_is_off_by_more_than_seconds_is_told(skew: float, state: str) -> None:
    (found,) = clock({"a": Upstream(section={}, seconds=0.1, skew=skew), "b": Upstream(section={})})

    assert found.state == state
    assert state == "ok" or ("61 s ahead of a" if skew > 0 else "61 s behind a") in found.said


@pytest.mark.parametrize(("limit", "state"), [(-1, "ok"), (256, "warn"), (4096, "warn"), (65536, "ok")])
def test_the_limit_of_open_files_is_held_against_the_calls_that_may_run(limit: int, state: str) -> None:
    deployment = {"provider": "gpu", "model": "x", "max_in_flight": 3000}
    config = Config.from_mapping(
        {"providers": {"gpu": {"type": "ollama"}}, "models": {"m": {"deployments": [deployment]}}}
    )

    assert [each.state for each in files(Given("x.yaml", {}, config), limit)] == [state]


def test_the_variables_that_are_known_are_those_of_the_code() -> None:
    sources = (
        each for tree in ("core", "plugins", "contrib") for each in (ROOT / tree).glob("**/src/**/*.py")
    )
    there = {
        name
        for each in sources
        for name in re.findall(r"\bPOINTSMAN_[A-Z_]*[A-Z]\b", each.read_text("utf-8"))
    }

    assert set(VARIABLES) == there


def test_a_variable_that_nothing_reads_is_told_and_its_value_is_not() -> None:
    environ = {"POINTSMAN_PLUGIN": KEY, "POINTSMAN_MINE": KEY, "POINTSMAN_CONFIG": "a.yaml", "PATH": "x"}

    found = list(variables(environ, Given("a.yaml", {"api_key": "${POINTSMAN_MINE}"})))

    assert [(each.about, each.state) for each in found] == [
        ("POINTSMAN_CONFIG", "ok"), ("POINTSMAN_MINE", "ok"), ("POINTSMAN_PLUGIN", "warn"),
    ]  # fmt: skip
    assert found[2].hint == "did you mean 'POINTSMAN_PLUGINS'?"
    assert KEY not in str(found)


def test_a_terminal_that_is_not_utf_8_is_told() -> None:
    class Latin(StringIO):
        encoding = "iso8859-1"  # type: ignore[assignment]  # StringIO has none

        def isatty(self) -> bool:
            return True

    (found,) = terminal(Latin(), {"NO_COLOR": "1"})

    assert found.state == "warn"
    assert "no colours (NO_COLOR), iso8859-1" in found.said


def test_a_check_that_fails_itself_takes_none_of_the_others_away() -> None:
    from pointsman_cli.commands.doctor import _whole

    def broken() -> Iterator[Checked]:
        yield Checked("ok", "a", "b")
        raise ZeroDivisionError("by zero")

    assert [each.state for each in _whole(broken())] == ["ok", "fail"]


def test_a_source_that_is_a_plugin_is_named_and_not_its_settings() -> None:
    section = {"auth": {"type": "keystore", "entry": "secret-name"}}

    (found,) = credentials(Given(), {"a": Upstream(section=section, seconds=0.1)})

    assert (found.state, found.said) == ("ok", "auth keystore")

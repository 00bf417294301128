from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from pointsman import Router, errors
from pointsman_cli.errors import Failed, described, exit_code
from pointsman_simulator import Fault, Reply

CODES = {
    errors.ConfigError: 2,
    errors.PluginError: 2,
    errors.RequestError: 1,
    errors.InvalidRequest: 1,
    errors.UnknownModel: 2,
    errors.ContextWindowExceeded: 1,
    errors.ContentFiltered: 4,
    errors.Refused: 4,
    errors.BudgetExceeded: 4,
    errors.Unsupported: 1,
    errors.ProviderError: 3,
    errors.AuthenticationFailed: 3,
    errors.PermissionDenied: 4,
    errors.ModelNotFound: 3,
    errors.QuotaExhausted: 3,
    errors.RateLimited: 3,
    errors.Overloaded: 3,
    errors.Unavailable: 3,
    errors.ConnectionFailed: 3,
    errors.NoConnectionFree: 3,
    errors.OutOfResources: 3,
    errors.AttemptTimeout: 3,
    errors.FirstTokenTimeout: 3,
    errors.IdleTimeout: 3,
    errors.BadResponse: 3,
    errors.FormatNotMet: 3,
    errors.Truncated: 3,
    errors.DeadlineExceeded: 3,
    errors.QueueFull: 3,
    errors.AuditUnavailable: 3,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items(), ids=lambda each: getattr(each, "__name__", each))
def test_every_error_has_its_exit_code(kind: type[errors.PointsmanError], code: int) -> None:
    assert exit_code(kind("it happened")) == code


def test_no_error_of_the_tree_was_forgotten() -> None:
    def below(kind: type) -> set[type]:
        return {kind}.union(
            *(below(each) for each in kind.__subclasses__() if each.__module__ == kind.__module__)
        )

    special = {errors.PointsmanError, errors.CallError, errors.MidStreamError}
    special |= {errors.NotReady}  # no caller sees it
    special |= {errors.NoDeploymentAvailable, errors.RuleNotMet}
    assert below(errors.PointsmanError) - special == set(CODES)


def test_errors_with_more_than_a_message_have_their_exit_codes() -> None:
    broken = errors.MidStreamError("broken", cause=errors.Unavailable("down"))
    filtered = errors.MidStreamError("broken", cause=errors.ContentFiltered("no"))

    assert exit_code(broken) == 3
    assert exit_code(filtered) == 4
    assert exit_code(errors.NoDeploymentAvailable("none", reasons={"a/b": "breaker open"})) == 3
    assert exit_code(errors.RuleNotMet("none may", reasons={"a/b": "not local"})) == 4
    assert exit_code(KeyboardInterrupt()) == exit_code(click.Abort()) == 130
    assert exit_code(click.UsageError("what?")) == 2
    assert exit_code(Failed("no")) == 1


def test_an_error_object_holds_what_a_program_needs() -> None:
    error = errors.RateLimited("slow down", deployment="gpu/llama3.2", status=429, retry_after=2.5)
    error.request_id, error.attempts = "req_1", 3

    assert described(error) == {
        "code": "rate_limited",
        "message": "slow down",
        "exit_code": 3,
        "deployment": "gpu/llama3.2",
        "status": 429,
        "retry_after": 2.5,
        "request_id": "req_1",
        "attempts": 3,
    }


def test_what_earlier_attempts_ended_with_stands_below_an_error(cli, servers) -> None:
    one, two = servers.add("ollama", name="one"), servers.add("ollama", name="two")
    servers.configure(one, two, more="retry: {type: exponential, attempts: 2}")
    for each in (one, two):
        each.default = Reply(fault=Fault.status(503))

    text, data = cli("ask", "hi"), cli("ask", "--json", "hi").error

    assert text.code == 3
    first, *before = text.err.splitlines()
    assert first.startswith("error: ")
    assert len(before) == 1
    assert before[0].startswith("  before: ")
    assert {data["deployment"], *(each["deployment"] for each in data["failures"])} == {
        "one/llama3.2",
        "two/llama3.2",
    }
    assert data["failures"][0]["code"] == "unavailable"


BAD = """\
providers:
  gpu: {type: olama, base_url: http://127.0.0.1:11434}
  cloud: {type: openai, api_key: "${NO_SUCH_VARIABLE}"}
models:
  assistant:
    strategy: least_conections
    deployments:
      - {provider: gpu, model: llama3.2, wieght: 3}
"""


@pytest.mark.parametrize(
    "command", [("config", "check"), ("status",), ("ask", "hi"), ("chat",), ("models", "list")]
)
def test_a_bad_configuration_tells_all_problems_and_starts_nothing(cli, workdir: Path, command) -> None:
    (workdir / "pointsman.yaml").write_text(BAD)

    ran = cli(*command, input="hi\n")

    with pytest.raises(errors.ConfigError) as raised:
        Router.check("pointsman.yaml")
    assert (ran.code, ran.out) == (2, "")
    told = [line for line in ran.err.splitlines() if not line.startswith("    ")]
    assert "\n".join(told[:-1]) == str(raised.value)
    head, type_, key, strategy, weight, last = told
    assert last == "Try: pointsman config explain PM1401"
    assert head == "4 problems in pointsman.yaml:"
    assert type_.startswith("  pointsman.yaml:2:15: providers.gpu.type: ")
    assert key.startswith("  pointsman.yaml:3:34: providers.cloud.api_key: ")
    assert "NO_SUCH_VARIABLE" in key
    assert strategy.startswith("  pointsman.yaml:6:15: models.assistant.strategy.type: ")
    assert weight.startswith("  pointsman.yaml:8:42: models.assistant.deployments[0].wieght: ")
    assert "did you mean 'weight'?" in weight


def test_each_problem_stands_above_its_line_with_a_mark_at_its_place(cli, workdir: Path) -> None:
    (workdir / "pointsman.yaml").write_text(BAD)

    ran = cli("config", "check")

    shown = [line for line in ran.err.splitlines() if line.startswith("    ")]
    assert shown == [
        "    gpu: {type: olama, base_url: http://127.0.0.1:11434}",
        "                ^",
        '    cloud: {type: openai, api_key: "${NO_SUCH_VARIABLE}"}',
        "                                   ^",
        "    strategy: least_conections",
        "              ^",
        "    - {provider: gpu, model: llama3.2, wieght: 3}",
        "                                       ^",
    ]


def test_a_program_gets_the_code_and_the_line_of_each_problem(cli, workdir: Path) -> None:
    (workdir / "pointsman.yaml").write_text(BAD)

    ran = cli("config", "check", "--json")

    first = ran.error["problems"][0]
    assert (first["code"], first["source"], first["caret"]) == (
        "PM1401",
        "gpu: {type: olama, base_url: http://127.0.0.1:11434}",
        12,
    )


def test_a_code_is_explained_with_an_example(cli) -> None:
    ran = cli("config", "explain", "pm1204")

    assert ran.code == 0
    assert ran.out.startswith("PM1204: the same thing is listed twice\n\n")
    assert "Right:\n    providers: " in ran.out


def test_all_codes_are_listed_and_a_wrong_one_is_refused(cli) -> None:
    listed, wrong = cli("config", "explain"), cli("config", "explain", "PM12O4")

    assert "PM1101\tnobody knows this key\n" in listed.out
    assert wrong.code == 2
    assert "no problem has the code 'PM12O4'; did you mean 'PM1" in wrong.err


def test_problems_that_only_plugins_can_find_are_told_the_same_way(cli, workdir: Path) -> None:
    (workdir / "pointsman.yaml").write_text(
        BAD.replace("wieght", "weight").replace("${NO_SUCH_VARIABLE}", "x")
    )

    ran = cli("config", "check", "--json")

    assert ran.code == 2
    assert ran.error["code"] == "config"
    assert [each["path"] for each in ran.error["problems"]] == [
        "providers.gpu.type",
        "models.assistant.strategy.type",
    ]
    assert {each["file"] for each in ran.error["problems"]} == {"pointsman.yaml"}


def test_a_file_that_is_not_there_is_a_configuration_error(cli) -> None:
    ran = cli("config", "check", "nowhere.yaml")

    assert ran.code == 2
    assert "nowhere.yaml" in ran.err
    assert "Traceback" not in ran.err


REFUSALS = [
    (Fault.status(400), 1, "invalid_request"),
    (Fault.status(401), 3, "authentication_failed"),
    (Fault.status(403), 4, "permission_denied"),
    (Fault.status(400, kind="content_filter"), 4, "content_filtered"),
    (Fault.status(500), 3, "unavailable"),
]


@pytest.mark.parametrize(("fault", "code", "name"), REFUSALS, ids=[name for *_, name in REFUSALS])
def test_what_an_upstream_says_becomes_the_exit_code(
    cli, servers, fault: Fault, code: int, name: str
) -> None:
    upstream = servers.add("openai", name="cloud", default=Reply(fault=fault))
    servers.configure(upstream, more="retry: none")

    text, data = cli("ask", "hi"), cli("ask", "hi", "--json")

    assert (text.code, data.code) == (code, code)
    assert text.err.startswith("error: ")
    assert text.out == data.out == ""
    assert data.error["code"] == name
    assert data.error["deployment"] == "cloud/gpt-4.1-mini"


def test_an_unknown_model_is_usage(cli, gpu) -> None:
    ran = cli("ask", "-m", "asistant", "hi", "--json")

    assert ran.code == 2
    assert ran.error["code"] == "unknown_model"
    assert "did you mean 'assistant'?" in ran.error["message"]


def test_a_dead_upstream_is_told_with_the_number_of_attempts(cli, servers, gpu) -> None:
    servers.do(gpu.stop())
    servers.configure(gpu, more="retry: {type: exponential, attempts: 2, base_delay: 1ms}")

    ran = cli("ask", "hi")

    assert ran.code == 3
    assert "gpu/llama3.2, 2 attempts" in ran.err
    assert json.dumps(ran.out) == '""'

from __future__ import annotations

import json
from collections import Counter

import pytest

from pointsman import Config, Outcome
from pointsman.events import AttemptEnded
from pointsman_cli.demo import scene
from pointsman_cli.demo.account import Account
from pointsman_cli.demo.show import show

CHATS = {f"{actor.type}/{actor.chat}": actor for actor in scene.ACTORS}


@pytest.fixture(scope="module")
def told() -> dict:
    """The one object of `pointsman demo --json`, from a process of its own."""
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "pointsman_cli", "demo", "--json", "--seed", "5"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_no_request_fails_although_an_upstream_is_killed(told: dict) -> None:
    assert told["requests"] >= 300
    assert told["failed"] == 0
    assert told["errors"] == []
    assert told["lost_upstream"] == "ollama"
    assert told["killed_with_requests_in_flight"] > 0
    assert told["failovers"] > 0
    assert told["in_flight_after"] == 0
    assert told["seconds"] < 30
    assert told["seed"] == 5


def test_all_strategies_and_all_providers_took_part(told: dict) -> None:
    assert set(told["strategies"]) == {"round_robin", "weighted", "least_connections"}
    assert set(told["providers"]) == {"ollama", "openai", "claude", "localai"}
    assert all(told["providers"].values())
    assert sum(told["providers"].values()) == told["requests"]
    assert sum(sum(each.values()) for each in told["strategies"].values()) == told["requests"]
    assert told["streams"] >= 100
    assert told["tool_calls"] > 0
    assert told["embeddings"] > 0


def test_while_all_is_well_the_shares_are_exact(told: dict) -> None:
    round_robin = told["acts"]["round_robin"]["all well"]
    weighted = told["acts"]["weighted"]["all well"]
    total = sum(weighted[id] for id in CHATS)
    weights = sum(actor.weight for actor in CHATS.values())

    assert len({round_robin[id] for id in CHATS}) == 1
    assert {id: weighted[id] for id in CHATS} == {
        id: total * actor.weight // weights for id, actor in CHATS.items()
    }


def test_nothing_reaches_the_upstream_while_it_is_gone_and_something_after(told: dict) -> None:
    def of_the_lost(act: str) -> int:
        return sum(
            count
            for acts in told["acts"].values()
            for id, count in acts[act].items()
            if id.startswith("ollama/")
        )

    assert of_the_lost("killed") == of_the_lost("gone") == 0
    assert of_the_lost("back") > 0


def test_the_servers_own_counts_agree_with_the_routers(told: dict) -> None:
    servers = told["upstream_requests"]

    assert told["counts_agree"] is True
    assert {name: each["completed"] for name, each in servers.items()} == told["providers"]
    assert all(each["completed"] == each["answers_at_router"] for each in servers.values())
    lost = servers["ollama"]
    assert lost["seen"] - lost["completed"] == told["killed_with_requests_in_flight"]
    assert all(each["seen"] == each["completed"] for name, each in servers.items() if name != "ollama")


def test_the_breaker_opens_and_closes_again(told: dict) -> None:
    steps = [
        (each["from"], each["to"])
        for each in told["breaker_transitions"]
        if each["deployment"] == "ollama/llama3.2"
    ]

    assert steps[0] == ("closed", "open")
    assert steps[-1] == ("half_open", "closed")
    assert {each["deployment"].partition("/")[0] for each in told["breaker_transitions"]} == {"ollama"}


def test_the_scene_is_a_configuration_with_all_strategies() -> None:
    urls = {actor.type: f"http://127.0.0.1:{port}" for port, actor in enumerate(scene.ACTORS, 1)}

    config = Config.from_mapping(scene.configuration(urls), environ={})

    assert {each.strategy.type for each in config.models.values()} == set(scene.STRATEGIES)
    assert scene.TOTAL >= 300


def test_requests_of_an_act_are_as_many_as_it_says() -> None:
    for act in scene.ACTS:
        kinds = Counter(kind for _, kind in act.requests())
        assert sum(kinds.values()) == act.count
        assert kinds["embed"] == 3 * act.embed


def test_each_broken_promise_is_noticed() -> None:
    account = Account(seed=1)
    account.failed.append("all well: weighted chat: no answer")
    account.upstream_completed["openai"] = 1

    assert not any(account.claims().values())


def test_an_account_that_agrees_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    account = Account(seed=1, requests=1, in_flight_after=0)
    account.hear(_attempt("openai/gpt-4.1-mini"), 0.5)
    account.answered("weighted", "gone", "openai/gpt-4.1-mini", attempts=2)
    account.upstream_seen["openai"] = account.upstream_completed["openai"] = 1

    show(account)

    assert all(account.claims().values())
    out = capsys.readouterr().out
    assert "weighted\topenai/gpt-4.1-mini\t0\t0\t1\t0\t1\t12 ms" in out
    assert "NO " not in out


def _attempt(deployment: str) -> AttemptEnded:
    return AttemptEnded(
        request_id="req_1",
        model="weighted",
        deployment=deployment,
        number=2,
        outcome=Outcome.OK,
        error="",
        detail="",
        status=None,
        wall=0.0,
        seconds=0.1,
        first_token=0.012,
        usage=None,
        upstream_request_id="",
    )

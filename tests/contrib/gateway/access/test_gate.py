"""Who is let in, for what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman.plugin import Caller, Route, SurfaceRequest, WholeReply, replace
from pointsman_gateway.access import rules
from pointsman_gateway.access.admission import Denied, Head
from pointsman_gateway.access.gate import OURS, Gate
from pointsman_gateway.access.sessions import token_of
from pointsman_gateway.access.settings import AccessSettings

CI, ROOT = "ci-" + "k" * 32, "root-" + "k" * 32
KEYS = [
    {"name": "ci", "key": CI, "models": ["assistant"], "limits": {"requests": "2/h"}},
    {"name": "root", "key": ROOT, "operator": True},
]


class WallAt:
    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> float:
        return self.passed

    def wall(self) -> float:
        return 1_800_000_000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps")


async def handler(asked: object) -> WholeReply:
    return WholeReply()


CHAT = Route("POST", "/v1/chat/completions", handler)
MODELS = Route("GET", "/v1/models", handler)
STATUS = Route("GET", "/admin/v1/status", handler, operator=True)
RELOAD = Route("POST", "/admin/v1/reload", handler, operator=True)
LIVE = Route("GET", "/health/live", handler, public=True)


def gate(said: dict[str, Any] | None = None, clock: WallAt | None = None, **other: Any) -> Gate:
    clock = clock or WallAt()
    access = AccessSettings.model_validate(said or {})
    built = rules.build(access, pepper=b"p" * 32, clock=clock, directory=Path(), **other)
    return Gate(built.rules, clock)


def head(route: Route, *, peer: str = "127.0.0.1", scope: str = "", **fields: str) -> Head:
    said = {"host": "127.0.0.1:4000", **{name.replace("_", "-"): value for name, value in fields.items()}}
    local = "127.0.0.1" if peer == "127.0.0.1" else "10.0.0.1"
    return Head(route.method, route.path, "", said, peer=peer, local=local, scope=scope)


async def code(at: Gate, asked: Head, route: Route) -> str:
    """Why not; "" when it is let in."""
    try:
        await at.admit(asked, route)
    except Denied as refused:
        return refused.problem.code
    return ""


async def test_on_this_machine_no_key_is_needed_and_none_is_looked_at() -> None:
    at = gate()

    caller = await at.admit(head(CHAT, content_length="2", content_type="application/json"), CHAT)

    assert caller == Caller(operator=True)
    assert await code(at, head(CHAT, authorization="Bearer sk-placeholder"), CHAT) == ""


async def test_an_operator_without_a_key_needs_a_header_of_ours() -> None:
    assert await code(gate(), head(RELOAD), RELOAD) == "csrf"
    assert await code(gate(), head(RELOAD, x_pointsman_csrf="1"), RELOAD) == ""
    assert await code(gate(), head(RELOAD, x_pointsman_csrf="1", origin="http://evil.example"), RELOAD) != ""


async def test_a_body_declared_as_json_says_as_much_as_that_header() -> None:
    pull = Route("POST", "/api/pull", handler, operator=True)
    json = {"content_length": "2", "content_type": "application/json"}

    assert await code(gate(), head(pull, **json), pull) == ""
    assert await code(gate(), head(pull), pull) == "csrf"
    assert await code(gate(), head(pull, **{**json, "content_type": "text/plain"}), pull) == "content_type"


async def test_pages_that_may_ask_models_may_not_run_the_router() -> None:
    at, page = gate(origins=["https://app.example.com"]), {"origin": "https://app.example.com"}

    assert await code(at, head(CHAT, **page), CHAT) == ""
    assert await code(at, head(RELOAD, x_pointsman_csrf="1", **page), RELOAD) == "origin_not_allowed"


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"},
        {"content_length": "2", "content_type": "text/plain"}, {"host": "evil.example:4000"},
    ],
)  # fmt: skip
async def test_no_web_page_asks_in_the_name_of_who_sits_at_this_machine(fields: dict[str, str]) -> None:
    assert await code(gate(), head(CHAT, **fields), CHAT) != ""


@pytest.mark.parametrize("fields", [{"x_forwarded_for": "10.0.0.9"}, {"via": "1.1 nginx"}])
async def test_behind_a_proxy_nobody_is_on_this_machine(fields: dict[str, str]) -> None:
    assert await code(gate(), head(CHAT, **fields), CHAT) == "missing_api_key"
    assert await code(gate(behind_proxy=True), head(CHAT), CHAT) == "missing_api_key"
    assert await code(gate({"loopback": False}), head(CHAT), CHAT) == "missing_api_key"


async def test_from_elsewhere_a_key_is_needed() -> None:
    at = gate({"keys": KEYS}, hosts=["127.0.0.1"])

    assert await code(at, head(CHAT, peer="10.0.0.9"), CHAT) == "missing_api_key"
    assert await code(at, head(CHAT, peer="10.0.0.9", x_api_key="wrong"), CHAT) == "invalid_api_key"
    assert await code(at, head(CHAT, x_api_key="wrong"), CHAT) == "invalid_api_key"
    assert await code(at, head(LIVE, peer="10.0.0.9"), LIVE) == ""


async def test_a_key_is_worth_what_stands_beside_it() -> None:
    at = gate({"keys": KEYS})

    caller = await at.admit(head(CHAT, peer="10.0.0.9", authorization=f"Bearer {CI}"), CHAT)

    assert (caller.name, caller.models, caller.operator) == ("ci", {"assistant"}, False)
    assert await code(at, head(STATUS, x_api_key=CI), STATUS) == "not_an_operator"
    assert await code(at, head(STATUS, x_api_key=ROOT, origin="http://evil.example"), STATUS) == ""


async def test_of_two_credentials_ours_counts_and_two_of_ours_are_refused() -> None:
    at = gate({"keys": KEYS})

    assert await code(at, head(CHAT, authorization="Bearer sk-other", x_api_key=CI), CHAT) == ""
    assert await code(at, head(CHAT, authorization=f"Bearer {CI}", x_api_key=CI), CHAT) == ""
    assert await code(at, head(CHAT, authorization=f"Bearer {CI}", x_api_key=ROOT), CHAT) == "two_credentials"


async def test_limits_count_what_is_asked_of_models() -> None:
    at = gate({"keys": KEYS})
    for _ in range(5):
        assert await code(at, head(MODELS, x_api_key=CI), MODELS) == ""
    assert await code(at, head(CHAT, x_api_key=CI), CHAT) == ""
    assert await code(at, head(CHAT, x_api_key=CI), CHAT) == ""

    assert await code(at, head(CHAT, x_api_key=CI), CHAT) == "caller_rate_limited"
    assert await code(at, head(CHAT, x_api_key=ROOT), CHAT) == ""


async def test_limits_count_what_comes_by_a_socket_that_was_opened_once() -> None:
    at = gate({"keys": KEYS})
    caller = await at.admit(head(MODELS, x_api_key=CI), MODELS)
    asked = SurfaceRequest("GET", "/ws", {}, {}, {}, b"", caller, "id")
    at.meter(asked)
    at.meter(asked)

    with pytest.raises(Denied, match="60|3600"):
        at.meter(asked)

    at.meter(replace(asked, method="POST"))
    at.meter(replace(asked, caller=Caller(name="ci")))


async def test_those_without_a_key_have_each_their_own_share() -> None:
    at = gate({"anonymous": {"models": ["assistant"], "limits": {"requests": "1/h"}}})
    first, second = head(CHAT, peer="10.0.0.8"), head(CHAT, peer="10.0.0.9")

    assert (await at.admit(first, CHAT)).models == {"assistant"}
    assert await code(at, first, CHAT) == "caller_rate_limited"
    assert await code(at, second, CHAT) == ""
    assert await code(at, head(STATUS, peer="10.0.0.9", x_pointsman_csrf="1"), STATUS) == "missing_api_key"


async def test_a_network_of_addresses_has_one_share() -> None:
    at = gate({"anonymous": {"models": ["assistant"], "limits": {"requests": "1/h"}}})

    assert await code(at, head(CHAT, peer="2001:db8:0:1::7"), CHAT) == ""
    assert await code(at, head(CHAT, peer="2001:db8:0:1:ffff::1"), CHAT) == "caller_rate_limited"
    assert await code(at, head(CHAT, peer="2001:db8:0:2::7"), CHAT) == ""
    assert await code(at, head(CHAT, peer="::ffff:10.0.0.8"), CHAT) == ""
    assert await code(at, head(CHAT, peer="10.0.0.8"), CHAT) == "caller_rate_limited"


async def test_a_listener_without_keys_has_a_scope_of_its_own() -> None:
    at = gate({"keys": KEYS, "loopback": False}, keyless={"ollama": Caller(models=frozenset(["assistant"]))})

    caller = await at.admit(head(CHAT, scope="ollama"), CHAT)

    assert caller.models == {"assistant"}
    assert not caller.operator
    assert await code(at, head(CHAT, scope="ollama", origin="http://evil.example"), CHAT) != ""
    assert await code(at, head(STATUS, scope="ollama", x_pointsman_csrf="1"), STATUS) == "not_an_operator"


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────────


async def session_of(at: Gate, key: str = ROOT) -> str:
    grant = await at.known(head(STATUS, x_api_key=key))
    assert grant is not None
    return at.sessions.begin(grant)


async def test_a_session_allows_what_its_key_does() -> None:
    at = gate({"keys": KEYS})
    secret = await session_of(at)
    cookie = f"pointsman_session={secret}"

    assert await code(at, head(STATUS, peer="10.0.0.9", cookie=cookie), STATUS) == ""
    assert await code(at, head(RELOAD, peer="10.0.0.9", cookie=cookie), RELOAD) == "csrf"
    assert (
        await code(at, head(RELOAD, peer="10.0.0.9", cookie=cookie, x_pointsman_csrf="1"), RELOAD) == "csrf"
    )
    said = {"cookie": cookie, "x_pointsman_csrf": token_of(secret)}
    assert await code(at, head(RELOAD, peer="10.0.0.9", **said), RELOAD) == ""
    said["origin"] = "https://evil.example"
    assert await code(at, head(RELOAD, peer="10.0.0.9", **said), RELOAD) == "origin_not_allowed"
    at.sessions.end(secret)
    assert await code(at, head(STATUS, peer="10.0.0.9", cookie=cookie), STATUS) == "missing_api_key"


@pytest.mark.parametrize(("every", "times"), [(3_601, 1), (3_000, 15)])
async def test_a_session_ends_after_an_idle_hour_and_after_half_a_day(every: float, times: int) -> None:
    clock = WallAt()
    at = gate({"keys": KEYS}, clock)
    cookie = f"pointsman_session={await session_of(at)}"
    said = ""

    for _ in range(times):
        clock.passed += every
        said = await code(at, head(STATUS, peer="10.0.0.9", cookie=cookie), STATUS)

    assert said == "missing_api_key"


async def test_a_session_ends_with_its_key() -> None:
    at = gate({"keys": KEYS})
    cookie = f"pointsman_session={await session_of(at)}"
    demoted = [KEYS[0], {**KEYS[1], "operator": False}]
    replaced = [KEYS[0], {**KEYS[1], "key": ROOT + "x"}]

    at.rules = gate({"keys": demoted}).rules
    assert await code(at, head(STATUS, peer="10.0.0.9", cookie=cookie), STATUS) == "not_an_operator"
    at.rules = gate({"keys": replaced}).rules
    assert await code(at, head(STATUS, peer="10.0.0.9", cookie=cookie), STATUS) == "missing_api_key"


def test_nothing_shows_a_key() -> None:
    at = gate({"keys": KEYS})

    shown = f"{at.rules!r} {at.rules.keys!r} {vars(at.rules.keys)!r} {at!r}"

    assert CI not in shown
    assert ROOT not in shown
    assert OURS.startswith("x-pointsman-")


async def test_an_operator_who_has_had_its_share_of_models_still_runs_the_router() -> None:
    key = {"name": "root", "key": ROOT, "operator": True, "limits": {"requests": "1/h"}}
    at, shown = gate({"keys": [key]}), {"authorization": f"Bearer {ROOT}"}

    assert await code(at, head(RELOAD, **shown), RELOAD) == ""
    assert await code(at, head(CHAT, **shown), CHAT) == ""
    assert await code(at, head(CHAT, **shown), CHAT) == "caller_rate_limited"
    assert await code(at, head(RELOAD, **shown), RELOAD) == ""

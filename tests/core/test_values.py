"""What the values of the core are: immutable, compared by what they say, and silent about secrets."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from msgspec import Struct

import pointsman
from pointsman import ChatRequest, ChatResponse, Message, TextDelta, Usage, replace
from pointsman.audit_log.committing import Counts
from pointsman.audit_log.verify import Verification, VerifiedFile
from pointsman.context import Context
from pointsman.events import AttemptEnded
from pointsman.execution.dropping import Dropping
from pointsman.execution.execution import Execution
from pointsman.execution.guarded import GuardedExecution
from pointsman.execution.retry_state import RetryState
from pointsman.http.answer import Answer, OpenAnswer
from pointsman.http.client import Endpoint
from pointsman.resilience.rate_limit import Reservation
from pointsman.routing.deployment import Demand, Deployment
from pointsman.routing.lease import Lease
from pointsman.routing.pool import Pool
from pointsman.routing.runtime import Setting
from pointsman.routing.snapshot import Snapshot
from pointsman.shared.limits import SharedReservation
from pointsman.strategy import Placing
from pointsman.text_messages import TextMessages
from pointsman.transports.options import TransportOptions
from pointsman.transports.raw import Whole
from pointsman.units import Rate


def below(kind: type[Struct]) -> Iterator[type[Struct]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def of_the_core() -> list[type[Struct]]:
    """All Structs of the package but two kinds: the answers of the kit for tests are written down by hand, and
    the records of the audit are made to be encoded and handed to nobody.
    """
    for module in pkgutil.walk_packages(pointsman.__path__, "pointsman."):
        if not module.name.startswith("pointsman.testing"):
            importlib.import_module(module.name)
    mine = (
        each
        for each in below(Struct)
        if re.match(r"pointsman\.(?!testing\.|audit_log\.records)", each.__module__)
    )
    return sorted(set(mine), key=lambda kind: (kind.__module__, kind.__qualname__))


KINDS = of_the_core()
# What changes by design: what is counted of a disk and of a log, what one request writes down, its holds on a
# deployment, what keeps the deployments, which budgets there are, and an answer of which not all has been read.
CHANGE = (
    Counts,
    Verification,
    VerifiedFile,
    Answer,
    Demand,
    Dropping,
    Execution,
    GuardedExecution,
    Lease,
    OpenAnswer,
    Placing,
    Pool,
    Reservation,
    SharedReservation,
    RetryState,
    Setting,
    Whole,
)
CANARY = "sk-canary-0123456789"

# A field whose name looks like that of a secret is either hidden or stands here, with the reason.
SHOWN: Mapping[str, str] = {
    "Place.key": "a line and a column",
    "Finding.at_key": "yes or no",
    "Image.url": "what the caller says to the model",
    "File.url": "what the caller says to the model",
    "Audio.url": "what the caller says to the model",
    "Endpoint.authorize": "a function",
    "ProviderContext.auth": "an Auth, whose credentials are Secrets",
    "ProviderContext.credential": "a function, which gives a Secret",
    "Used.auth": "the name of a plugin",
    "QueueStatus.keys": "how many callers wait",
    "_At.keys": "the names of settings",
    "ExplainedWire.url": "masked",
    "ExplainedWire.headers": "masked",
    "ResolvedValue.keys": "the names of settings",
    "Upstream.auth": "an Auth, whose credentials are Secrets",
    "Status.credentials": "how it stands with them, without their values",
    "Snapshot.credentials": "cool-downs, known by Secrets",
    "ProviderFactory.default_base_url": "stands in the code of a plugin",
    "ProviderFactory.base_url_form": "stands in the data of a plugin",
    "VerifiedFile.keyed": "yes or no",
    "CallerRefused.key_id": "the name of a key, by which records know it",
    "Caller.key_id": "the name of a key, by which records know it",
    "ProviderFactory.needs_key": "yes or no",
    "ProviderFactory.key_variable": "the name of a variable",
}
SECRETIVE = re.compile(r"url|proxy|headers|cookie|secret|passw|credential|auth|(?:^|_)key")
PRIVATE = (
    "Original.body",
    "Original.members",
    "Original.query",
    "Outgoing.body",
    "SurfaceRequest.body",
    "SurfaceRequest.document",
    "SurfaceRequest.members",
    "SurfaceRequest.query",
)
"""What holds no secret of ours, and is shown to nobody all the same."""


def name_of(kind: type[Struct], field: str) -> str:
    return f"{kind.__name__}.{field}"


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────


def shown(value: Any) -> str:
    """All that a log, a debugger or rich would show of it."""
    return f"{value!r} {value} {value!s:>2} {[value]!r} {value.__rich_repr__()!r}"


def test_no_value_shows_what_may_hold_a_secret() -> None:
    hidden = set()
    for kind in KINDS:
        secretive = [each for each in kind.__struct_fields__ if SECRETIVE.search(each)]
        secretive = [each for each in secretive if name_of(kind, each) not in SHOWN]
        secretive += [each for each in kind.__struct_fields__ if name_of(kind, each) in PRIVATE]
        if secretive:
            others = {each: f"open-{each}" for each in kind.__struct_fields__}
            value = kind(**others | dict.fromkeys(secretive, CANARY))
            assert CANARY not in shown(value), f"{kind} shows one of {secretive}"
            rest = {"name"} if issubclass(kind, Context) else set(others) - set(secretive)
            assert all(f"open-{each}" in shown(value) for each in rest)
            hidden |= {name_of(kind, each) for each in secretive}

    assert hidden == {
        "CredentialVersion.secret",
        "DiscoveryContext.base_url",
        "Endpoint.base_url",
        "Endpoint.headers",
        "FoundServer.base_url",
        "Original.body",
        "Original.headers",
        "Original.members",
        "Original.query",
        "Outgoing.body",
        "Outgoing.headers",
        "Outgoing.url",
        "ProviderContext.base_url",
        "Relaying.headers",
        "SurfaceRequest.body",
        "SurfaceRequest.document",
        "SurfaceRequest.headers",
        "SurfaceRequest.members",
        "SurfaceRequest.query",
        "TransportOptions.client_key_password",
        "TransportOptions.proxy",
    }


def test_what_is_said_to_be_open_is_there() -> None:
    assert {name_of(kind, each) for kind in KINDS for each in kind.__struct_fields__} >= set(SHOWN)


def test_what_holds_a_secret_shows_the_rest() -> None:
    endpoint = Endpoint(f"https://me:{CANARY}@host", {"x-key": CANARY})
    options = TransportOptions(max_connections=3, proxy=f"http://me:{CANARY}@proxy")

    assert re.fullmatch(
        r"Endpoint\(authorize=<function bearer at \w+>, rates=None, patterns=\(\), address=''\)",
        repr(endpoint),
    )
    assert repr(options) == (
        "TransportOptions(max_connections=3, connect_timeout=5.0, keepalive_expiry=15.0, http2=False,"
        " ca_file=None, client_cert=None, trust_env=False, min_tls='1.2')"
    )
    assert CANARY not in repr(replace(endpoint, rates=None))


def test_a_subclass_hides_the_same() -> None:
    class Own(Endpoint, frozen=True):
        region: str = "eu"

    said = repr(Own(f"https://{CANARY}", {"x-key": CANARY}, region="us"))

    assert said.startswith("Own(")
    assert "region='us'" in said
    assert CANARY not in said


# ── values ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__qualname__)
def test_every_value_of_the_core_is_frozen_but_what_changes_by_design(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen is (kind not in CHANGE)


def test_the_collector_passes_over_those_only_that_hold_nothing_but_texts_numbers_and_usage() -> None:
    passed_over = [kind for kind in KINDS if not kind.__struct_config__.gc]

    assert {Usage, TextDelta, AttemptEnded} <= set(passed_over)
    for kind in passed_over:
        said = {
            getattr(each, "__name__", str(each)).removesuffix(" | None")
            for each in map(kind.__annotations__.get, kind.__struct_fields__)
        }
        plain = {"str", "bytes", "int", "float", "bool", "Usage", "Outcome", "Mapping[str, str]"}
        assert said <= {*plain, "tuple[str, ...]"}


def test_replace_gives_another_value_and_checks_what_it_is_given() -> None:
    request = ChatRequest("m", (Message.user("x"),))

    assert replace(request, temperature=0.5) == ChatRequest("m", (Message.user("x"),), temperature=0.5)
    assert request.temperature is None
    with pytest.raises(TypeError, match="has no field 'temprature'"):
        replace(request, temprature=0.5)
    with pytest.raises(ValueError, match="a rate needs a count of 1 or more"):
        replace(Rate(5, 60.0), count=0)


@pytest.mark.parametrize(
    "value",
    [
        ChatRequest("m", TextMessages(("user",), ("x",)), stop=("y",)),
        ChatResponse("x", usage=Usage(1, 2), raw={"id": [1]}, deployment="a/b"),
        TextDelta("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_can_be_pickled_and_copied_and_stay_immutable(value: Any) -> None:
    for each in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert (type(each), each) == (type(value), value)
        with pytest.raises(AttributeError):
            each.model = each.text = "other"


def test_values_without_extra_can_be_hashed_and_are_equal_by_what_they_say() -> None:
    one, other = (Message("user", text) for text in ("x", "".join(["x"])))

    assert one is not other
    assert {one, other, Message("user", "y")} == {one, Message("user", "y")}
    nothing: Any = Usage()
    assert TextDelta("") != nothing


def test_values_match_by_position() -> None:
    match Message.user("x"):
        case Message(role, text):
            assert (role, text) == ("user", "x")


def test_a_number_that_is_none_equals_itself_in_a_value() -> None:
    nan = float("nan")

    assert ChatRequest("m", (), temperature=nan) == ChatRequest("m", (), temperature=nan)


@pytest.mark.parametrize("kind", [Deployment, Snapshot])
def test_what_holds_state_equals_only_itself(kind: Any) -> None:
    fields = dict.fromkeys(kind.__struct_fields__)
    one, other = kind(**fields), kind(**fields)

    assert one == one
    assert one != other
    assert len({one, other, one}) == 2

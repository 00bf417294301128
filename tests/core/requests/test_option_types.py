"""The options as type checkers know them are those that calls take, and None stands where it says nothing."""

from __future__ import annotations

import subprocess
import sys
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from pointsman import (
    ChatOptions,
    ChatRequest,
    EmbedOptions,
    EmbedRequest,
    GenerateOptions,
    GenerateRequest,
    InvalidRequest,
    Router,
    SyncRouter,
)
from pointsman.requests.call_options import COMPLETE, DEFAULT, OPTION_NAMES, split_options
from pointsman.requests.options import OPTIONS_OF, read_options
from pointsman.types import Request

TYPES: dict[type[Any], type[Request]] = {
    ChatOptions: ChatRequest,
    GenerateOptions: GenerateRequest,
    EmbedOptions: EmbedRequest,
}


@pytest.mark.parametrize("kind", TYPES, ids=lambda each: each.__name__)
def test_the_types_of_options_have_an_entry_for_each_field_and_no_other(kind: type[Any]) -> None:
    taken = {*OPTIONS_OF[TYPES[kind]], *OPTION_NAMES, COMPLETE}

    assert kind.__optional_keys__ == taken
    assert kind.__required_keys__ == frozenset()


def test_there_is_one_for_each_kind_of_request() -> None:
    assert set(TYPES.values()) == set(get_args(Request))


def accepts_none(request: type[Request], name: str) -> bool:
    try:
        _, rest = split_options({name: None})
        read_options(rest, OPTIONS_OF[request])
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize("kind", TYPES, ids=lambda each: each.__name__)
def test_none_may_be_written_where_a_call_takes_it_and_only_there(kind: type[Any]) -> None:
    types, request = get_type_hints(kind), TYPES[kind]
    names = {*OPTIONS_OF[request], *OPTION_NAMES}

    written = {name for name in names if NoneType in get_args(types[name])}
    assert written == {name for name in names if accepts_none(request, name)}


def test_all_options_at_once_can_be_none_nowhere() -> None:
    assert get_type_hints(ChatOptions)[COMPLETE] is type(DEFAULT)


@pytest.mark.parametrize("router", [Router, SyncRouter])
@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("chat", ChatOptions),
        ("stream", ChatOptions),
        ("generate", GenerateOptions),
        ("embed", EmbedOptions),
    ],
)
def test_each_call_says_which_options_it_takes(router: type[Any], call: str, kind: type[Any]) -> None:
    assert getattr(router, call).__annotations__["options"] == f"Unpack[{kind.__name__}]"


def test_a_program_that_names_none_of_them_does_not_load_them() -> None:
    ask = "import sys; from pointsman import Router, SyncRouter; print('option_types' in str([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"

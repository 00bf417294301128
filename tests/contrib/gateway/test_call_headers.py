"""Which conversation a request belongs to, by the first of the signs that clients give."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman_gateway.calls.call_headers import affinity_of

IN_ORDER: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"x-pointsman-affinity": "0"}, {}),
    ({}, {"conversation": {"id": "1"}}),
    ({}, {"previous_response_id": "2"}),
    ({"x-claude-code-session-id": "3"}, {}),
    ({"session-id": "4"}, {}),
    ({"thread-id": "5"}, {}),
    ({"x-session-affinity": "6"}, {}),
    ({}, {"prompt_cache_key": "7"}),
    ({"x-openwebui-chat-id": "8"}, {}),
    ({}, {"metadata": {"user_id": "9"}}),
]


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_of_several_signs_the_first_counts(first: int) -> None:
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    for also, members in IN_ORDER[first:]:
        headers |= also
        body |= members

    assert affinity_of(headers, body) == str(first)
    assert affinity_of(*IN_ORDER[first]) == str(first)


@pytest.mark.parametrize(
    "body", [{}, {"model": "m"}, {"conversation": 7, "metadata": "x"}, {"conversation": ""}]
)
def test_where_there_is_no_sign_there_is_no_conversation(body: dict[str, Any]) -> None:
    assert affinity_of({"x-request-id": "r"}, body) == ""

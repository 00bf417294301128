"""A trace goes on to upstreams only in the shape that W3C gives it."""

from __future__ import annotations

import pytest

from pointsman.http.headers import passed_on

TRACE, SPAN = "ab" * 16, "cd" * 8


def test_a_trace_is_passed_on_as_it_came() -> None:
    assert passed_on(f"00-{TRACE}-{SPAN}-01") == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE}-{SPAN}-0\n",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"000-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_what_is_no_trace_is_told_to_nobody(given: str) -> None:
    assert passed_on(given) == ""

"""Large pictures are written beside the loop, and come out the same."""

from __future__ import annotations

import asyncio
import base64
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.requests.messages import as_messages
from pointsman.types import Audio, File, Image, Message, Text
from pointsman.wire.large_bodies import LARGE, base64_of, has_large_parts, written_in_thread


@given(st.binary(max_size=20), st.integers(0, 3))
def test_base64_in_pieces_is_that_of_the_whole(end: bytes, times: int) -> None:
    data = bytes(3 << 18) * times + end
    assert base64_of(data) == base64.b64encode(data).decode()


@pytest.mark.parametrize("make", [Image, File, Audio])
def test_what_counts_are_the_bytes_of_all_parts(make: type[Image | File | Audio]) -> None:
    half = make(bytes(LARGE // 2))
    assert not has_large_parts((Message.user((Text("x" * 2 * LARGE), half)), Message.user((half,))))
    assert has_large_parts((Message.user((half,)), Message.user((half, make(b"1")))))


def test_plain_conversations_are_not_large() -> None:
    assert not has_large_parts(as_messages("x" * 2 * LARGE))
    assert not has_large_parts((Message.user((Image(url="http://x/y"),)),))


async def test_it_is_written_in_another_thread() -> None:
    where: list[int] = []

    def make() -> object:
        where.append(threading.get_ident())
        return {"a": 1}

    assert await written_in_thread(make) == b'{"a":1}'
    assert where != [threading.get_ident()]


async def test_what_is_wrong_is_raised_to_the_caller() -> None:
    def make() -> object:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await written_in_thread(make)
    assert asyncio.get_running_loop().is_running()

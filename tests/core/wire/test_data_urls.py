"""`data:` URLs, however they are written."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pointsman.errors import InvalidRequest
from pointsman.requests.messages import as_messages
from pointsman.types import Audio, File, Image, Message, Part
from pointsman.wire.data_urls import LARGE, split, undecoded
from pointsman.wire.large_bodies import has_large_parts


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("data:image/png;base64,QUJD", ("image/png", "QUJD")),
        ("DATA:image/PNG;BASE64,QUJD", ("image/png", "QUJD")),
        ("data:;base64,QUJD", ("", "QUJD")),
        ("data:image/png;name=a;base64,QU\nJD\r\n", ("image/png", "QUJD")),
        ("data:image/png;base64,QUI%3D", ("image/png", "QUI=")),
        ("data:image/png;base64,Q%2BJD", ("image/png", "Q+JD")),
        ("data:image/png;base64,", ("image/png", "")),
        ("https://x/data:image/png;base64,QUJD", None),
        ("data", None),
        ("", None),
    ],
)
def test_the_parts_of_a_url_are(url: str, parts: tuple[str, str] | None) -> None:
    assert split(url) == parts


@pytest.mark.parametrize(
    "url", ["data:", "data:text/plain,hello", "data:image/png;base64", "data:base64,QUJD"]
)
def test_a_data_url_without_base64_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        split(url)


SMALL, BIG = (base64.b64encode(bytes(range(256)) * n).decode() for n in (3, LARGE // 256))


def read(part: dict[str, Any]) -> Part:
    """The part of a message that has this one."""
    (message,) = as_messages([{"role": "user", "content": [part]}])
    assert isinstance(message, Message)
    return message.parts[0]


def parts(text: str) -> tuple[Part, Part, Part]:
    return (
        read({"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{text}"}}),
        read({"type": "file", "file": {"file_data": f"data:text/plain;base64,{text}", "filename": "a"}}),
        read({"type": "input_audio", "input_audio": {"data": text, "format": "mp3"}}),
    )


def test_a_small_part_has_bytes() -> None:
    data = base64.b64decode(SMALL)

    assert parts(SMALL) == (
        Image(data, "image/gif"),
        File(data, "text/plain", "a"),
        Audio(data, "mp3"),
    )


def test_a_large_part_keeps_its_text_and_is_written_beside_the_loop() -> None:
    assert parts(BIG) == (
        Image(None, "image/gif", f"data:image/gif;base64,{BIG}"),
        File(None, "text/plain", "a", f"data:text/plain;base64,{BIG}"),
        Audio(b"", "mp3", url=f"data:audio/mp3;base64,{BIG}"),
    )
    assert all(has_large_parts([Message.user([each])]) for each in parts(BIG))


@pytest.mark.parametrize("break_at", [4, 64, 76])
def test_line_breaks_of_a_large_part_are_taken_out(break_at: int) -> None:
    broken = "\r\n".join(BIG[at : at + break_at] for at in range(0, len(BIG), break_at))

    assert parts(broken) == parts(BIG)


@pytest.mark.parametrize(
    "text",
    [
        BIG[:-1],
        BIG + "====",
        "!" + BIG[1:],
        BIG[:-4] + "?AAA",
        BIG[:-4] + "A\u00e9AA",
        BIG[:9] + "=" + BIG[10:],
    ],
    ids=["cut", "padding", "begin", "end", "beyond ASCII", "padding within"],
)
def test_a_large_text_that_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        undecoded("image/png", text)
    for part in (
        {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{text}"}},
        {"type": "input_audio", "input_audio": {"data": text}},
    ):
        with pytest.raises(InvalidRequest, match="malformed"):
            read(part)


def test_no_more_than_the_ends_of_a_large_text_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counting(text: str, **options: Any) -> bytes:
        decoded.append(len(text))
        return base64.b64decode(text, **options)

    monkeypatch.setattr("pointsman.wire.data_urls.b64decode", counting)
    monkeypatch.setattr("pointsman.requests.messages.base64", None)

    parts(BIG * 20)

    assert decoded == [65536, 65536] * 3

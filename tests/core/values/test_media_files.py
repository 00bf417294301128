"""Parts of messages out of files: their kind by their first bytes, and what cannot be one refused by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pointsman import Audio, File, Image, InvalidRequest, Message, SyncRouter, Text
from pointsman.testing import Scripted
from pointsman.values import media_files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
BEGINNINGS: list[tuple[Any, str, bytes, str]] = [
    (Image, "a.png", PNG, "image/png"),
    (Image, "a.png", b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),
    (Image, "noname", b"GIF89a" + bytes(20), "image/gif"),
    (Image, "a.jpeg", b"RIFF\x01\x02\n\x04WEBPVP8 ", "image/webp"),
    (Image, "a.heic", b"\0\0\0\x18ftypheic", "image/heic"),
    (File, "a.pdf", b"%PDF-1.7\n", "application/pdf"),
    (File, "a.txt", b"junk\n%PDF-1.7\n", "application/pdf"),
    (File, "a.TXT", b"hello", "text/plain"),
    (File, "a.csv", b"a,b", "text/csv"),
    (Audio, "a.mp3", b"RIFF\x01\x02\x03\x04WAVEfmt ", "wav"),
    (Audio, "a.wav", b"ID3\x04", "mp3"),
    (Audio, "a", b"\xff\xfb\x90\x00", "mp3"),
    (Audio, "a.mp3", b"\xff\xf1\x50", "aac"),
    (Audio, "a.flac", b"fLaC", "flac"),
    (Audio, "a.opus", b"OggS", "ogg"),
    (Audio, "a.m4a", b"\0\0\0\x20ftypM4A ", "m4a"),
]


@pytest.mark.parametrize(("kind", "name", "content", "expected"), BEGINNINGS)
def test_the_first_bytes_tell_the_kind(
    kind: Any, name: str, content: bytes, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    for given in (path, str(path)):
        part = kind.from_file(given)
        assert part.data == content
        assert (part.format if kind is Audio else part.media_type) == expected
    if kind is File:
        assert part.filename == name


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (Image, b"", "x.bin is empty"),
        (
            Image,
            b"hello",
            r"x.bin is of no kind that is known \(png, jpeg, gif, webp, .*; say it: Image\(data, …\)",
        ),
        (Image, b"%PDF-1.7", "x.bin holds application/pdf: read it with File.from_file"),
        (File, PNG, "x.bin holds image/png: read it with Image.from_file"),
        (File, b"hello", r"x.bin is of no kind that is known \(pdf, txt"),
        (Audio, PNG, "read it with Image.from_file"),
        (Audio, b"hello", r"\(wav, mp3"),
    ],
)
def test_what_cannot_be_such_a_part_is_refused(kind: Any, content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(content)

    with pytest.raises(ValueError, match=said):
        kind.from_file(path)


def test_what_is_not_there_or_is_a_directory_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none.png"):
        Image.from_file(tmp_path / "none.png")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(OSError, match="not a regular file.*pipe.png"):
        Image.from_file(tmp_path / "pipe.png")
    with pytest.raises(IsADirectoryError, match=f"{tmp_path.name} is a directory"):
        Image.from_file(tmp_path)


def test_a_file_larger_than_any_upstream_takes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_files, "LARGEST", 2**20)
    path = tmp_path / "large.png"
    path.write_bytes(PNG + bytes(2**20))

    with pytest.raises(ValueError, match=r"large.png is larger than 1MiB"):
        Image.from_file(path)


# ── strings among parts ──────────────────────────────────────────────────────────────────────────────


def test_texts_among_the_parts_may_be_plain_strings_however_they_are_handed_in(tmp_path: Path) -> None:
    path = tmp_path / "sky.png"
    path.write_bytes(PNG)
    picture = Image.from_file(path)
    wanted = (Text("What is this?"), picture)
    upstream = Scripted()
    config = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}}

    assert Message.user(["What is this?", picture]).content == wanted
    assert Message.user(["a", picture, "b"]).text == "ab"
    parts = [Text("a"), picture]
    assert Message.user(parts).content is parts
    with SyncRouter.from_config(config, plugins=[upstream]) as router:
        router.chat("m", [Message.user(["What is this?", picture])])
        router.chat("m", [{"role": "user", "content": ["What is this?", picture]}])
        router.chat("m", [Message("user", ["What is this?", picture])])  # type: ignore[list-item]
        router.generate("m", "What is this?", images=[picture])
        with pytest.raises(InvalidRequest, match=r"messages\[0\].content\[1\] is a int|is 5; expected"):
            router.chat("m", [{"role": "user", "content": ["What is this?", 5]}])

    assert [tuple(each[1].messages[0].content) for each in upstream.calls[:3]] == [wanted] * 3
    assert upstream.calls[3][1].images == (picture,)

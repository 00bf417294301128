"""A part that stayed base64 goes out as the same part with bytes would, in every wire that takes it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from pointsman import replace
from pointsman.errors import InvalidRequest, Unsupported
from pointsman.types import Audio, ChatRequest, File, Image, Message, Part, Text
from pointsman_claude import wire as claude
from pointsman_ollama import wire as ollama
from pointsman_openai import wire as openai

Write = Callable[[ChatRequest], Any]

WIRES: dict[str, Write] = {
    "openai": lambda request: openai.chat_body(request, "m", openai.Quirks(), stream=False),
    "claude": lambda request: claude.messages_body(request, model="m", wire=claude.Wire(), stream=False),
    "ollama": lambda request: ollama.chat_body(request, "m", ollama.Defaults({}, {}), stream=False),
}
DATA = b"some text"
PARTS: dict[str, tuple[Part, str, tuple[str, ...]]] = {
    "picture": (Image(DATA, "image/jpeg"), "image/jpeg", ("openai", "claude", "ollama")),
    "PDF": (File(DATA, filename="a.pdf"), "application/pdf", ("openai", "claude")),
    "text": (File(DATA, "text/plain", "a.txt"), "text/plain", ("openai", "claude")),
    "picture as a file": (File(DATA, "image/png"), "image/png", ("openai", "claude")),
    "sound": (Audio(DATA, "mp3"), "audio/mp3", ("openai",)),
}


def undecoded(part: Part, media_type: str) -> Part:
    assert not isinstance(part, Text)
    url = f"data:{media_type};base64,{base64.b64encode(DATA).decode()}"
    return replace(part, data=b"" if isinstance(part, Audio) else None, url=url)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", PARTS)
def test_base64_goes_out_as_bytes_do(wire: str, kind: str) -> None:
    part, media_type, takers = PARTS[kind]
    given = [
        ChatRequest("m", (Message.user((each, Text("?"))),)) for each in (part, undecoded(part, media_type))
    ]
    if wire not in takers:
        for request in given:
            with pytest.raises(Unsupported):
                WIRES[wire](request)
        return

    with_bytes, with_text = map(WIRES[wire], given)

    assert with_text == with_bytes


def test_sound_by_another_url_is_refused() -> None:
    with pytest.raises((InvalidRequest, Unsupported), match="audio by URL"):
        WIRES["openai"](ChatRequest("m", (Message.user((Audio(url="https://x/a.wav"),)),)))

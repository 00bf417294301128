"""Parts of a message: our own, checked, and OpenAI-style mappings, read."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, get_args

from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import shown
from pointsman.requests.checks import expect_fields, unknown_members
from pointsman.types import NOTHING, Audio, File, Image, JsonObject, Part, Text
from pointsman.wire import data_urls

_KINDS = get_args(Part)


def expect_part(given: Any, where: str) -> None:
    """Raise InvalidRequest unless `given` is a part, and everything in it of its kind."""
    for kind in _KINDS:
        if isinstance(given, kind):
            return expect_fields(given, kind, where)
    raise InvalidRequest(f"{where} is {shown(given)}; expected a part, such as Text or Image")


def as_part(given: Any, where: str) -> Part:
    """A part, or an OpenAI-style mapping as one. Raises InvalidRequest that says where."""
    if isinstance(given, Text | Image | File | Audio):
        return given
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} is a {type(given).__name__}; expected a part")
    kind = given.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise InvalidRequest(f"{where}.type is {shown(kind)}; expected text, image_url, input_audio or file")
    try:
        return read(given)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidRequest(f"{where} of type {kind!r} is malformed: {error}") from error


def _text(given: JsonObject) -> Text:
    kind = given["type"]
    text = given[kind]
    if not isinstance(text, str):
        raise TypeError(f"the text is a {type(text).__name__}")
    return Text(text, unknown_members(given, ("type", kind)) if len(given) > 2 else NOTHING)


def _image(given: JsonObject) -> Image:
    image = given["image_url"]
    image = {"url": image} if isinstance(image, str) else image
    extra = _unknown(given, "image_url", image, ("url", "detail"))
    url, detail = image["url"], image.get("detail")
    inline = data_urls.split(url)
    if inline is None:
        return Image(url=url, detail=detail, extra=extra)
    media_type = inline[0] or "image/png"
    data, url = _carried(media_type, inline[1])
    return Image(data, media_type, url, detail, extra)


def _audio(given: JsonObject) -> Audio:
    audio = given["input_audio"]
    extra = _unknown(given, "input_audio", audio, ("data", "format"))
    format = audio.get("format", "wav")
    data, url = _carried(f"audio/{format}", data_urls.joined(audio["data"]))
    return Audio(data or b"", format, extra, url)


def _file(given: JsonObject) -> File:
    file = given["file"]
    extra = _unknown(given, "file", file, ("file_id", "file_data", "filename"))
    if "file_id" in file:
        return File(id=file["file_id"], filename=file.get("filename"), extra=extra)
    inline = data_urls.split(file["file_data"])
    if inline is None:
        raise ValueError("expected a data: URL in base64")
    media_type = inline[0] or "application/pdf"
    data, url = _carried(media_type, inline[1])
    return File(data, media_type, file.get("filename"), url, extra=extra)


_READERS: Mapping[str, Callable[[JsonObject], Part]] = {
    "text": _text,
    "refusal": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}


def _unknown(given: JsonObject, name: str, inner: JsonObject, known: tuple[str, ...]) -> JsonObject:
    """What a part says beside its type and its mapping `inner`, called `name`, with the rest of that."""
    return unknown_members(given, ("type", name), **{name: unknown_members(inner, known)})


def _carried(media_type: str, text: str) -> tuple[bytes | None, str | None]:
    """The bytes of base64 text; when it is large, the `data:` URL of it in their place. Raises ValueError."""
    if len(text) > data_urls.LARGE:
        return None, data_urls.undecoded(media_type, text)
    return base64.b64decode(text, validate=True), None

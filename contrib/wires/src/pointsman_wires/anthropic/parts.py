"""Content blocks of the Messages API as our parts."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import File, Image, JsonObject, Part, Text
from pointsman_wires.members import items, mapping, text, text_or_none, wrong
from pointsman_wires.unsaid import Unsaid

_KNOWN = {
    "text": ("type", "text"),
    "image": ("type", "source"),
    "document": ("type", "source", "title", "context"),
    "search_result": ("type", "source", "title", "content"),
}


def parts(block: Any, where: str, unsaid: Unsaid) -> list[Part]:
    """What a block of a user's turn, or of a tool's result, says.

    Raises: InvalidRequest that names the block and the member.
    """
    block = mapping(block, where)
    kind = text(block, "type", where)
    if kind in _KNOWN:
        unsaid.ignores_others(block, _KNOWN[kind], "messages")
    match kind:
        case "text":
            return [Text(text(block, "text", f"{where}.text"))]
        case "image":
            return [_image(mapping(block.get("source"), f"{where}.source"), f"{where}.source", unsaid)]
        case "document":
            return _document(block, where, unsaid)
        case "search_result":
            return [Text(_found(block, where, unsaid))]
        case _:
            unsaid.needs(f"messages.{kind}")
            return []


def joined_if_text(said: list[Part], between: str = "") -> str | tuple[Part, ...]:
    """Mere text as one string; everything else as it is."""
    if len(said) == 1 and type(said[0]) is Text:
        return said[0].text
    if between and all(type(each) is Text for each in said):
        return between.join(each.text for each in said if isinstance(each, Text))
    return tuple(said)


def _image(source: JsonObject, where: str, unsaid: Unsaid) -> Image | File:
    match text(source, "type", where):
        case "base64":
            return Image(
                media_type=text(source, "media_type", where),
                url=f"data:{source['media_type']};base64,{text(source, 'data', where)}",
            )
        case "url":
            return Image(url=text(source, "url", where))
        case "file":
            unsaid.needs("messages.source.file_id")
            return File(media_type="image/png", id=text(source, "file_id", where))
        case kind:
            raise wrong(where, f"{kind!r} is no source of an image; expected base64, url or file")


def _document(block: JsonObject, where: str, unsaid: Unsaid) -> list[Part]:
    """A document: text as text, which every model can read; all else as a file."""
    source, place = mapping(block.get("source"), f"{where}.source"), f"{where}.source"
    title, about = text_or_none(block, "title", where), text_or_none(block, "context", where)
    said: list[Part]
    match text(source, "type", place):
        case "base64":
            url = f"data:{text(source, 'media_type', place)};base64,{text(source, 'data', place)}"
            said = [File(media_type=source["media_type"], filename=title, url=url)]
        case "url":
            said = [File(filename=title, url=text(source, "url", place))]
        case "file":
            unsaid.needs("messages.source.file_id")
            said = [File(filename=title, id=text(source, "file_id", place))]
        case "text":
            said = [Text(_headed(title, text(source, "data", place)))]
        case "content" if isinstance(source.get("content"), str):
            said = [Text(_headed(title, text(source, "content", place)))]
        case "content":
            said = [Text(_headed(title, ""))] if title else []
            for n, each in enumerate(items(source, "content", place)):
                said += parts(each, f"{place}.content.{n}", unsaid)
        case kind:
            raise wrong(place, f"{kind!r} is no source of a document")
    return [Text(about), *said] if about else said


def _headed(title: str | None, said: str) -> str:
    return f"{title}\n\n{said}" if title else said


def _found(block: JsonObject, where: str, unsaid: Unsaid) -> str:
    """A result of a search: what it is called, where it is from, and what it says."""
    said = [text(block, "title", where), text(block, "source", where)]
    for n, each in enumerate(items(block, "content", where)):
        said += [part.text for part in parts(each, f"{where}.content.{n}", unsaid) if isinstance(part, Text)]
    return "\n".join(said)

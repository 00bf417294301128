"""A conversation: a string, our own messages, or OpenAI-style mappings, made into messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, get_args

from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import shown
from pointsman.requests.checks import expect, expect_fields, expect_list, expect_several, unknown_members
from pointsman.requests.parts import as_part, expect_part
from pointsman.requests.tools import as_tool_call, expect_tool_call
from pointsman.text_messages import TextMessages
from pointsman.types import NOTHING, JsonObject, Message, Role

Messages = str | Message | Iterable[Message | JsonObject]

_OWN_ROLES: tuple[Role, ...] = get_args(Role)
_OWN_TEXT_ROLES = tuple(role for role in _OWN_ROLES if role != "tool")
_ROLES: dict[str, Role] = {"developer": "system", **{role: role for role in _OWN_ROLES}}
_TEXT_ROLES = {said: role for said, role in _ROLES.items() if role != "tool"}


def as_messages(given: Messages) -> Sequence[Message]:
    """`given` as messages: a string is one user turn; mappings are read OpenAI-style.

    Raises: InvalidRequest that names the message and the key.
    """
    if isinstance(given, str):
        return TextMessages(("user",), (given,))
    if isinstance(given, Message):
        return (_message(given, "the message"),)
    if type(given) is TextMessages:  # of ours, and read before
        return given
    if type(given) is not list and type(given) is not tuple:  # it may be one that can be read only once
        given = tuple(expect_several(given, "messages"))
    if not given:
        raise InvalidRequest("messages is empty; give at least one, for example a string")
    text = _text_messages(given)
    return tuple(map(_message_of_several, given, range(len(given)))) if text is None else text


def _text_messages(given: Sequence[Any]) -> TextMessages | None:
    """`given`, when all are mappings, or all Messages, of a role and a text and nothing else; None otherwise.

    Nearly all conversations come so, and every call reads all of one: ten messages that are carried as roles
    and texts take 2.5 us, and 3.6 when they are made into objects as well. Hence one pass for each question,
    and not one loop that asks of each message which of the two it is.
    """
    if type(given[0]) is not dict:
        if not all(map(_is_text, given)):
            return None
        return TextMessages(
            tuple([each.role for each in given]), tuple([each.content for each in given]), tuple(given)
        )
    if set(map(type, given)) != {dict} or set(map(len, given)) != {2}:
        return None
    try:
        roles = tuple(map(_TEXT_ROLES.__getitem__, map(itemgetter("role"), given)))
        texts = tuple(map(itemgetter("content"), given))
        "".join(texts)  # fails for what is no text
    except (KeyError, TypeError):
        return None
    return TextMessages(roles, texts)


def _is_text(given: Any) -> bool:
    """Whether `given` is a Message that says its role and a text and nothing else."""
    return (
        type(given) is Message
        and type(given.content) is str
        and given.role in _OWN_TEXT_ROLES
        and given.tool_call_id is given.name is given.reasoning is None
        and not given.tool_calls
        and not given.reasoning_blocks
        and (given.extra is NOTHING or not given.extra)
    )


def _message_of_several(given: Any, n: int) -> Message:
    # Most messages of a conversation with tools are plain text too, and this is a fifth of the work.
    text = _text_messages((given,))
    return _message(given, f"messages[{n}]") if text is None else text[0]


def _message(given: Message | JsonObject, where: str) -> Message:
    """`given` as a Message in which everything is of its kind. Raises InvalidRequest that names the field."""
    message = given if isinstance(given, Message) else message_from_dict(given, where)
    if message.role not in _OWN_ROLES:
        raise InvalidRequest(
            f"{where}.role is {shown(message.role)}; expected one of {', '.join(_OWN_ROLES)}"
        )
    if not isinstance(message.content, str):
        for n, part in enumerate(expect_list(message.content, f"{where}.content")):
            expect_part(part, f"{where}.content[{n}]")
    expect_fields(message, Message, where)
    if message.tool_calls:
        for n, call in enumerate(expect_list(message.tool_calls, f"{where}.tool_calls")):
            expect_tool_call(call, f"{where}.tool_calls[{n}]")
    return message


_KNOWN_KEYS = frozenset(
    (
        "role", "content", "tool_calls", "tool_call_id", "name", "is_error", "function_call",
        "reasoning", "reasoning_content", "reasoning_details", "annotations",
    )
)  # fmt: skip
"""What is read, and `annotations`, which only answers have."""


def message_from_dict(given: JsonObject, where: str = "message") -> Message:
    """An OpenAI-style mapping as a Message. Raises InvalidRequest that names `where` and the key.

    `reasoning_details` are its `reasoning_blocks`; members that are not known go into `extra`.
    """
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} is a {type(given).__name__}; expected a Message or a mapping")
    said = given.get("role")
    role = _ROLES.get(said) if isinstance(said, str) else None
    if role is None:
        raise InvalidRequest(f"{where}.role is {shown(said)}; expected one of {', '.join(_ROLES)}")
    if given.get("function_call"):
        raise InvalidRequest(f"{where}.function_call is not understood; write it as tool_calls")
    extra = NOTHING if given.keys() <= _KNOWN_KEYS else unknown_members(given, _KNOWN_KEYS)
    content = given.get("content")
    if content is None:
        if extra and role != "assistant":
            raise InvalidRequest(f"{where} has unknown keys: {', '.join(sorted(extra))}, and no content")
        content = ""
    elif not isinstance(content, str):
        if not isinstance(content, Sequence):
            raise InvalidRequest(f"{where}.content is a {type(content).__name__}; expected text or parts")
        content = tuple(as_part(each, f"{where}.content[{n}]") for n, each in enumerate(content))
    return Message(
        role,
        content,
        tool_calls=_tool_calls(given.get("tool_calls"), f"{where}.tool_calls"),
        tool_call_id=given.get("tool_call_id"),
        name=given.get("name"),
        is_error=given.get("is_error") is True,
        reasoning=given.get("reasoning") or given.get("reasoning_content"),
        reasoning_blocks=_reasoning_blocks(given.get("reasoning_details"), f"{where}.reasoning_details"),
        extra=extra,
    )


def _tool_calls(given: Any, where: str) -> tuple[Any, ...]:
    calls = enumerate(expect_several(given, where)) if given else ()
    return tuple(as_tool_call(each, n, f"{where}[{n}]") for n, each in calls)


def _reasoning_blocks(given: Any, where: str) -> tuple[JsonObject, ...]:
    blocks = tuple(expect_several(given, where)) if given else ()
    for n, each in enumerate(blocks):
        expect(each, Mapping, f"{where}[{n}]", "a mapping")
    return blocks

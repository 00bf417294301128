"""Tool calls out of the pieces in which they are streamed, and out of whole answers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from pointsman.plugin import (
    NOTHING,
    BadResponse,
    JsonObject,
    StreamEvent,
    ToolCall,
    ToolCallDelta,
    arguments_text,
    joined_extra,
    jsonio,
    well_formed,
)
from pointsman_openai.shapes import Alike
from pointsman_openai.values import as_list, as_object, as_text

_OF_A_CALL = frozenset(("id", "type", "index", "function", "custom"))
_OF_A_FUNCTION = frozenset(("name", "arguments"))


class _Call(Struct, eq=False):
    """A call that is being received: held back until its name is known."""

    index: int
    wire_id: str
    name: str = ""
    pending: str = ""
    extra: JsonObject = NOTHING
    announced: bool = False
    told: list[str] = field(default_factory=list)
    """The arguments that were announced, by which their end is known."""

    @property
    def arguments(self) -> str:
        """All that has come."""
        return "".join((*self.told, self.pending))

    @property
    def whole(self) -> bool:
        """Whether the arguments so far are a JSON value, so that nothing can follow."""
        try:
            jsonio.loads(self.arguments)
        except ValueError:
            return False
        return True


class _Piece(Struct, frozen=True):
    """What one piece says; None and "" where it does not."""

    number: int | None
    wire_id: str
    name: str
    arguments: str


class ToolCalls:
    """The calls of one streamed answer.

    The wire numbers its calls, gives each an id and a name in its first piece, and goes on by number.
    Servers leave out each of these, number all calls 0, or every piece anew. So a piece goes on with the call
    of its number or id, else with the latest one; and where it has a name, it begins another call if it has
    another id or name, or if the arguments so far are whole.
    """

    __slots__ = ("_by_number", "_ids", "_order")

    def __init__(self) -> None:
        self._by_number: dict[int, _Call] = {}
        self._order: list[_Call] = []
        self._ids: set[str] = set()

    def __len__(self) -> int:
        return len(self._order)

    def take(self, pieces: Any, answer_id: str, events: list[ToolCallDelta]) -> None:
        """Add to `events` what the pieces of one chunk tell."""
        fed: list[_Call] = []
        for piece in map(as_object, _several(pieces)):
            wire_id = as_text(piece.get("id"))
            name, arguments = called(piece)
            extra = extra_of(piece)
            if not (wire_id or name or arguments or extra):
                continue
            said = _Piece(_number(piece.get("index")), wire_id, name, arguments)
            call = self._call(said, fed)
            fed.append(call)
            if name and call.name and name != call.name:
                raise BadResponse(
                    f"the upstream's tool call is first one of {call.name[:100]!r} and then of {name[:100]!r}"
                )
            call.name = call.name or name
            call.wire_id = call.wire_id or wire_id
            if extra:
                call.extra = joined_extra(call.extra, extra)
            if not call.announced:
                call.pending += arguments
                if call.name and not _quoted(call.pending):
                    self._announce(call, answer_id, events)
            elif arguments or extra:
                call.told.append(arguments)
                events.append(ToolCallDelta(call.index, arguments=arguments, extra=extra))

    def going_on(self, number: int) -> Callable[[str], ToolCallDelta] | None:
        """What tells more arguments of call `number`, which come with that number, no id and no name.

        None where that call has not been announced.
        """
        call = self._by_number.get(number)
        if call is None or not call.announced:
            return None
        index, told = call.index, call.told

        def more(arguments: str) -> ToolCallDelta:
            told.append(arguments)
            return ToolCallDelta(index, arguments=arguments)

        return more

    def finish(self, answer_id: str, events: list[ToolCallDelta]) -> None:
        """Add to `events` the calls that were held back. Raises BadResponse for one without a name."""
        for call in self._order:
            if not call.name:
                raise BadResponse("the upstream's answer holds a tool call without a name")
            if not call.announced:
                call.pending = arguments_text(call.pending)
                self._announce(call, answer_id, events)

    def _call(self, piece: _Piece, fed: Sequence[_Call]) -> _Call:
        """The call that a piece belongs to. Args: fed: those of the pieces before it in the same chunk."""
        call = self._by_number.get(piece.number) if piece.number is not None else None
        numbered = call is not None
        if call is None and self._order:
            same_id = (
                each for each in reversed(self._order) if piece.wire_id and each.wire_id == piece.wire_id
            )
            call = next(same_id, self._order[-1])
        if call is None or _begins_another(piece, call, numbered=numbered, fed=call in fed):
            call = _Call(len(self._order), piece.wire_id)
            self._order.append(call)
        if piece.number is not None:
            self._by_number[piece.number] = call
        return call

    def _announce(self, call: _Call, answer_id: str, events: list[ToolCallDelta]) -> None:
        call.announced = True
        call.told.append(call.pending)
        call_id = unique_id(call.wire_id, call.index, answer_id, self._ids)
        events.append(ToolCallDelta(call.index, call_id, call.name, call.pending, call.extra))
        call.pending = ""


class Pieces:
    """Chunks that differ from one before them in nothing but the arguments of the call that goes on in it."""

    __slots__ = ("_alike", "_calls", "_number")

    def __init__(self, calls: ToolCalls) -> None:
        self._calls = calls
        self._alike = Alike("arguments")
        self._number = -1

    def learn(self, chunk: JsonObject, data: bytes, told: ToolCallDelta) -> bool:
        """Take `data`, which is `chunk` and of which all that came is `told`, for what the next are like.

        False where the next ones may say more than their arguments, or mean another call.
        """
        match chunk:
            case {"choices": [{"delta": {"tool_calls": [{"index": number, "function": said, **rest}]}}]}:
                # A number, and neither an id nor a name: then it is more of that call, whatever it says.
                if type(number) is not int or rest.get("id") or as_object(said).get("name"):
                    return False
                if told.id or told.name or told.extra or as_object(said).get("arguments") != told.arguments:
                    return False
                self._number = number
                self._alike.learn(data, told.arguments)
                return True
        return False

    def take(self, chunks: Iterator[bytes], events: list[StreamEvent]) -> bytes | None:
        """As of `Alike`."""
        more = self._calls.going_on(self._number)
        return next(chunks, None) if more is None else self._alike.take(chunks, events, more)


def _begins_another(piece: _Piece, call: _Call, *, numbered: bool, fed: bool) -> bool:
    """Whether a piece is the first of another call than `call`.

    Args:
        numbered: `call` has its number; else it is but the latest, or has the same id.
        fed: `call` has had a piece in the same chunk.
    """
    same_id = bool(piece.wire_id) and piece.wire_id == call.wire_id
    other_id = bool(piece.wire_id and call.wire_id) and not same_id
    if not piece.name:
        # It goes on with what is not whole, whatever its number or id: some give each piece new ones.
        return not (numbered or same_id) and bool(piece.arguments.strip() or piece.wire_id) and call.whole
    if not numbered and (piece.number is not None or fed):
        return True
    if not call.name:
        return other_id
    if same_id:
        return bool(piece.arguments.strip()) and call.whole
    if other_id and piece.name == call.name:
        return not call.arguments or call.whole  # nobody breaks off a call to begin the next
    return other_id or piece.name != call.name or call.whole


def _number(given: Any) -> int | None:
    if type(given) is int:
        return given
    return int(given) if isinstance(given, str) and given.isascii() and given.isdigit() else None


def calls_of(message: Mapping[str, Any], answer_id: str) -> tuple[ToolCall, ...]:
    """The calls of a whole message. Raises BadResponse for one without a name."""
    given = [as_object(each) for each in _several(message.get("tool_calls"))]
    if not given and (function := as_object(message.get("function_call"))):
        given = [{"function": function}]
    used: set[str] = set()
    calls: list[ToolCall] = []
    for each in given:
        name, arguments = called(each)
        extra = extra_of(each)
        wire_id = as_text(each.get("id"))
        if not name:
            if not (wire_id or arguments or extra):
                continue
            raise BadResponse("the upstream's answer holds a tool call without a name")
        call_id = unique_id(wire_id, len(calls), answer_id, used)
        calls.append(ToolCall(call_id, name, well_formed(arguments_text(arguments)), len(calls), extra))
    return tuple(calls)


def _several(given: Any) -> Sequence[Any]:
    """The calls of a list, which some leave out around a single one."""
    return [given] if isinstance(given, dict) else as_list(given)


def called(call: Mapping[str, Any]) -> tuple[str, str]:
    """(name, arguments) of a tool call or a piece of one. Raises BadResponse."""
    function = as_object(call.get("function"))
    if not function and (custom := as_object(call.get("custom"))):
        return _name(custom), as_text(custom.get("input"))
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, str):  # where the wire wants its text
        arguments = arguments_text(arguments)
    return _name(function), arguments or ""


def _name(function: Mapping[str, Any]) -> str:
    name = as_text(function.get("name"))
    return name if name.strip() else ""


def has_object_arguments(message: Mapping[str, Any]) -> bool:
    """Whether arguments of a call are an object, in which numbers may be longer than JSON is usually read."""
    calls = message.get("tool_calls")
    return bool(calls) and any(
        isinstance(as_object(as_object(each).get("function")).get("arguments"), dict)
        for each in _several(calls)
    )


def extra_of(call: Mapping[str, Any]) -> JsonObject:
    """The members of a call that have no field of ours, as `inputs` reads them; the type of a custom one."""
    function = as_object(call.get("function"))
    if not function and as_object(call.get("custom")):
        others = {name: value for name, value in call.items() if name not in _OF_A_CALL and value is not None}
        return {**others, "type": "custom"}
    if call.keys() <= _OF_A_CALL and function.keys() <= _OF_A_FUNCTION:
        return NOTHING
    extra = {name: value for name, value in call.items() if name not in _OF_A_CALL and value is not None}
    inside = {
        name: value for name, value in function.items() if name not in _OF_A_FUNCTION and value is not None
    }
    if inside:
        extra["function"] = inside
    return extra or NOTHING


def unique_id(given: str, index: int, answer_id: str, used: set[str]) -> str:
    """An id for call number `index`, unlike the `used` ones, to which it is added."""
    wanted = given or (f"{answer_id}-{index}" if answer_id else f"call_{index}")
    if wanted in used:
        wanted = f"{wanted}-{index}"
    while wanted in used:
        wanted += "-"
    used.add(wanted)
    return wanted


def _quoted(arguments: str) -> bool:
    return arguments.lstrip()[:1] == '"'

"""A request as its caller wrote it, for upstreams that speak the same wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Raw

from pointsman.auth import Discreet
from pointsman.types import Request


class Original(Discreet, frozen=True, eq=False):
    """What a caller sent, beside what we understood of it.

    A provider that speaks `wire` sends `body` on as it is, with the upstream's name of the model in place of
    the public one; the members that defaults or guards have changed since it was understood as `request` are
    the only others that it writes anew. Every other provider gets the request alone.

    Attributes:
        wire: `openai.chat`, `openai.responses`, `anthropic`, `ollama`, or a name of somebody else's.
        body: a JSON object.
        headers: those of the caller's that belong to the wire, by name in lower case.
        query: the same of the address, without the question mark.
        needs_wire: members that only this wire can say and without which the answer would be another. A
            deployment that does not speak it is passed over, as one that cannot do what is asked.
        opaque: takes the body and the mark of an upstream; returns the body without what was made by others
            and is of no use there. None: there is no such.
        several: the member that asks for several answers, of which guards would see one; "" for one answer.
        answers: how many the caller asks for.
        unseen: other members that the request does not say, and that only an upstream of this wire is sent.
        members: those of `body`, each as it was written, where they are known already.
    """

    unshown = ("query", "headers", "body", "members")
    wire: str
    body: bytes
    request: Request
    headers: Mapping[str, str] = {}
    query: str = ""
    needs_wire: Sequence[str] = ()
    opaque: Callable[[bytes, str], bytes] | None = None
    several: str = ""
    unseen: Sequence[str] = ()
    members: Mapping[str, Raw] | None = None
    answers: int = 1

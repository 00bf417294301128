"""The scrubber: hides the secrets of a configuration where something from outside repeats them.

An upstream, a proxy or a library may quote our key in a message, in a header, in the text of an exception.
What of it goes on into errors, events, the status and logs goes through here first. A call that succeeds
pays nothing: the patterns are made with the first text that is looked at.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NoReturn, TypeVar
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pointsman.errors import PointsmanError

MASK = "***"
HIDDEN_FROM = 8
"""Characters. A shorter secret could be any word, and hiding it would garble every message."""
LEARNED_AT_MOST = 1000
"""Secrets that were learned later, beyond which the oldest is forgotten: some change by the minute."""
_CUT_OFF_FROM = 16
"""So many characters of a secret, or three quarters, are hidden also where the rest was cut off."""

_FEW = 40
"""Beginnings of secrets; more of them are looked for all at once."""
# Compiled, and kept by `re`, when they are first needed: a call that succeeds does not.
_WHOLE_KEY = (
    r"(?<![\w-])(?:(?:sk|gsk|xai|sess|hf)[-_](?=[\w-]*\d)[\w-]{16,}"
    r"|pm_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}(?!\w))"  # what `pointsman callers` makes
)
_SOME_KEY = rf"{_WHOLE_KEY}|(?<![\w-])[\w-]*\*{{3,}}[\w*-]+"
"""What looks like a key, although it is none of ours: upstreams quote those of others, too, and halves."""
_UNSEEN = (
    r"\x1b\[[\d;]*[a-zA-Z]|[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
"""What may stand within a secret and is not seen: line breaks, colours, characters of no width."""
_OURS = frozenset(("deployment", "outcome", "refusal", "request_id", "text"))
"""Attributes of an error that do not come from outside, or are what the caller has asked for."""

E = TypeVar("E", bound=BaseException)


class Scrubber:
    """Hides secrets that it was told of, in whatever form they come: see `forms`."""

    __slots__ = ("_forms", "_heads", "_known", "_learned", "_new")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._learned: OrderedDict[str, None] = OrderedDict()
        self._new: list[str] = []
        self._forms: list[str] = []
        self._heads: dict[str, dict[str, None]] = {}
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Hide `secrets` from now on; those below 8 characters are left as they are."""
        new = {each for each in secrets if len(each) >= HIDDEN_FROM} - self._known
        self._known |= new
        self._new += new

    def learn(self, secret: str) -> None:
        """Hide a secret that is one of many to come, until 1,000 others have come after it."""
        if len(secret) < HIDDEN_FROM or secret in self._known or secret in self._learned:
            return
        self._learned[secret] = None
        self._new.append(secret)
        if len(self._learned) > LEARNED_AT_MOST:
            self._learned.popitem(last=False)
            self._heads.clear()
            self._new = [*self._known, *self._learned]

    def text(self, text: str) -> str:
        """`text` with `***` in place of each secret, also of one that was cut off after 16 characters.

        Where a secret has something unseen in it, as in a text that was wrapped, all such is left out.
        """
        shown = self.ours(text)
        if not (text.isascii() and text.isprintable()):  # else nothing in it is unseen
            seen = re.sub(_UNSEEN, "", text)
            if seen != text and (hidden := self.ours(seen)) not in (seen, re.sub(_UNSEEN, "", shown)):
                shown = hidden
        # A search for halves looks at every word, which takes as long as all else here; most have none.
        return re.sub(_SOME_KEY if MASK in shown else _WHOLE_KEY, MASK, shown)

    def ours(self, text: str) -> str:
        """`text` without the secrets that this was told of: for ids, of which every answer may have one."""
        if self._new:
            self._prepare()
        if not self._may_hold_one(text):
            return text
        for form in self._forms:
            text = text.replace(form, MASK)
        kept: list[str] = []
        at = 0
        for begin, end in sorted(self._cut_off(text)):
            if end > at:
                kept += text[at : max(at, begin)], MASK
                at = end
        return "".join((*kept, text[at:])) if kept else text

    def data(self, data: bytes) -> bytes:
        """`data`, in whichever encoding it may be, with `***` in place of each secret."""
        text = data.decode("latin-1")
        shown = self.text(text)
        return data if shown is text else shown.encode("latin-1")

    def error(self, error: E) -> E:
        """`error`, whose message, attributes and notes from now on hold no secret."""
        error.args = tuple(self.text(each) if isinstance(each, str) else each for each in error.args)
        attributes = vars(error)
        for name, value in attributes.items():
            if value and isinstance(value, str) and name not in _OURS:
                attributes[name] = self.text(value)
        notes = getattr(error, "__notes__", None)
        if notes:
            notes[:] = [self.text(each) for each in notes]
        return error

    def shown(self, error: BaseException) -> str:
        """What `error` says, in one line for a person."""
        return self.text(
            error.message if isinstance(error, PointsmanError) else str(error) or type(error).__name__
        )

    def __repr__(self) -> str:
        return f"<Scrubber of {len(self._known) + len(self._learned)} secrets>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a scrubber holds secrets and is not pickled")

    def _may_hold_one(self, text: str) -> bool:
        """Whether `text` holds how a secret begins. This is all that most texts cost."""
        heads = self._heads
        if len(heads) < _FEW:
            return any(map(text.__contains__, heads))  # a generator would cost more than the looking
        windows = {text[at : at + HIDDEN_FROM] for at in range(len(text) - HIDDEN_FROM + 1)}
        return not windows.isdisjoint(heads)

    def _cut_off(self, text: str) -> Iterator[tuple[int, int]]:
        """Where `text` holds enough of the beginning of a secret."""
        for head, whole in self._heads.items():
            begin = text.find(head)
            while begin >= 0:
                for form in whole:
                    length = HIDDEN_FROM
                    while length < len(form) and text.startswith(form[length], begin + length):
                        length += 1
                    if length >= max(HIDDEN_FROM, min(_CUT_OFF_FROM, len(form) * 3 // 4)):
                        yield begin, begin + length
                begin = text.find(head, begin + 1)

    def _prepare(self) -> None:
        """Know all forms of the secrets that are new, the longest first, and how they begin."""
        for secret in self._new:
            for form in forms(secret):
                # No list: keys of one maker all begin alike, and each would be compared with all before it.
                self._heads.setdefault(form[:HIDDEN_FROM], {})[form] = None
        self._new = []
        self._forms = sorted(
            (form for whole in self._heads.values() for form in whole), key=len, reverse=True
        )


def forms(secret: str) -> set[str]:
    """`secret`, 8 characters or more, in every way in which somebody may write it.

    As it is, and in small and in capital letters; escaped as in JSON and URLs (also twice), HTML and Python;
    in hexadecimal; in base64, wherever in a longer text it stands; and all of those in UTF-8 that was read
    as Latin-1.
    """
    quoted = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    found = {
        secret,
        secret.lower(),
        secret.upper(),
        *quoted,
        *(json.dumps(each)[1:-1] for each in quoted),
        _in_html(secret),
        repr(secret)[1:-1],
    }
    found |= {each.replace("/", r"\/") for each in quoted}
    raw = secret.encode("utf-8", "surrogatepass")
    for each in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        found |= {each, re.sub("%..", lambda escaped: escaped[0].lower(), each), quote(each, safe="")}
    found |= {raw.hex(), raw.hex().upper()}
    found.update(_in_base64(raw))
    found |= {each.encode("utf-8", "surrogatepass").decode("latin-1") for each in found}
    return {each for each in found if len(each) >= HIDDEN_FROM}


def _in_html(text: str) -> str:
    # The module `html` would bring the names of all its entities.
    for each, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#x27;")):
        text = text.replace(each, escaped)
    return text


def _in_base64(raw: bytes) -> Iterator[str]:
    """The characters that depend on `raw` alone, whether it begins with the first, second or third byte."""
    for before in range(3):
        whole = b64encode(bytes(before) + raw).decode("ascii").rstrip("=")
        own = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield own
        yield own.replace("+", "-").replace("/", "_")


def hidden_of(secret: str) -> Iterator[str]:
    """What of `secret`, the value of a setting, is to be hidden: of a URL also what proves who asks.

    The address of a server alone is told in messages, and nobody gets anything by it.
    """
    is_url = "://" in secret
    if not (is_url and re.fullmatch(r"\w+://[^/?#@]+/?", secret)):
        yield secret
    if is_url:
        with suppress(ValueError):  # it is none after all
            yield from userinfo(secret)


def userinfo(url: str) -> Iterator[str]:
    """The secrets that the user name and password of a URL are, as they stand there and decoded."""
    info, at, _ = urlsplit(url).netloc.rpartition("@")
    if at:
        user, _, password = info.partition(":")
        for each in (info, password or user):
            yield each
            yield unquote(each)
        if "@" in password:  # some readers end it at the first, and call the rest the name of a host
            yield from password.split("@")

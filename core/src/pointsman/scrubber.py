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

_SOME_KEY = re.compile(r"(?<![\w-])(?:(?:sk|gsk|xai|sess|hf)[-_](?=[\w-]*\d)[\w-]{16,}|[\w-]*\*{3,}[\w*-]+)")
"""What looks like a key, although it is none of ours: upstreams quote those of others, too, and halves."""
_OURS = frozenset(("deployment", "request_id", "text"))
"""Attributes of an error that do not come from outside, or are what the caller has asked for."""

E = TypeVar("E", bound=BaseException)


class Scrubber:
    """Hides secrets that it was told of, in whatever form they come: see `forms`."""

    __slots__ = ("_forms", "_heads", "_known", "_learned", "_search")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._learned: OrderedDict[str, None] = OrderedDict()
        self._forms: list[str] = []
        self._heads: dict[str, list[str]] = {}
        self._search: re.Pattern[str] | None = None
        self.know(secrets)

    def know(self, secrets: Iterable[str]) -> None:
        """Hide `secrets` from now on; those below 8 characters are left as they are."""
        new = {each for each in secrets if len(each) >= HIDDEN_FROM} - self._known
        if new:
            self._known |= new
            self._search = None

    def learn(self, secret: str) -> None:
        """Hide a secret that is one of many to come, until 1,000 others have come after it."""
        if len(secret) < HIDDEN_FROM or secret in self._known or secret in self._learned:
            return
        self._learned[secret] = None
        if len(self._learned) > LEARNED_AT_MOST:
            self._learned.popitem(last=False)
        self._search = None

    def text(self, text: str) -> str:
        """`text` with `***` in place of each secret, also of one that was cut off after 16 characters."""
        return _SOME_KEY.sub(MASK, self._without_ours(text))

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
            if isinstance(value, str) and name not in _OURS:
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

    def _without_ours(self, text: str) -> str:
        search = self._search or self._prepared()
        if search.search(text) is None:
            return text
        for form in self._forms:
            text = text.replace(form, MASK)
        kept: list[str] = []
        at = 0
        found = search.search(text)
        while found is not None:
            begin = found.start()
            length = self._cut_off(text, begin, found[0])
            if length:
                kept += text[at:begin], MASK
                at = begin + length
            found = search.search(text, max(at, begin + 1))
        return "".join((*kept, text[at:])) if kept else text

    def _cut_off(self, text: str, begin: int, head: str) -> int:
        """How many characters from `begin` on are enough of a secret that begins with `head`; 0 for none."""
        most = 0
        for form in self._heads[head]:
            length = HIDDEN_FROM
            while text[begin : begin + length + 1] == form[: length + 1] and length < len(form):
                length += 1
            if length >= max(HIDDEN_FROM, min(_CUT_OFF_FROM, len(form) * 3 // 4)):
                most = max(most, length)
        return most

    def _prepared(self) -> re.Pattern[str]:
        """The pattern of how secrets begin; `_forms` has the whole of them, the longest first."""
        found = {form for secret in (*self._known, *self._learned) for form in forms(secret)}
        self._forms = sorted(found, key=len, reverse=True)
        self._heads = {}
        for form in self._forms:
            self._heads.setdefault(form[:HIDDEN_FROM], []).append(form)
        self._search = re.compile("|".join(map(re.escape, self._heads)) or r"(?!)")
        return self._search


def forms(secret: str) -> set[str]:
    """`secret`, 8 characters or more, in every way in which somebody may write it.

    As it is; escaped as in JSON (also twice), HTML, Python and URLs; in base64, wherever in a longer text it
    stands; and all of those in UTF-8 that was read as Latin-1.
    """
    quoted = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    found = {
        secret,
        *quoted,
        *(json.dumps(each)[1:-1] for each in quoted),
        _in_html(secret),
        repr(secret)[1:-1],
    }
    found |= {each.replace("/", r"\/") for each in quoted}
    raw = secret.encode("utf-8", "surrogatepass")
    for each in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        found |= {each, re.sub("%..", lambda escaped: escaped[0].lower(), each)}
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


def userinfo(url: str) -> Iterator[str]:
    """The secrets that the user name and password of a URL are, as they stand there and decoded."""
    info, at, _ = urlsplit(url).netloc.rpartition("@")
    if at:
        user, _, password = info.partition(":")
        for each in (info, password or user):
            yield each
            yield unquote(each)

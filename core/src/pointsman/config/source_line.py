"""One line of a configuration file, fit to be shown beside what is wrong with it.

What is shown is what can be told to be harmless: keys, numbers, and the values of keys that hold names. All
other values are masked, for which of them is a secret nobody can tell in a file that is wrong: under a key
that nobody knows, in a place that is none, with a quote too few.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate

from pointsman._internal.printable import printable_line
from pointsman._internal.scrubber import MASK
from pointsman.config.problems import KeyPath

WIDEST = 76
"""Columns; with what stands before it, a line of a terminal."""
LONGEST = 10_000
"""Characters of a line that is looked at: nobody wrote a longer one by hand."""

_NAMES = frozenset(
    """
    type preset base_url endpoint api_base provider model model_name models to of on default default_model
    default_service fallback fallbacks fallback_order strategy routing_strategy deployments selector transport
    prices retry audit unsupported fail oversize aliases shared_limits guards surfaces listen name api_key_env
    allow deny can family watch discover mirror include exclude
    """.split()  # noqa: SIM905 - they are read as a text
)
"""Keys whose values are names of things."""
_ADDRESSES = frozenset(("api_base", "base_url", "endpoint", "listen"))
_HOST = r"(?:localhost|[\w-]+(?:\.[\w-]+)+|[\w.-]*(?=:\d))(?::\d{1,5})?"
_FREE = frozenset(
    ("auth", "defaults", "env", "environment_variables", "forced", "headers", "labels", "options")
)
"""Below these anything can stand under any key."""
_KEY_TO_HIDE = (
    r"(?i)(?:^|[^a-z])(?:api)?"
    r"(?:key|token|secret|pass\w*|pwd|pin|cred\w*|auth\w*|cookie|signature|jwt|otp)s?$"
)
"""How keys are called that hold secrets."""
_NO_SECRETS = frozenset(("tokens", "max_tokens", "burst_tokens", "first_token", "auth", "pin"))

_WORD = r"(?i)|~|null|true|false|yes|no|on|off|---|[|>][-+0-9]{0,2}|\[\]|\{\}"
_QUANTITY = (
    r"[-+]?(?:\d{1,4}(?:\.\d{1,4})?|\d{1,9}(?:\.\d+)?(?= *[a-zA-Z%/]))"
    r"(?: *(?:%|[kKMGT]i?B|ms|mins?|minutes?|secs?|seconds?|hours?|days?|[smhd]"
    r"|percent|[A-Z]{3}|requests?|tokens?))?"
    r"(?: *(?:/|per) *\d{0,4}(?:minute|second|month|week|min|sec|hour|day|[smhd]))?"
)
_REFERENCE = r"\$\{(?:[A-Za-z_]\w{0,80}|file:[\w./-]{1,120})\}"
_WITH_DEFAULT = r"(\$\{[A-Za-z_]\w{0,80}:-)[^}]*\}"
_LIKE_CREDENTIALS = (
    r"(?i)(?:bearer|basic|token)\s+\S{6}"
    r"|(?<![a-z0-9])(?:sk|gsk|gh[opsur]|glpat|xox[abps])[-_][\w-]{8}"
    r"|(?<![a-z0-9])(?:pk|rk|xai|sess|hf|key|api|pat)[-_](?=[\w-]*\d)[\w-]{8}"
    r"|AKIA[0-9A-Z]{12}|AIza[\w-]{16}|eyJ[\w-]{8}|-----BEGIN"
    r"|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{4}"
    r"|(?=[a-z+=]*\d)(?=[\d+=]*[a-z])[a-z0-9+=]{20}|[a-z]{32}|\d{10}"
    r"|(?:key|token|secret|passw\w*|pwd|authorization)['\"]?\s*[:=]"
)
"""What is no name of a thing, wherever it stands."""
_URL = r"([a-z][a-z0-9+.]{1,11}://)(.*)"
_PLACE = r"([\w.-]{1,120}|\[[0-9a-fA-F:.]+\])(:\d{1,5})?"
_PLAIN_KEY = r"[^\s\"'\[\]{},#&*!|>%@`:=-][^\s\"'\[\]{},#:=]*(?:[:.][^\s\"'\[\]{},#:=]+)*"
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'"
_KEY = rf"(?:(?P<quoted>{_QUOTED})\s*[:=]|(?P<plain>{_PLAIN_KEY})(?:\s*:(?=\s|$)|\s*=))"
_HEADER = r"(\s*\[\[?\s*)(\w[^\[\]#]*?)(\s*\]\]?)\s*(#.*)?"

_Piece = tuple[int, str]
"""Where it begins in the line, and how it is shown."""


def shown_line(line: str, column: int, path: KeyPath = ()) -> tuple[str, int]:
    """`line` without what may be secret, at most `WIDEST` columns wide, and how many are before the place.

    Args:
        column: of the place, 0 or more.
        path: that of the value there, as far as it is known.
    """
    cells = [(at, each) for at, each in _cells(_Pieces(line, path).all(), column)]
    caret = next((n for n, (at, _) in enumerate(cells) if at >= column), len(cells))
    # Within what is masked there are no columns: the place is where that begins.
    if caret and (caret == len(cells) or cells[caret][0] > column) and column < len(line):
        begin = cells[caret - 1][0]
        caret = next(n for n, (at, _) in enumerate(cells) if at == begin)
    return _cut([each for _, each in cells], caret)


def looks_secret(text: str) -> bool:
    """Whether `text` is written as credentials are."""
    return re.search(_LIKE_CREDENTIALS, text) is not None


def may_be_repeated(text: str, path: KeyPath) -> bool:
    """Whether a message may repeat `text`, which is written at `path` and was meant to be who knows what."""
    keys = [each for each in path if isinstance(each, str)]
    hidden = any(key not in _NO_SECRETS and re.search(_KEY_TO_HIDE, key) for key in keys)
    return not (hidden or looks_secret(text)) and _FREE.isdisjoint(keys[:-1])


def _cells(pieces: Sequence[_Piece], column: int) -> Iterator[tuple[int, str]]:
    """Each character that is shown, and which one of the line it stands for."""
    for begin, text in pieces:
        masked = MASK in text
        for n, each in enumerate(text):
            at = begin if masked else begin + n
            if each == "\t" and at < column:
                yield at, "  " if begin == 0 and not text.strip() else " "
                continue
            yield from ((at, shown) for shown in printable_line(each))


def _cut(cells: list[str], caret: int) -> tuple[str, int]:
    """The cells around the `caret`, which are as wide as can be shown."""
    wide = [_width(each) for each in cells]
    first, last = 0, len(cells)
    if sum(wide) > WIDEST:
        room = WIDEST - 2  # for what says that there is more
        upto = [0, *accumulate(wide)]
        while first < caret and upto[caret] - upto[first] > room // 2 and upto[last] - upto[first] > room:
            first += 1
        while upto[last] - upto[first] > room:
            last -= 1
    more, rest = "…" if first else "", "…" if last < len(cells) else ""
    shown = f"{more}{''.join(cells[first:last])}{rest}"
    before = sum(wide[first:caret]) + len(more)
    if not first:  # what it is indented by says nothing
        indent = min(len(shown) - len(shown.lstrip(" ")), before)
        shown, before = shown[indent:], before - indent
    return shown.rstrip(), before


def _width(cell: str) -> int:
    if len(cell) != 1:
        return len(cell)
    if unicodedata.combining(cell) or unicodedata.category(cell) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1


class _Pieces:
    """Reads one line as YAML, TOML or JSON, whichever it is, and however wrong."""

    def __init__(self, line: str, path: KeyPath) -> None:
        self._line = line
        self._at = 0
        self._above = [each for each in path if isinstance(each, str)]
        self._first = True
        self._open: list[str] = []
        self._key = ""
        self._pieces: list[_Piece] = []

    def all(self) -> Sequence[_Piece]:
        header = re.fullmatch(_HEADER, self._line)
        if header is not None and header[2].split(".")[0].strip() in _TOP:
            keys = re.sub(r"[^.\s]+", lambda found: found[0] if _key_is_shown(found[0]) else MASK, header[2])
            self._add(header.end(3), f"{header[1]}{keys}{header[3]}")
        while self._at < len(self._line):
            self._one()
        return self._pieces

    def _one(self) -> None:
        line, at = self._line, self._at
        if blank := re.compile(r"\s+").match(line, at):
            self._add(blank.end(), blank[0])
        elif line[at] == "#" and (not at or line[at - 1].isspace()):
            self._add(len(line), "# …")
        elif line.startswith("//", at) and not self._key:
            self._add(len(line), "// …")
        elif line[at] in "[{":
            self._open.append(self._key)
            self._add(at + 1, line[at])
            self._key = ""
        elif line[at] in "]}":
            self._key = self._open.pop() if self._open else ""
            self._add(at + 1, line[at])
        elif line[at] == ",":
            self._key = ""
            self._add(at + 1, ",")
        elif re.compile(r"-(?=\s|$)").match(line, at):
            self._add(at + 1, "-")
        elif not self._key and (found := re.compile(_KEY).match(line, at)):
            self._begin(found)
        else:
            self._value()

    def _begin(self, found: re.Match[str]) -> None:
        name = found["quoted"] or found["plain"]
        self._key = name.strip("\"'") or " "
        if self._first and self._key in self._above:  # what leads on from there stands in the line itself
            del self._above[self._above.index(self._key) :]
        self._first = False
        self._add(found.end(), (name if _key_is_shown(self._key) else MASK) + found[0][len(name) :])

    def _value(self) -> None:
        line, at = self._line, self._at
        quoted = re.compile(_QUOTED).match(line, at)
        reference = re.compile(_REFERENCE).match(line, at)
        if reference is not None and self._open:
            text, end = reference[0], reference.end()
        elif quoted is not None:
            text, end = quoted[0], quoted.end()
        else:  # where a quote is never closed, the rest is one text
            stop = r"\s#|$" if line[at] in "\"'" or not self._open else r"\s#|[,\[\]{}]|$"
            found = re.compile(stop).search(line, at + 1)
            end = found.start() if found else len(line)
            text = line[at:end]
        bare = text.rstrip(" \t,")  # in JSON a line ends so, whatever is open above it
        self._add(end, self._shown(bare, quoted is not None) + text[len(bare) :])

    def _shown(self, text: str, quoted: bool) -> str:
        quote = text[0] if quoted else ""
        inner = text[1:-1] if quoted else text
        keys = [*self._above, *(each for each in self._open if each), *([self._key] if self._key else [])]
        glued = None if self._key or quoted else re.fullmatch(r"([a-z_]{2,30}):(\S+)", inner)
        if glued is not None:  # the blank was forgotten
            return f"{glued[1]}:{_shown_value(glued[2], [*keys, glued[1]])}"
        return f"{quote}{_shown_value(inner, keys)}{quote}"

    def _add(self, end: int, shown: str) -> None:
        self._pieces.append((self._at, shown))
        self._at = end


_TOP = frozenset(
    """
    providers models aliases strategy fallback guards retry circuit_breaker overload refusal timeouts limits
    queue health outliers warm_up adaptive_concurrency hedging state prices audit transport plugins gateway
    reload
    """.split()  # noqa: SIM905 - they are read as a text
)
"""Keys that a table of TOML begins with."""


def _key_is_shown(key: str) -> bool:
    return re.fullmatch(r"[\w./*@+:~-]{1,64}|<<", key) is not None and not looks_secret(key)


def _shown_value(text: str, keys: Sequence[str]) -> str:
    """`text`, or what may be shown of it; `keys` lead to it, as far as that is known."""
    key, above = (keys[-1], keys[:-1]) if keys else ("", ())
    if re.fullmatch(_WORD, text) or re.fullmatch(_REFERENCE, text):
        return text
    if found := re.fullmatch(_WITH_DEFAULT, text):
        return f"{found[1]}{MASK}}}"
    if key not in _NO_SECRETS and re.search(_KEY_TO_HIDE, key):
        return MASK
    free = not _FREE.isdisjoint(above) or key in _FREE
    if "auth" in above and key == "name" and re.fullmatch(r"[A-Z][A-Z0-9_]{0,63}", text):
        return MASK if looks_secret(text) else text  # a variable
    if re.fullmatch(_QUANTITY, text) and (keys or len(text) < 5):
        return text
    if key == "type" and "headers" not in above:
        free = False
    if free or (key not in _NAMES and above[-1:] != ["aliases"]):
        return MASK
    if address := re.fullmatch(_URL, text):
        return _shown_address(address[1], address[2])
    # No message repeats an address: whatever else stands in its place may be anything.
    misplaced = key in _ADDRESSES and re.fullmatch(_HOST, text) is None
    return MASK if misplaced or looks_secret(text) else text


def _shown_address(scheme: str, rest: str) -> str:
    """A URL without user, password and query; a user name may hold whatever it likes, also a `/`."""
    _user, at, rest = rest.rpartition("@")
    before = re.match(r"[^?#]*", rest)
    assert before is not None
    place, slash, path = before[0].partition("/")
    if re.fullmatch(_PLACE, place) is None or looks_secret(place):
        return f"{scheme}{MASK}"
    steps = path.split("/")
    hidden = any(looks_secret(each) or len(each) > 40 or not re.fullmatch(r"[\w.-]*", each) for each in steps)
    query = f"{rest[before.end()]}{MASK}" if before.end() < len(rest) else ""
    return f"{scheme}{MASK + '@' if at else ''}{place}{slash}{MASK if hidden else path}{query}"

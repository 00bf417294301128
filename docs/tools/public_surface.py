"""What was promised to plugins, name by name, and whether it still holds.

The record beside this file says of every public name, member and parameter that it is there.
`reference_page.py` adds to it what is new. Nothing leaves it but a name whose time of deprecation is over,
and that by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from public_names import MODULES, Member, Public, Taken, public_names

RECORD = Path(__file__).with_name("public_surface.json")

Surface = Mapping[str, str]
"""By the path of a name, what it is: `function (url :timeout=)`, `attribute`, `must method (/ready /call)`.

A parameter is a word: `name=` has a default, `/name` goes by position alone, `:name` by name alone. What is
`must` only describes: whoever inherits the class writes it.
"""

_WRITTEN_BY_PLUGINS = (
    *("PointsmanSpec", "Provider", "HttpProvider", "Auth", "RetryPolicy", "Strategy", "AuditSink", "Guard"),
    *(
        "StreamFilter",
        "Selector",
        "PriceSource",
        "Discovery",
        "Service",
        "Dialect",
        "EventStream",
        "Framer",
        "PlainFramer",
        "Decoder",
    ),
    *(
        "PlainDecoder",
        "RunDecoder",
        "RawTransport",
        "Reply",
        "Abortable",
        "Immediate",
        "RefreshingAuth",
        "SigningAuth",
    ),
)
CALLED_BY_THE_ROUTER = frozenset(f"pointsman.plugin.{name}" for name in _WRITTEN_BY_PLUGINS)
"""What plugins write and the router calls: methods that get what they get today, and not a parameter more."""


def surface() -> dict[str, str]:
    """What is public now."""
    return {path: what for module in MODULES for public in public_names(module) for path, what in _of(public)}


def recorded() -> dict[str, str]:
    """What was promised."""
    found: dict[str, str] = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    return found


def with_additions(was: Surface, now: Surface) -> str:
    """The text of a record that holds both; of what is in both, as it is now."""
    return json.dumps(dict(sorted({**was, **now}.items())), indent=0, ensure_ascii=False) + "\n"


def broken(was: Surface, now: Surface) -> list[str]:
    """What a plugin that was written against `was` would miss in `now`, one sentence each."""
    return [*_gone_or_changed(was, now), *_newly_required(was, now)]


# ── what is recorded ─────────────────────────────────────────────────────────────────────────────────


def _of(public: Public) -> Iterator[tuple[str, str]]:
    path = f"{public.module}.{public.name}"
    bases = f" of {' '.join(public.bases)}" if public.bases else ""
    takes = "" if public.takes is None else f" ({_written(public.takes)})"
    yield path, f"{'async ' if public.awaited else ''}{public.what}{takes}{bases}"
    for field in public.fields:
        yield f"{path}.{field.name}", "attribute"
    for member in public.members:
        yield f"{path}.{member.name}", _member(member)


def _member(member: Member) -> str:
    must = "must " if member.must else ""
    if member.takes is None:
        return f"{must}attribute"
    return f"{must}{'async ' if member.awaited else ''}method ({_written(member.takes)})"


def _written(takes: Sequence[Taken]) -> str:
    mark = {"position": "/", "either": "", "name": ":", "*": "*", "**": "**"}
    return " ".join(f"{mark[each.how]}{each.name}{'' if each.default is None else '='}" for each in takes)


# ── whether it holds ─────────────────────────────────────────────────────────────────────────────────


def _gone_or_changed(was: Surface, now: Surface) -> Iterator[str]:
    for path, before in was.items():
        if path not in now:
            yield f"{path} is gone"
        elif now[path] != before:
            yield from (f"{path} {wrong}" for wrong in _changed(path, before, now[path]))


def _newly_required(was: Surface, now: Surface) -> Iterator[str]:
    for path, what in now.items():
        owner = path.rpartition(".")[0]
        if path not in was and owner in was and what.startswith("must "):
            yield f"{path} is new, and whoever inherits {owner} would have to write it: give it a default"


def _changed(path: str, before: str, after: str) -> Iterator[str]:
    (word, had, bases), (new_word, has, new_bases) = _parts(before), _parts(after)
    if after.startswith("must ") and not before.startswith("must "):
        yield "had a default, and has none"
    if word != new_word:
        yield f"was {word}, and is {new_word}"
    for base in sorted(bases - new_bases):
        yield f"is no longer a {base}"
    if (had is None) != (has is None):
        yield "could be called, and cannot" if has is None else "could not be called, and can"
    elif had is not None and has is not None and "Context" not in new_bases:  # these only the router makes
        yield from _parameters(had, has, grows=path.rpartition(".")[0] not in CALLED_BY_THE_ROUTER)


def _parts(what: str) -> tuple[str, list[str] | None, frozenset[str]]:
    """The word that says what it is, the parameters, the bases."""
    head, opened, rest = what.removeprefix("must ").partition(" (")
    taken, _, after = rest.partition(")") if opened else ("", "", "")
    bases = (after if opened else head).partition(" of ")[2]
    return head.partition(" of ")[0], taken.split() if opened else None, frozenset(bases.split())


def _parameters(had: Sequence[str], has: Sequence[str], *, grows: bool) -> Iterator[str]:
    before, after = {_name(each): each for each in had}, {_name(each): each for each in has}
    for name, each in before.items():
        if name not in after:
            yield f"takes no {name} any more"
        elif each != after[name] and not _as_free(each, after[name]):
            yield f"took {each}, and takes {after[name]}"
    for name, each in after.items():
        if name not in before and not grows:
            yield f"is given {name}, which plugins that override it do not take"
        elif name not in before and not (each.endswith("=") or each.startswith("*")):
            yield f"needs {name}, which nobody gives"
    by_position = [_name(each) for each in had if not each.startswith((":", "*"))]
    positions = [_name(each) for each in has if not each.startswith((":", "*"))]
    if positions[: len(by_position)] != by_position and set(by_position) <= set(positions):
        yield f"takes its parameters in another order: {' '.join(has)}"


def _as_free(before: str, after: str) -> bool:
    """Whether every call that `before` allowed is allowed by `after`."""
    default = after.endswith("=") or not before.endswith("=")
    way = before[0] == after[0] or (not after.startswith((":", "/", "*")) and not before.startswith("*"))
    return default and (way or before.lstrip("/:") == before == after.rstrip("="))


def _name(written: str) -> str:
    return written.lstrip("/:*").rstrip("=")

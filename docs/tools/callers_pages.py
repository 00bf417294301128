"""Writes docs/reference.md, and the tables of options, errors and events in the guides, from the code.

    uv run python docs/tools/callers_pages.py [--check]

`--check` writes nothing, and ends with 1 when a page is not up to date.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from entries import (
    cell,
    code,
    field_row,
    first_paragraph,
    folded,
    head,
    links_to,
    member_rows,
    whole_doc,
)
from msgspec.structs import replace
from public_names import Member, Public, Taken, fields_of, public_names

import pointsman
from pointsman import CallError, PointsmanError, errors
from pointsman.events import EVENTS, PROGRESS
from pointsman.requests.call_options import COMPLETE, CallOptions

DOCS = Path(__file__).resolve().parents[1]
COMMAND = "uv run python docs/tools/callers_pages.py"

TOPICS: dict[str, tuple[str, ...]] = {
    "Routers": ("pointsman.router", "pointsman.sync", "pointsman.config"),
    "Requests": (
        "ChatRequest",
        "EmbedRequest",
        "GenerateRequest",
        "pointsman.requests",
        "pointsman.original",
    ),
    "Messages, parts, tools": ("pointsman.types",),
    "Answers": ("ChatResponse", "EmbedResponse", "ModelInfo", "Usage", "pointsman.batch"),
    "Streams": (
        *("Done", "Finished", "RawDelta", "ReasoningBlock", "ReasoningDelta", "RefusalDelta", "Started"),
        *("StreamEvent", "SyncStream", "TextDelta", "ToolCallDelta", "UsageUpdate", "pointsman.execution"),
    ),
    "Errors": ("pointsman.errors",),
    "Events": ("pointsman.events",),
    "Prices": ("pointsman.prices",),
    "Status": ("pointsman.explanations", "pointsman.reports", "pointsman.status"),
    "Values": ("__version__", "replace"),
}
"""The headings, each with names that stand below it, and with modules whose other names do."""


def topic_of(public: Public) -> str:
    """The heading below which a name stands. Raises: LookupError where none fits it."""
    fits = [
        (each == public.name, len(each), topic)
        for topic, all_of in TOPICS.items()
        for each in all_of
        if each == public.name or f"{public.home}.".startswith(f"{each}.")
    ]
    if not fits:
        raise LookupError(f"{public.name} of {public.home} stands below no heading: see TOPICS")
    return max(fits)[2]


# ── the reference ────────────────────────────────────────────────────────────────────────────────────

INTRODUCTION = f"""# Reference: every name of `pointsman`

What a program that calls imports from `pointsman`. Made from the code by
`{COMMAND}`, and never by hand. Times are in seconds where a name does not say
otherwise. [Calling](calling.md), [Errors](errors.md) and [Observing](observing.md) show these names at work;
what plugins import stands in [their reference](plugins/reference.md).
"""


def reference() -> str:
    """The whole page docs/reference.md."""
    by_topic: dict[str, list[Public]] = {topic: [] for topic in TOPICS}
    for public in public_names("pointsman"):
        by_topic[topic_of(public)].append(public)
    there = {topic: of for topic, of in by_topic.items() if of}
    links = links_to([each for topic, of in there.items() for each in (topic, *(one.name for one in of))])
    names = {each.name: each for of in there.values() for each in of}
    parts = [INTRODUCTION, *(f"- [{topic}](#{links[topic]})" for topic in there)]
    for topic, of in there.items():
        parts += ["", f"## {topic}", "", *(f"[`{each.name}`](#{links[each.name]})" for each in of)]
        for public in of:
            parts += ["", *_entry(public, names, links)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)) + "\n"


def _entry(public: Public, names: Mapping[str, Public], links: Mapping[str, str]) -> Iterator[str]:
    kind = getattr(pointsman, public.name)
    raised = isinstance(kind, type) and issubclass(kind, PointsmanError)  # callers make none
    yield from (
        f"### {public.name}",
        "",
        "```python",
        head(replace(public, takes=None) if raised else public),
        "```",
    )
    inherited = {field.name for base in public.bases for field in names[base].fields}
    fields = [with_meaning(each, topic_of(public)) for each in public.fields if each.name not in inherited]
    told = {each.name for each in (*public.fields, *public.members)}
    yield from whole_doc(public.doc, told=told)
    if isinstance(kind, type) and issubclass(kind, CallError):
        yield from ("", f"Code `{kind.code}`. {_what_follows(kind)}")
    elif raised:
        yield from ("", f"Code `{kind.code}`.")
    if public.bases:
        yield from ("", f"It has what [`{public.bases[0]}`](#{links[public.bases[0]]}) has, too.")
    if fields:
        yield from ("", "| field | type | default | meaning |", "| --- | --- | --- | --- |")
        yield from (field_row(each) for each in fields)
    members = [each for each in public.members if each.name not in inherited and _is_of_callers(kind, each)]
    yield from member_rows("attribute", [each for each in members if each.takes is None], marked=False)
    methods = [each for each in members if each.takes is not None]
    long = [each for each in methods if "\n\n" in each.doc]
    yield from member_rows("method", [each for each in methods if each not in long], marked=False)
    for each in long:
        yield from _method(public, each)


SAID_AT = {
    "Requests": ("ChatRequest", "GenerateRequest", "EmbedRequest"),
    "Messages, parts, tools": ("Text",),
    "Answers": ("ChatResponse",),
    "Events": ("RequestEnded", "AttemptEnded"),
}
"""By heading the names that say what a field means which several there have."""


def with_meaning(field: Taken, topic: str) -> Taken:
    """A field with its meaning: its own, or that of the same field where the heading says it once."""
    if field.doc:
        return field
    said = (
        each for name in SAID_AT.get(topic, ()) for each in _public(name).fields if each.name == field.name
    )
    treatment = (each for each in _call_options() if topic == "Requests" and each.name == field.name)
    words = next((each.doc for each in (*said, *treatment) if each.doc), "")
    return replace(
        field, doc="a CallOptions with all about the treatment" if field.name == COMPLETE else words
    )


def _is_of_callers(kind: object, member: Member) -> bool:
    """Not the keys of the configuration, which have a page of their own, nor what only settings are asked."""
    return kind is not pointsman.Config or (
        member.name in vars(pointsman.Config) and member.name not in _OF_BUILDERS
    )


_OF_BUILDERS = frozenset(
    (
        "check",
        "error",
        "health_for",
        "model_fields",
        "problem",
        "specific",
        "timeouts_for",
        "validate_settings",
        "warn",
    )
)
"""What a configuration is asked by what builds a router of it."""


def _method(public: Public, member: Member) -> Iterator[str]:
    yield from ("", f"#### {public.name}.{member.name}", "")
    way = "async " if member.awaited else ""
    yield from ("```python", folded(f"{way}{member.name}", member.takes or (), member.type), "```")
    yield from whole_doc(member.doc)


# ── tables of the guides ─────────────────────────────────────────────────────────────────────────────


def options_table() -> Iterator[str]:
    """Every option of every call: what it takes, its default, which calls have it, and what it means."""
    of: dict[str, list[str]] = {}
    taken: dict[str, Taken] = {}
    for call, name in (("chat", "ChatRequest"), ("generate", "GenerateRequest"), ("embed", "EmbedRequest")):
        for field in _public(name).fields:
            if field.name not in _SUBJECTS:
                of.setdefault(field.name, []).append(call)
                taken.setdefault(field.name, field)
    for field in _call_options():
        of[field.name], taken[field.name] = ["every call"], field
    # What may be written for it, where a TypedDict says more than the value that it becomes.
    options = (public for public in public_names("pointsman") if public.name.endswith("Options"))
    written = {field.name: field.type for public in options for field in public.fields}
    yield from ("| option | of | takes | default | meaning |", "| --- | --- | --- | --- | --- |")
    for name, field in taken.items():
        takes = written.get(name, field.type).removesuffix(" | None")
        default = "" if field.default in _NOT_SAID else code(str(field.default))
        yield f"| `{name}` | {', '.join(of[name])} | {code(takes)} | {default} | {cell(field.doc)} |"


_NOT_SAID = (None, "None", "()", "dict()", "{}", "''")
_SUBJECTS = frozenset(("model", "messages", "prompt", "texts"))


def _public(name: str) -> Public:
    return next(each for each in public_names("pointsman") if each.name == name)


def _call_options() -> tuple[Taken, ...]:
    return fields_of(CallOptions)


def tree() -> Iterator[str]:
    """The tree of errors as their module draws it."""
    doc = inspect.cleandoc(errors.__doc__ or "")
    drawn = [line for line in doc.splitlines() if re.match(r"[│├└─ ]*[A-Z]\w+(\s{2,}\S.*)?$", line)]
    yield from ("```text", *drawn, "```")


def errors_table() -> Iterator[str]:
    """Every error that a call can end with, with its code and what the router does about it."""
    yield from (
        "| error | `code` | another deployment | the same one later | a fallback on |",
        "| --- | --- | --- | --- | --- |",
    )
    for kind in _call_errors():
        elsewhere, later = ("yes" if does else "" for does in (kind.retry_elsewhere, kind.retry_same))
        fallback = f"`{kind.fallback_on}`" if kind.try_fallback else ""
        yield f"| {_link(kind)} | `{kind.code}` | {elsewhere} | {later} | {fallback} |"


def _call_errors() -> list[type[CallError]]:
    """In the order in which they are made, without those that only others derive from."""
    public = {getattr(pointsman, name) for name in pointsman.__all__}
    found: list[type[CallError]] = []

    def add(kind: type[CallError]) -> None:
        if kind in public and kind not in found:
            found.append(kind)
        for each in kind.__subclasses__():
            if each.__module__ == CallError.__module__:
                add(each)

    add(CallError)
    bases = {pointsman.CallError, pointsman.RequestError, pointsman.ProviderError}
    return [each for each in found if each not in bases]


def _what_follows(kind: type[CallError]) -> str:
    """What the router does after an attempt that ended so, before a caller sees it."""
    tried = [
        words
        for words, does in (
            ("another deployment", kind.retry_elsewhere),
            ("the same one later", kind.retry_same),
            (f"a fallback on `{kind.fallback_on}`", kind.try_fallback),
        )
        if does
    ]
    return f"Tries {', '.join(tried)}." if tried else "It ends the request."


def events_table(kinds: tuple[type, ...]) -> Iterator[str]:
    """Events, each with when it is told and what it says."""
    yield from ("| event | when | says |", "| --- | --- | --- |")
    for kind in kinds:
        says = " ".join(f"`{name}`" for name in kind.__struct_fields__)  # type: ignore[attr-defined]
        yield f"| {_link(kind)} | {cell(first_paragraph(kind.__doc__ or ''))} | {says} |"


def _link(kind: type) -> str:
    return f"[`{kind.__name__}`](reference.md#{kind.__name__.lower()})"


TABLES: Mapping[str, Mapping[str, Callable[[], Iterator[str]]]] = {
    "calling.md": {"options": options_table},
    "errors.md": {"tree": tree, "errors": errors_table},
    "observing.md": {"events": lambda: events_table(EVENTS), "progress": lambda: events_table(PROGRESS)},
}
"""By page the tables that stand between `<!-- name -->` and `<!-- /name -->`."""


def with_tables(text: str, tables: Mapping[str, Callable[[], Iterator[str]]]) -> str:
    """A page with its tables as they are now. Raises: LookupError where it has no place for one."""
    for name, table in tables.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise LookupError(f"the page has no one place for the table of {name}")
        before, after = text.split(begin)[0], text.split(end)[1]
        text = f"{before}{begin}\n" + "\n".join(table()) + f"\n\n{end}{after}"
    return text


def fresh() -> dict[Path, str]:
    """All that this writes, as it should be now."""
    pages = {
        DOCS / name: with_tables((DOCS / name).read_text("utf-8"), tables) for name, tables in TABLES.items()
    }
    return {DOCS / "reference.md": reference(), **pages}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 when something is stale"
    )
    check = parser.parse_args().check
    stale = {
        path: text for path, text in fresh().items() if not path.exists() or path.read_text("utf-8") != text
    }
    if check and stale:
        sys.exit(f"not up to date: {', '.join(path.name for path in stale)}; refresh with `{COMMAND}`")
    for path, text in stale.items():
        path.write_text(text, "utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()

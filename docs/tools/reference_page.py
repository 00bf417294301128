"""Writes docs/plugins/reference.md from the interfaces, and records what is public.

    uv run python docs/tools/reference_page.py [--check]

The record is `docs/tools/public_surface.json`: what is in it stays (see `public_surface`). `--check` writes
nothing, and ends with 1 when either is not up to date or a recorded promise is broken.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from public_names import MODULES, Member, Public, Taken, public_names
from public_surface import RECORD, broken, recorded, surface, with_additions

from pointsman.plugins.kinds import KINDS

PAGE = Path(__file__).resolve().parents[1] / "plugins" / "reference.md"
COMMAND = "uv run python docs/tools/reference_page.py"

WITHDRAW = f"what no release has had may change: remove its lines from {RECORD.name}, then say this again"

TOPICS: dict[str, tuple[str, ...]] = {
    "Hooks": ("pointsman.hookspecs", "pointsman.context"),
    "Providers": ("pointsman.provider", "pointsman.original", "pointsman.http.provider_base"),
    "Sources of credentials": ("pointsman.auth",),
    "Retry policies": ("pointsman.retry", "pointsman.resilience.retry_budget"),
    "Strategies": ("pointsman.strategy", "pointsman.builtin.strategies"),
    "Prices": ("pointsman.prices",),
    "Guards": ("pointsman.guard",),
    "Selectors": ("pointsman.selector",),
    "Audit sinks": ("pointsman.audit",),
    "Transports": ("pointsman.transports",),
    "State stores": ("pointsman.state", "pointsman.builtin.memory"),
    "Surfaces": ("pointsman.surface", "pointsman.requests.parsing", "pointsman.resilience.token_estimate"),
    "Services": ("pointsman.service",),
    "Sections": ("pointsman.section", "pointsman.units"),
    "Dialects": ("pointsman.dialect",),
    "Requests, answers, stream events": ("pointsman.types", "pointsman.text_messages", "msgspec"),
    "Errors": ("pointsman.errors",),
    "Events": ("pointsman.events",),
    "HTTP: clients, answers, streams": ("pointsman.http",),
    "What many wires share": ("pointsman.wire", "pointsman.values", "pointsman._internal"),
    "Time and chance": ("pointsman.clock",),
    "Rates": ("pointsman.resilience.rate_limit",),
    "For tests": ("pointsman.testing", "pointsman.build.contexts"),
    "Contracts": ("pointsman.testing.contract",),
}
"""The headings, each with the modules whose names stand below it; of several that fit, the longest."""


def topic_of(public: Public) -> str:
    """The heading below which a name stands. Raises: LookupError where none fits its home."""
    if public.module == "pointsman.testing.contract":
        return "Contracts"
    fits = [
        (len(home), topic)
        for topic, homes in TOPICS.items()
        for home in homes
        if public.home == home or public.home.startswith(f"{home}.")
    ]
    if not fits:
        raise LookupError(
            f"{public.name} comes from {public.home}, which stands below no heading: see TOPICS"
        )
    return max(fits)[1]


def page() -> str:
    """The whole page."""
    by_topic: dict[str, list[Public]] = {topic: [] for topic in TOPICS}
    for module in MODULES:
        for public in public_names(module):
            by_topic[topic_of(public)].append(public)
    there = {topic: of for topic, of in by_topic.items() if of}
    links = _links(
        [heading for topic, of in there.items() for heading in (topic, *(each.name for each in of))]
    )
    parts = [INTRODUCTION, *(f"- [{topic}](#{links[topic]})" for topic in there)]
    for topic, of in there.items():
        # One to a line: what two people add side by side is put together without a conflict.
        parts += ["", f"## {topic}", "", *(f"[`{each.name}`](#{links[each.name]})" for each in of)]
        parts += _hooks() if topic == "Hooks" else ()
        for public in of:
            parts += [
                "",
                *_entry(public, {each.name: each for found in there.values() for each in found}, links),
            ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)) + "\n"


def _links(headings: Sequence[str]) -> dict[str, str]:
    """What a link to each heading ends with; GitHub numbers those that would be the same."""
    links: dict[str, str] = {}
    for heading in headings:
        plain = anchor(heading)
        before = sum(anchor(each) == plain for each in links)
        links[heading] = f"{plain}-{before}" if before else plain
    return links


INTRODUCTION = f"""# Reference: every name that a plugin can import

Made from the interfaces by `{COMMAND}`, and never by hand.
Unless it says otherwise, a name is imported from `pointsman.plugin`. Where a table says `write`, whoever
inherits the class writes that member; the rest has defaults. How long all this can be relied on is said by
[the promise](compatibility.md).
"""


def anchor(heading: str) -> str:
    """What a link to a heading ends with, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _hooks() -> Iterator[str]:
    yield ""
    yield "| kind | entry-point group | hook | returns |"
    yield "| --- | --- | --- | --- |"
    for kind in KINDS.values():
        factory = f"`{kind.factory.__name__}`" if kind.factory is not None else "click commands"
        yield f"| {kind.name} | `{kind.group}` | `{kind.hook}` | {factory} |"


def _entry(public: Public, names: Mapping[str, Public], links: Mapping[str, str]) -> Iterator[str]:
    yield from (f"### {public.name}", "")
    if public.module != "pointsman.plugin":
        yield from (f"From `{public.module}`.", "")
    if public.what != "module":
        yield from ("```python", _head(public), "```", "")
    yield first_paragraph(public.doc)
    inherited = {field.name for base in public.bases for field in names[base].fields}
    if inherited:
        yield from ("", f"It has the fields of [`{public.bases[0]}`](#{links[public.bases[0]]}), too.")
    if fields := [each for each in public.fields if each.name not in inherited]:
        yield from ("", "| field | type | default | meaning |", "| --- | --- | --- | --- |")
        yield from (_field(each) for each in fields)
    yield from _members("attribute", [each for each in public.members if each.takes is None])
    name = "function" if public.what == "module" else "method"
    yield from _members(name, [each for each in public.members if each.takes is not None])


def _head(public: Public) -> str:
    bases = f"  # a {public.bases[0]}" if public.bases else ""
    if public.what == "value":
        return f"{public.name} = {_short(public.text)}"
    if public.what == "function":
        return _folded(f"{_way(public)}{public.name}", public.takes or (), public.returns)
    if public.takes is None or public.fields:
        return f"class {public.name}{bases}"
    return _folded(f"class {public.name}", public.takes) + bases


def _short(text: str) -> str:
    if text.startswith("Annotated["):
        return f"{text.partition(',')[0]}, …]"
    if len(text) > 90:
        return "…"
    return text if '"' in text else text.replace("'", '"')  # as the formatter would, to which this is Python


def _way(said: Public | Member) -> str:
    return "async " if said.awaited else ""


def _folded(head: str, takes: Sequence[Taken], returns: str = "") -> str:
    """A signature on one line where that is short enough, else with one line for each parameter."""
    tail = f" -> {returns}" if returns else ""
    line = f"{head}({', '.join(_parameters(takes))}){tail}"
    if len(line) <= 100:
        return line
    inner = "".join(f"    {each},\n" for each in _parameters(takes))
    return f"{head}(\n{inner}){tail}"


def _parameters(takes: Sequence[Taken]) -> Iterator[str]:
    """The parameters as they are written, with the `/` and the `*` between them."""
    by_name = False
    for n, each in enumerate(takes):
        by_name, first = by_name or each.how in ("name", "*"), each.how == "name" and not by_name
        if first:
            yield "*"
        stars = each.how if each.how in ("*", "**") else ""
        kind = f": {each.type}" if each.type else ""
        default = "" if each.default is None else (f" = {each.default}" if kind else f"={each.default}")
        yield f"{stars}{each.name}{kind}{default}"
        if each.how == "position" and (n + 1 == len(takes) or takes[n + 1].how != "position"):
            yield "/"


def _field(field: Taken) -> str:
    default = "required" if field.default is None else _code(field.default)
    return f"| `{field.name}` | {_code(field.type)} | {default} | {_cell(field.doc)} |"


def _members(name: str, members: Sequence[Member]) -> Iterator[str]:
    if not members:
        return
    yield from ("", f"| {name} | | meaning |", "| --- | --- | --- |")
    for each in members:
        written = _attribute(each) if each.takes is None else _called(each, each.takes)
        yield f"| {_code(written)} | {'write' if each.must else ''} | {_cell(first_paragraph(each.doc))} |"


def _attribute(member: Member) -> str:
    return f"{member.name}: {member.type}" if member.type else member.name


def _called(member: Member, takes: Sequence[Taken]) -> str:
    returns = f" -> {member.type}" if member.type else ""
    return f"{_way(member)}{member.name}({', '.join(_parameters(takes))}){returns}"


def first_paragraph(doc: str) -> str:
    """What a docstring says before its first empty line, on one line."""
    return " ".join(doc.partition("\n\n")[0].split())


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 when something is stale"
    )
    check = parser.parse_args().check
    was, now = recorded(), surface()
    if wrong := broken(was, now):
        sys.exit("\n".join(["what was promised does not hold:", *wrong, WITHDRAW]))
    fresh = {PAGE: page(), RECORD: with_additions(was, now)}
    stale = [path for path, text in fresh.items() if not path.exists() or path.read_text("utf-8") != text]
    if check and stale:
        sys.exit(f"not up to date: {', '.join(path.name for path in stale)}; refresh with `{COMMAND}`")
    for path in stale:
        path.write_text(fresh[path], "utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()

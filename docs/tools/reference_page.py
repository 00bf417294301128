"""Writes docs/plugins/reference.md from the interfaces, and records what is public.

    uv run python docs/tools/reference_page.py [--check]

The record is `docs/tools/public_surface.json`: what is in it stays (see `public_surface`). `--check` writes
nothing, and ends with 1 when either is not up to date or a recorded promise is broken.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from entries import field_row, first_paragraph, head, links_to, member_rows
from public_names import MODULES, Public, public_names
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
    "Discoveries": ("pointsman.discovery",),
    "Services": ("pointsman.service", "pointsman.offered"),
    "Budgets": ("pointsman.budget", "pointsman.reports"),
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
    links = links_to(
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


INTRODUCTION = f"""# Reference: every name that a plugin can import

Made from the interfaces by `{COMMAND}`, and never by hand.
Unless it says otherwise, a name is imported from `pointsman.plugin`. Where a table says `write`, whoever
inherits the class writes that member; the rest has defaults. How long all this can be relied on is said by
[the promise](compatibility.md).
"""


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
        yield from ("```python", head(public), "```", "")
    yield first_paragraph(public.doc)
    inherited = {field.name for base in public.bases for field in names[base].fields}
    if inherited:
        yield from ("", f"It has the fields of [`{public.bases[0]}`](#{links[public.bases[0]]}), too.")
    if fields := [each for each in public.fields if each.name not in inherited]:
        yield from ("", "| field | type | default | meaning |", "| --- | --- | --- | --- |")
        yield from (field_row(each) for each in fields)
    yield from member_rows("attribute", [each for each in public.members if each.takes is None])
    name = "function" if public.what == "module" else "method"
    yield from member_rows(name, [each for each in public.members if each.takes is not None])


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

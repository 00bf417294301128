"""How a public name is written on a page: its signature, its docstring, its fields and members."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator, Sequence

from public_names import Member, Public, Taken


def links_to(headings: Sequence[str]) -> dict[str, str]:
    """What a link to each heading ends with; GitHub numbers those that would be the same."""
    links: dict[str, str] = {}
    for heading in headings:
        plain = anchor(heading)
        before = sum(anchor(each) == plain for each in links)
        links[heading] = f"{plain}-{before}" if before else plain
    return links


def anchor(heading: str) -> str:
    """What a link to a heading ends with, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def head(public: Public) -> str:
    bases = f"  # a {public.bases[0]}" if public.bases else ""
    if public.what == "value":
        return f"{public.name} = {_short(public.text)}"
    if public.what == "function":
        return folded(f"{_way(public)}{public.name}", public.takes or (), public.returns)
    if public.takes is None or public.fields:
        return f"class {public.name}{bases}"
    return folded(f"class {public.name}", public.takes) + bases


def _short(text: str) -> str:
    if text.startswith("Annotated["):
        return f"{text.partition(',')[0]}, …]"
    if len(text) > 90:
        return "…"
    return text if '"' in text else text.replace("'", '"')  # as the formatter would, to which this is Python


def _way(said: Public | Member) -> str:
    return "async " if said.awaited else ""


def folded(head: str, takes: Sequence[Taken], returns: str = "") -> str:
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


def field_row(field: Taken) -> str:
    default = "required" if field.default is None else code(field.default)
    return f"| `{field.name}` | {code(field.type)} | {default} | {cell(field.doc)} |"


def member_rows(name: str, members: Sequence[Member], *, marked: bool = True) -> Iterator[str]:
    """A table of members; `marked`: with what whoever inherits the class has to write."""
    if not members:
        return
    mark, line = (" |", " | ---") if marked else ("", "")
    yield from ("", f"| {name} |{mark} meaning |", f"| ---{line} | --- |")
    for each in members:
        written = _attribute(each) if each.takes is None else called(each, each.takes)
        mark = f" {'write' if each.must else ''} |" if marked else ""
        yield f"| {code(written)} |{mark} {cell(first_paragraph(each.doc))} |"


def _attribute(member: Member) -> str:
    return f"{member.name}: {member.type}" if member.type else member.name


def called(member: Member, takes: Sequence[Taken]) -> str:
    returns = f" -> {member.type}" if member.type else ""
    return f"{_way(member)}{member.name}({', '.join(_parameters(takes))}){returns}"


_SECTION = re.compile(r"^(Args|Attributes|Options|Returns|Raises|Source): *(.*)$")
_NAMED = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)


def whole_doc(doc: str, *, told: Collection[str] = ()) -> Iterator[str]:
    """A docstring as Markdown: paragraphs, code that is indented, and lists of what its sections name.

    Names that are `told` are left out of the lists: what is said of them stands in a table.
    """
    for kind, text in _pieces(doc):
        if kind == "text":
            yield from ("", " ".join(text.split()))
        elif kind == "code":
            yield from ("", "```python", textwrap.dedent(text).strip("\n"), "```")
        elif named := _NAMED.findall(text):
            yield ""
            for names, said in named:
                left = [code(each) for each in names.split(", ") if each not in told]
                yield from [f"- {', '.join(left)}: {' '.join(said.split())}"] if left else []
        else:
            yield from ("", f"{kind}: {' '.join(text.split())}")


def _pieces(doc: str) -> list[tuple[str, str]]:
    """What a docstring consists of: each a `text`, some `code`, or a section by its name."""
    pieces: list[tuple[str, str]] = []
    ended = True
    for line in doc.splitlines():
        if not line.strip():
            ended = True
            continue
        kind = pieces[-1][0] if pieces else ""
        if found := _SECTION.match(line):
            pieces.append((found[1], found[2]))
        elif line.startswith("    ") and (kind == "code" or kind[:1].isupper()):
            pieces[-1] = (kind, f"{pieces[-1][1]}\n{line}")
        elif line.startswith("    ") and ended:
            pieces.append(("code", line))
        elif ended or kind in ("", "code"):
            pieces.append(("text", line))
        else:  # it goes on
            pieces[-1] = (kind, f"{pieces[-1][1]}\n{line}")
        ended = False
    return pieces


def first_paragraph(doc: str) -> str:
    """What a docstring says before its first empty line, on one line."""
    return " ".join(doc.partition("\n\n")[0].split())


def code(text: str) -> str:
    return f"`{cell(text)}`"


def cell(text: str) -> str:
    return text.replace("|", "\\|")

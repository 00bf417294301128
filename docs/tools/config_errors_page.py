"""Writes docs/config-errors.md: `python docs/tools/config_errors_page.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pointsman.config.explanations import FAMILIES, CodeMeaning, explanations

PAGE = Path(__file__).parents[1] / "config-errors.md"

HEAD = """\
# What does the code of a configuration's problem mean?

Every problem of a configuration ends with a code in brackets, which means the same in every version.
`pointsman config explain PM1101` prints what stands here. `pointsman config check` finds all problems
at once; with `--json` each has its `code`. [configuration.md](configuration.md) says how messages are read.
Codes that begin with `PM19` are warnings: the configuration holds.
"""


def page() -> str:
    """The page, made anew."""
    return "\n".join((HEAD, *_families()))


def _families() -> Iterator[str]:
    for family, about in FAMILIES.items():
        yield f"## {about}\n"
        for code, meaning in explanations().items():
            if code.startswith(family):
                yield from _entry(code, meaning)


def _entry(code: str, meaning: CodeMeaning) -> Iterator[str]:
    yield f"### {code}: {meaning.title}\n"
    yield f"{meaning.meaning} {meaning.remedy}\n"
    for title, example in (("Wrong", meaning.wrong), ("Right", meaning.right)):
        if example:
            # Not `yaml`: what pages hold in that is run, and these are checked by tests of their own.
            yield f"{title}:\n\n```yml\n{example}```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"wrote {PAGE}")

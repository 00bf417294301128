"""Every documented example runs as printed."""

from __future__ import annotations

import pytest
from pages import Block, blocks, blocks_of, example, pages, python_examples

TEXT = """# A page

Words.

```yaml
providers:
  gpu: {type: ollama}
```

## Below it

**`src/it.py`**, which does it:

```python
async def told() -> None: ...
```

- in a list:

  ```python
  # a comment, no heading
  print(await router.chat("assistant", "hello"))
  ```
"""


# ── how pages are taken apart ────────────────────────────────────────────────────────────────────────


def test_a_block_is_found_with_its_language_line_heading_and_the_file_it_stands_for() -> None:
    found = list(blocks_of("page.md", TEXT))

    assert [(each.language, each.line, each.heading, each.file) for each in found] == [
        ("yaml", 6, "A page", "pointsman.yaml"),
        ("python", 15, "Below it", "src/it.py"),
        ("python", 21, "Below it", ""),
    ]
    assert found[2].text.startswith("# a comment, no heading\nprint(")


def test_a_fragment_becomes_a_program_whose_lines_are_those_of_the_page() -> None:
    *_, fragment = blocks_of("page.md", TEXT)

    program = example(fragment)

    compile(program.source, "page", "exec")
    assert program.fragment
    at = next(n for n, line in enumerate(program.source.splitlines()) if "print(" in line)
    assert program.line + at == 22


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("router.listen(print)\n", True),
        ("await router.close()\n", True),
        ("def told(router: Router) -> None:\n    router.close()\n", False),
        ("with SyncRouter.from_config('p.yaml') as router:\n    router.chat('m', 'hi')\n", False),
    ],
)
def test_what_speaks_of_a_router_that_it_does_not_make_is_a_fragment(text: str, fragment: bool) -> None:
    assert example(Block("page.md", 1, "python", text, "", "")).fragment == fragment


def test_every_page_is_looked_at() -> None:
    assert {"README.md", "docs/calling.md", "docs/plugins/provider.md", "plugins/ollama/README.md"} <= set(
        pages()
    )
    assert {each.page for each in python_examples()} >= {
        "README.md",
        "docs/calling.md",
        "docs/plugins/provider.md",
    }
    assert len(blocks("yaml")) > 30

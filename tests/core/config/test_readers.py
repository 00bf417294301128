"""Files that cannot be read, and the places of what can: YAML, TOML and JSON alike."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.config.document import Document
from pointsman.config.readers.files import parse, read
from pointsman.errors import ConfigError


def complaints(text: str | bytes, suffix: str = ".yaml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, suffix=suffix, file=f"pointsman{suffix}")
    return [str(each) for each in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: [1, 2\nb: 3\n",
            ":2:2: is not YAML: expected ',' or ']', but got ':'; the bracket of line 1, column 4 is still open",
        ),
        (
            "a: b: c\n",
            ":1:5: is not YAML: a `:` where no key can stand; put what follows on a line of its own; "
            "a text with `: ` in it needs quotes",
        ),
        (
            "a:\n\tb: 1\n",
            ":2:1: is not YAML: found character '\\t' that cannot start any token; indent with spaces",
        ),
        ('a: "x\n', ":1:4: is not YAML: a quote that is never closed"),
        (
            "p: {key: ${KEY}, b: c}\n",
            ":1:11: is not YAML: expected ',' or '}', but got '{'; within brackets write it in quotes: \"${…}\"",
        ),
        (
            "p: [x${KEY}]\n",
            ":1:7: is not YAML: expected ',' or ']', but got '{'; within brackets write it in quotes: \"${…}\"",
        ),
        ("m: *\n", ':1:4: is not YAML: a text that begins with `*` needs quotes; write "*"'),
        ("m:\n  *:\n    a: b\n", ':2:3: is not YAML: a text that begins with `*` needs quotes; write "*"'),
        ("*-mini: {a: b}\n", ':1:1: is not YAML: a text that begins with `*` needs quotes; write "*-mini"'),
        ("m: [b, *]\n", ':1:8: is not YAML: a text that begins with `*` needs quotes; write "*"'),
        (
            "m: *-mini\n",
            ':1:4: m: the alias *-mini is not allowed; write "*-mini" for the text, else the value out',
        ),
        ("a: \x01\n", ":1:4: is not YAML: a character that may not stand in it"),
        (
            "? [a]\n: b\n",
            ":1:3: a key is not a plain word; quote it, or see whether a comma stands where a `:` should",
        ),
        ("a: 1\n---\nb: 2\n", ":2:1: holds a second document; one file is one configuration"),
        ("[" * 100, ":1:65: is nested more than 64 levels deep"),
        ("a: .nan\n", ":1:4: a: is not a finite number"),
        ('a: "\\ud800"\n', ":1:4: a: holds half of a character pair (a lone surrogate)"),
        (f"a: {'9' * 101}\n", ":1:4: a number of more than 100 digits"),
        (b"a: \xff\n", ":1:4: is not text in UTF-8; save it as UTF-8"),
    ],
)
def test_what_is_no_yaml_of_ours_is_refused_with_its_place(text: str | bytes, expected: str) -> None:
    assert complaints(text) == [f"pointsman.yaml{expected}"]


def test_anchors_aliases_tags_and_duplicate_keys_are_refused_all_at_once() -> None:
    text = "a: &x 1\nb: *x\nc: !!str 5\na: 2\n"

    assert complaints(text) == [
        "pointsman.yaml:1:4: a: the anchor &x is not allowed; write the value out",
        'pointsman.yaml:2:4: b: the alias *x is not allowed; write "*x" for the text, else the value out',
        "pointsman.yaml:3:4: c: a tag (!) is not allowed; quotes make a text",
        "pointsman.yaml:4:1: a: duplicate key 'a'; the first is on line 1",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"a": 1,}',
            ":1:9: is not JSON: expecting property name enclosed in double quotes; "
            "take the comma before it away",
        ),
        (
            '{"a": 1',
            ":1:8: is not JSON: expecting ',' delimiter; the file ends here, and something is still open",
        ),
        ('{\n\t"a": 1,\n\t"a": 2\n}', ":3:2: a: duplicate key 'a'; the first is on line 2"),
        ('{"a": NaN}', ":1:7: a: is not a finite number"),
        ("[" * 100 + "]" * 100, ":1:65: is nested more than 64 levels deep"),
        ("[" * 100_000, ": is nested more than 64 levels deep"),
    ],
)
def test_what_is_no_json_of_ours_is_refused_with_its_place(text: str, expected: str) -> None:
    assert complaints(text, ".json") == [f"pointsman.json{expected}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = \n", ":1:5: is not TOML: invalid value; a text stands in quotes"),
        ("a = [", ":1:6: is not TOML: invalid value; a text stands in quotes"),
        ("a = 1\na = 2\n", ":2:6: is not TOML: cannot overwrite a value"),
        ("a = 2024-01-01\n", ":1:5: a: a date or time is not expected; quotes make a text"),
        ("[x]\na = inf\n", ":2:5: x.a: is not a finite number"),
        (f"a = {'[' * 2000}", ": is nested more than 64 levels deep"),
    ],
)
def test_what_is_no_toml_of_ours_is_refused_with_its_place(text: str, expected: str) -> None:
    assert complaints(text, ".toml") == [f"pointsman.toml{expected}"]


@pytest.mark.parametrize("suffix", [".yaml", ".toml", ".json"])
def test_a_file_above_1_mib_is_refused_unread(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"large{suffix}"
    file.write_bytes(b"#" * (1024 * 1024 + 1))

    with pytest.raises(ConfigError) as caught:
        read(file)

    assert str(caught.value) == f"1 problem in {file}:\n  {file}: is larger than 1MiB [PM1003]"


def test_a_missing_file_and_an_unknown_suffix_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"absent\.yaml: cannot be read: No such file or directory \[PM1002\]$"
    ):
        read(tmp_path / "absent.yaml")
    with pytest.raises(
        ConfigError, match=r"config\.ini: is none of \.yaml, \.yml, \.toml and \.json \[PM1001\]$"
    ):
        read(tmp_path / "config.ini")


def test_scalars_are_those_of_yaml_1_2() -> None:
    text = dedent("""\
        no: no
        octal: 010
        hex: 0x1F
        grouped: 1_000
        float: 1e3
        date: 2024-01-01
        quoted: "7"
        empty:
        8080: key
        """)

    assert parse(text, suffix=".yaml").data == {
        "no": "no", "octal": 10, "hex": 31, "grouped": "1_000", "float": 1000.0, "date": "2024-01-01",
        "quoted": "7", "empty": None, "8080": "key",
    }  # fmt: skip


YAML = """\
providers:
  gpu1: {type: ollama}
models:
  a:
    deployments:
      - gpu1/x
      - {provider: gpu1,
         model: y}
"""
TOML = """\
# "quotes' and [brackets] in comments
[providers]
gpu1 = {type = "ollama"} # more

[models.a]
deployments = [
  "gpu1/x",  # ]
  {provider = "gpu1", model = "y"},
]
"""
JSON = """\
{"providers": {"gpu1": {"type": "ollama"}},
\t"models": {"a": {"deployments": [
\t\t"gpu1/x", {"provider": "gpu1", "model": "y"}]}}}
"""
SECOND = ("models", "a", "deployments", 1)


@pytest.mark.parametrize(
    ("text", "suffix", "type_at", "type_key_at", "model_at", "missing_at"),
    [
        (YAML, ".yaml", (2, 16), (2, 10), (8, 17), (7, 9)),
        (TOML, ".toml", (3, 16), (3, 9), (8, 31), (8, 3)),
        (JSON, ".json", (1, 33), (1, 25), (3, 43), (3, 13)),
    ],
)
def test_each_format_knows_where_keys_and_values_stand(
    text: str, suffix: str, type_at: Any, type_key_at: Any, model_at: Any, missing_at: Any
) -> None:
    document = parse(text, suffix=suffix)

    assert document.data == parse(YAML, suffix=".yaml").data
    assert document.locate(("providers", "gpu1", "type")) == type_at
    assert document.locate(("providers", "gpu1", "type"), key=True) == type_key_at
    assert document.locate((*SECOND, "model")) == model_at
    assert document.locate((*SECOND, "absent", 7)) == missing_at


def test_tables_of_toml_are_found_by_their_headers() -> None:
    text = dedent("""\
        b.c."d e" = '''
        a = 1'''
        [[g]]
        h = 1
        [[g]]
        h = \"\"\"x "y\"\"\"\"
        [g.i]
        j = 1979
        """)

    document = parse(text, suffix=".toml")

    assert document.data["g"][1] == {"h": 'x "y"', "i": {"j": 1979}}
    assert document.locate(("b", "c", "d e")) == (1, 13)
    assert document.locate(("g", 1)) == (5, 1)
    assert document.locate(("g", 1, "h")) == (6, 5)
    assert document.locate(("g", 1, "i", "j"), key=True) == (8, 1)


def test_a_byte_order_mark_and_windows_line_ends_do_not_move_the_places() -> None:
    for suffix, text in (
        (".yaml", "a: 1\r\nb: 2\r\n"),
        (".toml", "a = 1\r\nb = 2\r\n"),
        (".json", '{"a":1,\r\n"b":2}'),
    ):
        document = parse(b"\xef\xbb\xbf" + text.encode(), suffix=suffix)

        assert document.data == {"a": 1, "b": 2}
        assert document.locate(("b",), key=True) == (2, 1)


def test_nothing_is_located_in_a_mapping_made_in_python() -> None:
    document = Document({"a": 1})

    assert document.locate(("a",)) is None
    assert str(document.problem(("a", 0, "b.c"), "is wrong", "mend it")) == 'a[0]["b.c"]: is wrong; mend it'


_KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(_VALUES, st.sampled_from([None, 2, "\t"]))
def test_any_json_is_read_as_python_reads_it_and_every_path_has_a_place(data: Any, indent: Any) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    document = parse(text, suffix=".json")

    assert document.data == data
    for path, place in document.places.items():
        value = data
        for step in path:
            value = value[step]
        line, column = place.value
        rest = "\n".join(text.split("\n")[line - 1 :])[column - 1 :]
        assert json.JSONDecoder().raw_decode(rest)[0] == value


@given(st.text(max_size=60), st.sampled_from([".yaml", ".toml", ".json"]))
def test_any_text_is_a_document_or_a_config_error(text: str, suffix: str) -> None:
    try:
        parse(text, suffix=suffix)
    except ConfigError:
        return


def test_anchors_and_merge_keys_are_read_for_whoever_may_have_them() -> None:
    text = "a: &x {b: 1, c: &y [2, {d: 3}]}\ne: {<<: *x, b: 4}\nf: {<<: [{b: 5}, *x]}\ng: *y\n"

    document = parse(text, suffix=".yaml", file="other.yaml")

    assert document.data == {
        "a": {"b": 1, "c": [2, {"d": 3}]},
        "e": {"b": 4, "c": [2, {"d": 3}]},
        "f": {"b": 5, "c": [2, {"d": 3}]},
        "g": [2, {"d": 3}],
    }
    assert document.locate(("e", "b")) == (2, 16)
    assert document.locate(("e", "c", 1, "d")) == (2, 9)
    assert document.locate(("f", "c", 0)) == (3, 18)
    with pytest.raises(ConfigError) as refused:
        document.expect_ours()
    assert [str(each).partition(" is not")[0] for each in refused.value.problems] == [
        "other.yaml:1:4: a: the anchor &x",
        "other.yaml:1:17: a.c: the anchor &y",
        "other.yaml:2:5: e: the merge key <<",
        "other.yaml:3:5: f: the merge key <<",
        "other.yaml:4:4: g: the alias *y",
    ]


def test_aliases_that_stand_for_each_other_stand_for_no_more_than_can_be_held() -> None:
    text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))

    assert any(each.endswith(": has aliases for more than 10000 values") for each in complaints(text))


def test_an_alias_within_what_it_names_is_refused() -> None:
    assert complaints("a: &x [*x]\n")[1].startswith("pointsman.yaml:1:8: a[0]: the alias *x is not allowed")

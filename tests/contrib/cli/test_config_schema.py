"""The schema for editors and the table for readers hold every key, and the page holds the table."""

from __future__ import annotations

from pathlib import Path

from pointsman_cli.config_schema import config_schema, config_table, markdown_table, with_table

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_every_key_has_a_description_and_every_quantity_its_unit() -> None:
    rows = config_table()

    assert [row.key for row in rows if not row.description] == []
    assert [row.key for row in rows if row.type in ("duration", "percentage") and not row.unit] == []
    assert len({row.key for row in rows}) == len(rows)


def test_the_schema_is_closed_and_takes_short_forms_and_references() -> None:
    schema, _wrong = config_schema()

    assert schema["additionalProperties"] is False
    assert schema["required"] == ["providers"]
    deployment = schema["$defs"]["DeploymentConfig"]
    assert {each["type"] for each in deployment["anyOf"] if "type" in each} == {"object"}
    assert any(
        inner.get("pattern") == "^[^/]+/.+$"
        for each in deployment["anyOf"]
        for inner in each.get("anyOf", ())
    )
    weight = deployment["anyOf"][1]["properties"]["weight"]
    assert weight["anyOf"] == [
        {"type": "integer", "minimum": 1, "maximum": 10**9},
        {"type": "string", "pattern": r"\$\{.*\}"},
    ]


def test_an_editor_is_told_which_presets_there_are() -> None:
    preset = config_schema()[0]["$defs"]["ProviderConfig"]["properties"]["preset"]

    assert {"azure", "openrouter", "vllm"} <= set(preset["examples"])


def test_the_page_holds_the_table_of_all_settings() -> None:
    page = PAGE.read_text("utf-8")

    assert page == with_table(page), (
        'docs/configuration.md is out of date. Refresh it with: python -c "from pathlib import Path; '
        "from pointsman_cli.config_schema import with_table; p = Path('docs/configuration.md'); "
        "p.write_text(with_table(p.read_text('utf-8')), 'utf-8')\""
    )
    assert markdown_table() in page

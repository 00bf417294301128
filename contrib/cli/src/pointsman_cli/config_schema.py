"""What can stand in a configuration: a JSON Schema for editors, a table of all keys for readers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from typing import Any

from msgspec import Struct

from pointsman.build.loading import provider_of
from pointsman.build.presets import preset_names
from pointsman.builtin.plugin import plugin
from pointsman.config.document import ConfigSource
from pointsman.config.model import Config
from pointsman.config.plugin_rules import rules_said
from pointsman.config.readers.files import read
from pointsman.errors import ConfigError, PluginError
from pointsman.plugins.registry import Plugins
from pointsman.units import format_duration, format_percent
from pointsman_cli.plugin_schemas import REFERENCE, with_plugins

BEGIN = "<!-- settings: begin -->"
END = "<!-- settings: end -->"


class Row(Struct, frozen=True):
    """One key.

    Attributes:
        key: as in `models.<name>.deployments[].weight`.
        type: in the words of a reader, such as `duration` or `list of text`.
        default: as it would be written, "required" or "".
        unit: such as `seconds`, "" for what has none.
    """

    key: str
    type: str
    default: str
    unit: str
    description: str


def config_schema(plugins: Plugins | None = None) -> tuple[dict[str, Any], list[str]]:
    """The JSON Schema (draft 2020-12) of a configuration, as an editor takes it.

    A `${…}` may stand for every value. What plugins add is in it, too; they are imported for that.

    Args:
        plugins: None: all that are installed.

    Returns: the schema, and a sentence for each plugin that is left out because it cannot be used.
    """
    schema, plugins = _schema(), plugins or Plugins(read_data=provider_of)
    with redirect_stdout(sys.stderr):  # a plugin may print when it is imported, and the schema goes to stdout
        schema["$defs"]["ProviderConfig"]["properties"]["preset"]["examples"] = _presets(plugins)
        others = dict.fromkeys(plugins.names("section"), _Schema())
        schema["properties"] = {**others, **schema["properties"]}
        wrong = with_plugins(schema, plugins)
    complete = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_with_references(schema),
        "title": "pointsman configuration",
    }
    return complete, wrong


def plugins_let_in(source: ConfigSource | None) -> Plugins:
    """What is installed and let in by the configuration in `source`: by one that cannot be read, ours."""
    try:
        data = None if source is None else read(source).data
    except ConfigError:
        data = {"plugins": {"allow": []}}
    return Plugins(rules=rules_said(data), read_data=provider_of)


def config_table() -> list[Row]:
    """Every key of a configuration, in the order of the models; a section stands before its keys."""
    schema = _schema()
    return list(_rows(schema, "", schema["$defs"]))


def markdown_table() -> str:
    """The table of all keys between its markers, as `docs/configuration.md` holds it."""
    lines = ["| key | type | default | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for row in config_table():
        default = f"`{row.default}`" if row.default not in ("", "required") else row.default
        cells = (f"`{row.key}`", row.type, default, row.unit, row.description)
        lines.append(f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |")
    return "\n".join([BEGIN, *lines, END])


def with_table(page: str) -> str:
    """`page` with the table between the markers made anew. Raises ValueError when it has no markers."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the markers {BEGIN} and {END}")
    return before + markdown_table() + after


def _presets(plugins: Plugins) -> list[str]:
    """Those of the provider types that are there."""
    found = set[str]()
    for name in plugins.names("provider"):
        with suppress(PluginError):  # an editor need not hear of it
            found.update(preset_names(plugins.provider(name)))
    return sorted(found)


_Schema = dict[str, Any]


def _schema() -> _Schema:
    """That of what the core itself reads, the sections that are built in included."""
    schema = Config.model_json_schema()
    for section in plugin.pointsman_sections():
        own = section.settings.model_json_schema()
        said = own.pop("description", "").removesuffix(".")
        described = said[:1].lower() + said[1:]  # its docstring, as the other keys say it
        schema["$defs"].update(own.pop("$defs", {}))
        optional = {"anyOf": [own, {"type": "null"}], "default": None, "description": described}
        schema["properties"][section.name] = optional
    schema["additionalProperties"] = False  # to the model they are sections, whoever reads them
    return schema


def _with_references(schema: Any) -> Any:
    """`schema` where a text with `${…}` will also do for whatever is not any text."""
    if isinstance(schema, list):
        return [_with_references(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: value if key == "if" else _with_references(value) for key, value in schema.items()}
    if schema == REFERENCE or not _is_narrow(schema):
        return inner
    described = {key: inner.pop(key) for key in ("title", "description", "default") if key in inner}
    return {**described, "anyOf": [inner, REFERENCE]}


def _is_narrow(schema: _Schema) -> bool:
    """Whether a text with a `${…}` would not do by itself."""
    if schema.get("type") in ("integer", "number", "boolean"):
        return True
    return any(isinstance(schema.get(key), str | list) for key in ("pattern", "enum")) or "const" in schema


def _rows(section: _Schema, prefix: str, definitions: dict[str, _Schema]) -> Iterator[Row]:
    required = section.get("required", ())
    for name, property_ in section["properties"].items():
        key = f"{prefix}{name}"
        schema = _resolved(property_, definitions)
        yield Row(
            key,
            _type(schema, definitions),
            "required" if name in required else _default(schema),
            _unit(schema),
            schema.get("description", ""),
        )
        inner, below = _inside(schema, key, definitions) if "as_general" not in schema else (None, "")
        if inner is not None:
            yield from _rows(inner, below, definitions)


def _inside(schema: _Schema, key: str, definitions: dict[str, _Schema]) -> tuple[_Schema | None, str]:
    """The section whose keys stand below `key`, and how their own keys begin."""
    for each in _choices(schema, definitions):
        if each.get("type") == "array":
            return _inside(each["items"], f"{key}[]", definitions)
        if "properties" in each and each.get("title") != "Named":
            return each, f"{key}."
        if isinstance(each.get("additionalProperties"), dict):
            return _inside(each["additionalProperties"], f"{key}.<name>", definitions)
    return None, ""


def _resolved(schema: _Schema, definitions: dict[str, _Schema]) -> _Schema:
    """`schema` with its `$ref` followed; what stands beside the reference goes first, but for its title."""
    if "$ref" not in schema:
        return schema
    target = definitions[schema["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in schema.items() if key not in ("$ref", "title")}}


def _choices(schema: _Schema, definitions: dict[str, _Schema]) -> list[_Schema]:
    schema = _resolved(schema, definitions)
    if "anyOf" not in schema or schema.get("unit") in _UNIT_TYPES:
        return [schema]
    title = {"title": schema["title"]} if schema.get("title") == "Named" else {}
    found = [found for each in schema["anyOf"] for found in _choices(each, definitions)]
    return [{**each, **title} for each in found if each.get("type") != "null"]


_UNIT_TYPES = {"seconds": "duration", "fraction": "percentage"}
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def _type(schema: _Schema, definitions: dict[str, _Schema]) -> str:
    names: list[str] = []
    for each in _choices(schema, definitions):
        name = _type_of_one(each, definitions)
        if name not in names:
            names.append(name)
    return " or ".join(names)


def _type_of_one(schema: _Schema, definitions: dict[str, _Schema]) -> str:
    if schema.get("unit") in _UNIT_TYPES:
        return _UNIT_TYPES[schema["unit"]]
    kind = schema.get("type")
    if "const" in schema:
        return f"`{str(schema['const']).lower()}`"
    if kind == "array":
        return f"list of {_type(schema['items'], definitions)}"
    if kind == "object" and schema.get("title") == "Named":
        return "mapping with `type`"
    if kind == "object":
        return "mapping"
    if schema.get("format") == "password":
        return "secret text"
    return "path" if schema.get("format") == "path" else _TYPES.get(str(kind), "any")


def _unit(schema: _Schema) -> str:
    """The unit of `schema`, or of what it is when it is not null."""
    for each in (schema, *schema.get("anyOf", ())):
        if "unit" in each:
            return str(each["unit"])
    return ""


def _default(schema: _Schema) -> str:
    default, unit = schema.get("default"), _unit(schema)
    if default is None or isinstance(default, list):
        return ""
    if isinstance(default, dict):
        return str(default.get("type", ""))
    if isinstance(default, bool):
        return str(default).lower()
    if unit == "seconds":
        return format_duration(default)
    return format_percent(default) if unit == "fraction" else str(default)

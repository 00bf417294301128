"""What the settings of installed plugins add to the JSON Schema of a configuration.

Beside `type: jsonl` an editor then knows the keys of `jsonl`, and a key that it does not know is wrong.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import PydanticJsonSchemaWarning

from pointsman._internal.plugin_errors import OWN
from pointsman.config.plugin_settings import KINDS_AT
from pointsman.plugins.registry import Plugins

Schema = dict[str, Any]

REFERENCE: Schema = {"type": "string", "pattern": r"\$\{.*\}"}
"""What may stand in place of any value."""

_BASES = ("Named", "GuardConfig", "StateConfig", "CredentialConfig")
"""The definitions of what a plugin offers by name."""


def with_plugins(schema: Schema, plugins: Plugins) -> list[str]:
    """Put the settings of all that `plugins` offer into `schema`, which imports them.

    Returns: a sentence for each that cannot be used, which is left out.
    """
    known = _Known(plugins, schema["$defs"])
    schema["$defs"]["ProviderConfig"] = known.by_type("provider", schema["$defs"]["ProviderConfig"])
    for holder in list(_holders(schema)):
        for key, kind in KINDS_AT.items():
            if key in holder["properties"]:
                holder["properties"][key] = known.of_kind(kind, holder["properties"][key])
    for name in plugins.names("section"):
        given = schema["properties"].get(name, {})
        own = known.settings("section", name)
        if own is not None:
            described = {key: each for key, each in given.items() if key in ("description", "default")}
            schema["properties"][name] = {**described, "anyOf": [own, {"type": "null"}]}
    return known.wrong


class _Known:
    """What the plugins say of their settings; each is asked once.

    Attributes:
        wrong: a sentence for each that cannot say it.
    """

    def __init__(self, plugins: Plugins, definitions: dict[str, Schema]) -> None:
        self._plugins = plugins
        self._definitions = definitions
        self._bases = {name: deepcopy(definitions[name]) for name in _BASES}
        self._asked: dict[tuple[str, str], Schema | None] = {}
        self.wrong: list[str] = []

    def of_kind(self, kind: str, schema: Schema) -> Schema:
        """`schema`, in which something is named that is of that kind."""
        text = json.dumps(schema)
        for base in _BASES:
            name = f"{base}.{kind}"
            if f'"#/$defs/{base}"' in text:
                self._definitions.setdefault(name, self._one_of(kind, base))
                text = text.replace(f'"#/$defs/{base}"', f'"#/$defs/{name}"')
        replaced: Schema = json.loads(text)
        return replaced

    def _one_of(self, kind: str, base: str) -> Schema:
        """The definition `base` of what is of that kind."""
        short, mapping = self._bases[base]["anyOf"]
        short = short if kind == "state" else self._names(kind)  # an address will do as well
        return {**self._bases[base], "anyOf": [short, self.by_type(kind, mapping)]}

    def by_type(self, kind: str, mapping: Schema) -> Schema:
        """A mapping whose `type` says which further keys there are."""
        made = deepcopy(mapping)
        made["properties"]["type"] = {**made["properties"]["type"], **self._names(kind)}
        common = dict.fromkeys(mapping["properties"], True)
        rules = [
            {
                "if": {"type": "object", "properties": {"type": {"const": name}}, "required": ["type"]},
                "then": {**own, "properties": {**common, **own.get("properties", {})}},
            }
            for name in self._plugins.names(kind)
            if (own := self.settings(kind, name)) is not None
        ]
        return {**made, "allOf": rules}

    def _names(self, kind: str) -> Schema:
        return {"type": "string", "enum": self._plugins.names(kind)}

    def settings(self, kind: str, name: str) -> Schema | None:
        """What may stand beside the `type` of that name; None where nobody can say it."""
        if (kind, name) not in self._asked:
            self._asked[kind, name] = self._ask(kind, name)
        return self._asked[kind, name]

    def _ask(self, kind: str, name: str) -> Schema | None:
        try:
            own = _schema_of(self._plugins.get(kind, name).settings)
        except OWN as error:  # somebody else's code: anything can happen
            self.wrong.append(f"{kind} {name!r} is left out: {error}")
            return None
        prefix = f"{kind}.{name}."
        for inner, each in own.pop("$defs", {}).items():
            self._definitions[f"{prefix}{inner}"] = _renamed(each, prefix)
        own.pop("title", None)
        own.pop("description", None)
        return _renamed(own, prefix)


def _schema_of(model: Any) -> Schema:
    """What the settings of a plugin may be; nothing may stand there where it has none."""
    if model is None or model is BaseModel:
        return {"additionalProperties": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)  # a default that JSON does not have
        made: Schema = model.model_json_schema()
    return made


def _renamed(schema: Schema, prefix: str) -> Schema:
    """`schema` whose definitions have that before their names."""
    renamed: Schema = json.loads(json.dumps(schema).replace('"#/$defs/', f'"#/$defs/{prefix}'))
    return renamed


def _holders(schema: Schema) -> Iterator[Schema]:
    """The mappings of the core that name plugins, wherever they are defined."""
    yield schema
    for name, each in schema["$defs"].items():
        if "." not in name and name not in _BASES:
            yield from _mappings(each)


def _mappings(schema: Mapping[str, Any]) -> Sequence[Schema]:
    inside = [each for each in schema.get("anyOf", ()) if "properties" in each]
    return [*inside, schema] if "properties" in schema else inside  # type: ignore[list-item]

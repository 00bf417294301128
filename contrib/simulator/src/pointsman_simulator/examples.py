"""A value that a JSON schema allows, by chance."""

from collections.abc import Mapping
from random import Random
from typing import Any

_WORDS = "amber birch cedar delta ember fjord grove haven inlet jetty".split()  # noqa: SIM905 - a row of words
_DEEPEST = 12

_TEXTS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "email": "ada@example.com",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "uri": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
}


def example(schema: Mapping[str, Any], rng: Random) -> Any:
    """A value of `schema`: every property is there, the shortest list that is allowed, texts of one word.

    Reads `$ref` into the same schema, `const`, `enum`, `anyOf`, `oneOf`, `allOf`, `type`, `properties`,
    `items`, `prefixItems` and the bounds of numbers, lists and texts; not patterns. What refers to itself
    ends after 12 levels, with the last alternative, an empty list or an empty object.
    """
    return _Maker(schema, rng).value(schema, 0)


class _Maker:
    def __init__(self, root: Mapping[str, Any], rng: Random) -> None:
        self._root = root
        self._rng = rng

    def value(self, schema: Any, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._rng.choice(list(schema["enum"]))
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                # The last one is usually null: where it is deep already, that is the way out.
                choices = schema[name]
                return self.value(choices[-1 if depth >= _DEEPEST else 0], depth)
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = kind[-1 if depth >= _DEEPEST else 0]
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
        return self._text(schema)

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """`schema` with the one that it refers to, and with those that must all hold, in it."""
        seen = 0
        while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str) and seen < _DEEPEST:
            seen += 1
            target: Any = self._root
            for part in schema["$ref"].removeprefix("#").strip("/").split("/"):
                target = target.get(part.replace("~1", "/").replace("~0", "~"), {}) if part else target
            schema = target
        if not isinstance(schema, Mapping):
            return {}
        merged = dict(schema)
        for each in merged.pop("allOf", None) or ():
            part = self._resolved(each)
            both = {**merged.get("properties", {}), **part.get("properties", {})}
            merged = {**merged, **part, **({"properties": both} if both else {})}
        return merged

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        if depth >= _DEEPEST:
            properties = {
                name: each for name, each in properties.items() if name in schema.get("required", ())
            }
        if depth >= 2 * _DEEPEST:
            return {}
        return {name: self.value(each, depth + 1) for name, each in properties.items()}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        least = 0 if depth >= _DEEPEST else 1
        count = min(max(schema.get("minItems", least), least), schema.get("maxItems", 1 << 10))
        first = [self.value(each, depth + 1) for each in schema.get("prefixItems") or ()]
        items = schema.get("items") or {}
        if items is True or not isinstance(items, Mapping):
            items = {}
        return first + [self.value(items, depth + 1) for _ in range(count - len(first))]

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        step = 1 if whole else 0.1
        low, high = _bound(schema, "inimum", step), _bound(schema, "aximum", -step)
        if low is None:
            low = 1 if high is None else min(1, high)
        if high is None:
            high = low + 8
        multiple = schema.get("multipleOf")
        if multiple:
            least = multiple * -(-low // multiple)
            return int(least) if whole else float(least)
        return self._rng.randint(int(low), int(high)) if whole else round(self._rng.uniform(low, high), 1)

    def _text(self, schema: Mapping[str, Any]) -> str:
        text = _TEXTS.get(schema.get("format", "")) or self._rng.choice(_WORDS)
        least, most = (
            schema.get("minLength", 0),
            schema.get("maxLength", len(text) + schema.get("minLength", 0)),
        )
        return text.ljust(least, "x")[:most]


def _bound(schema: Mapping[str, Any], name: str, step: float) -> float | None:
    """The bound that numbers may reach: `minimum` itself, or one step beside `exclusiveMinimum`."""
    if f"m{name}" in schema:
        return float(schema[f"m{name}"])
    beside = schema.get(f"exclusiveM{name}")
    return None if beside is None else float(beside) + step

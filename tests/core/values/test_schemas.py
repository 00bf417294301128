"""JSON Schemas as upstreams take them: no references that need not be, and closed where a strict mode wants it."""

from __future__ import annotations

from pointsman.values.schemas import closed, open_places, plain

POINT = {"type": "object", "title": "Point", "properties": {"x": {"type": "integer", "title": "X"}}}


def test_what_is_referred_to_stands_in_its_place_with_what_was_said_beside_it() -> None:
    schema = {
        "type": "object",
        "properties": {"at": {"$ref": "#/$defs/Point", "description": "where"}},
        "$defs": {"Point": POINT},
    }

    assert plain(schema) == {
        "type": "object",
        "properties": {
            "at": {"type": "object", "properties": {"x": {"type": "integer"}}, "description": "where"}
        },
    }


def test_what_contains_itself_stays_a_reference_also_by_way_of_another() -> None:
    schema = {
        "$ref": "#/$defs/A",
        "$defs": {
            "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B", "description": "next"}}},
            "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}, "p": {"$ref": "#/$defs/P"}}},
            "P": POINT,
        },
    }

    made = plain(schema)

    assert made["type"] == "object"
    assert made["properties"] == {"b": {"$ref": "#/$defs/B"}}
    assert set(made["$defs"]) == {"A", "B"}
    assert made["$defs"]["B"]["properties"]["a"] == {"$ref": "#/$defs/A"}
    assert made["$defs"]["B"]["properties"]["p"] == {
        "type": "object",
        "properties": {"x": {"type": "integer"}},
    }


def test_a_property_may_be_called_as_a_word_of_the_schema() -> None:
    names = ("title", "default", "format", "const", "$ref", "properties")
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}

    assert plain(schema) == schema
    assert list(closed(schema)["properties"]) == list(names)


def test_a_closed_schema_demands_every_member_and_allows_no_other() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "default": 3},
            "b": {"type": "array", "items": {"type": "object", "properties": {}}},
        },
        "required": ["b"],
    }

    assert closed(schema) == {
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {
                "type": "array",
                "items": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
            },
        },
        "required": ["a", "b"],
        "additionalProperties": False,
    }


def test_bounds_that_not_all_know_are_told_in_words() -> None:
    assert closed({"type": "integer", "minimum": 0, "description": "age"}) == {
        "type": "integer",
        "description": "age (minimum: 0)",
    }
    assert closed({"type": "string", "maxLength": 3, "pattern": "a+"}) == {
        "type": "string",
        "description": "maxLength: 3, pattern: a+",
    }
    assert closed({"type": "string", "format": "date"}) == {"type": "string", "format": "date"}
    assert closed({"type": "string", "format": "binary"}) == {
        "type": "string",
        "description": "format: binary",
    }


def test_what_no_strict_mode_can_say_is_named_with_its_place() -> None:
    assert open_places({"type": "object", "properties": {"a": {"type": "integer"}}}) == []
    assert open_places(
        {
            "type": "object",
            "properties": {
                "tags": {"type": "object", "additionalProperties": {"type": "string"}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"any": {}}}},
                "pair": {"type": "array", "prefixItems": [{"type": "integer"}]},
            },
        }
    ) == ["tags takes members of any name", "list.any may be anything", "pair is a tuple"]

"""A pydantic model of a section, which describes and dumps one and validates none. Few programs need it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model


def as_model(section: Any) -> BaseModel:
    """`section` as an object of the model of its class, with what it hides hidden."""
    values = {name: each for name, each in section} | section.hidden()  # noqa: C416 - one may be called `keys`
    return model_of(type(section)).model_construct(set(section.model_fields_set), **values)


def core_schema_of(kind: Any) -> Any:
    """What the model of that class of sections is to pydantic, under no name of its own."""
    schema: Any = TypeAdapter(model_of(kind)).core_schema
    if schema["type"] == "definitions":
        return {**schema, "schema": _unnamed(schema["schema"])}
    return _unnamed(schema)


def _unnamed(schema: Any) -> Any:
    return {key: each for key, each in schema.items() if key != "ref"}


def model_of(kind: Any) -> type[BaseModel]:
    """The model of a class of sections; made once."""
    model: type[BaseModel] | None = vars(kind).get("_model")
    if model is None:
        fields: dict[str, Any] = {
            name: (kind.annotation(name), _field(each)) for name, each in kind.model_fields.items()
        }
        model = create_model(
            kind.__name__,
            __config__=ConfigDict(extra="allow" if kind.takes_more else "forbid"),
            __doc__=kind.__doc__,
            __module__=kind.__module__,
            **fields,
        )
        kind._model = model
    return model


def _field(about: Any) -> Any:
    if about.must_be_said:
        return Field(**about.about)
    if about.default_factory is not None:
        return Field(default_factory=about.default_factory, **about.about)
    return Field(default=about.default, **about.about)

"""What settings are made of: a section of the configuration is what the thing it configures goes by.

Sections are read by pydantic, and are no pydantic models: those of a configuration took 100 M of the 300 M
instructions of a start, most of them for keys that hardly anybody writes. Here a key that nobody writes costs
nothing: its annotation stays text, and what validates it is made with the first value that stands there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, NoReturn, Self, dataclass_transform, get_type_hints

from msgspec import Struct
from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
)
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from pointsman._internal.scrubber import MASK


def _no_truth_value(value: object) -> object:
    """`true` is a number to Python, and surely a mistake in a configuration."""
    if isinstance(value, bool):
        raise ValueError("expected a whole number, not true or false")
    return value


def _no_number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, not true or false")
    return value


Count = Annotated[int, Field(le=1_000_000_000), BeforeValidator(_no_truth_value)]
Number = Annotated[float, Field(allow_inf_nan=False, le=1e9), BeforeValidator(_no_number)]


class Unpickled:
    """What may hold secrets, which a pickle would write out."""

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a configuration holds secrets and is not pickled; hand on where it came from")


class Order(Struct, frozen=True):
    """`most` must not be below `least`, both names of settings; `because` says why where it is not plain."""

    least: str
    most: str
    because: str = ""


_MISSING: Any = object()


class Declared(Struct, frozen=True):
    """What a section says of one key, as it hands it to `setting`."""

    default: Any
    default_factory: Callable[[], Any] | None
    default_from: Callable[[Mapping[str, Any]], Any] | None
    about: dict[str, Any]

    @property
    def must_be_said(self) -> bool:
        return self.default is _MISSING and self.default_factory is None

    def unsaid(self, others: Mapping[str, Any]) -> Any:
        """What holds when nobody says it; `others` is what holds of the keys before it."""
        if self.default_from is not None:
            return self.default_from(others)
        return self.default if self.default_factory is None else self.default_factory()


def setting(
    *,
    default: Any = _MISSING,
    default_factory: Callable[[], Any] | None = None,
    default_from: Callable[[Mapping[str, Any]], Any] | None = None,
    **about: Any,
) -> Any:
    """One key of a section: its default, and else what pydantic's `Field` takes, such as `description`.

    Args:
        default_from: makes the default of what the keys before it hold; `default` is then what it comes to
            without any.
    """
    return Declared(default, default_factory, default_from, about)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(setting,))
class Section(Unpickled):
    """A mapping whose keys are all known. It is made, shown and dumped as a pydantic model is.

    The annotations of a subclass must be put off, and name what its module has.

    Attributes:
        model_fields: what it says of its keys.
        takes_more: keys that it does not know are kept in `more`, in place of being refused.
        checks: by key, what else has to be right, of its value and of the values of the keys before it.
        orders: what must hold between its settings. It is not checked when one is made: a section that
            stands in place of another says only some of the keys, and what holds are both together.
        model_fields_set: the keys that were said.
        more: what it does not know, as it was written.
    """

    __slots__ = ("model_fields_set", "more")

    model_fields: ClassVar[Mapping[str, Declared]] = {}
    takes_more: ClassVar[bool] = False
    checks: ClassVar[Mapping[str, Callable[[Any, Mapping[str, Any]], Any]]] = {}
    orders: ClassVar[tuple[Order, ...]] = ()
    model_fields_set: frozenset[str]
    more: Mapping[str, Any]

    def __init_subclass__(cls) -> None:
        own = {name: each for name, each in vars(cls).items() if isinstance(each, Declared)}
        for name in own:
            delattr(cls, name)
        cls.model_fields = {**cls.model_fields, **own}

    def __init__(self, **said: Any) -> None:
        """Raises ValidationError."""
        self._take(self.model_validate(said))

    @classmethod
    def model_validate(cls, value: object, *, context: object = None) -> Self:
        """What `value`, a mapping, says. Raises ValidationError."""
        if isinstance(value, cls):
            return value
        validator = vars(cls).get("_validator")
        if validator is None:
            config = core_schema.CoreConfig(title=cls.__name__, hide_input_in_errors=True)
            validator = SchemaValidator(_schema_of(cls), config)
            setattr(cls, "_validator", validator)  # noqa: B010 - not of the class that it inherits from
        made: Self = validator.validate_python(value, context=context)
        return made

    @classmethod
    def model_construct(cls, **said: Any) -> Self:
        """What `said` and the defaults hold, none of which is validated."""
        values: dict[str, Any] = {}
        for name, each in cls.model_fields.items():
            values[name] = said[name] if name in said else each.unsaid(values)
        return cls._of(values, None, said)

    @classmethod
    def _of(cls, values: Mapping[str, Any], more: Mapping[str, Any] | None, said: object) -> Self:
        made = cls.__new__(cls)
        vars(made).update(values)
        object.__setattr__(made, "more", more or {})
        object.__setattr__(made, "model_fields_set", frozenset(said))  # type: ignore[call-overload]
        return made

    def _take(self, other: Self) -> None:
        vars(self).update(vars(other))
        object.__setattr__(self, "more", other.more)
        object.__setattr__(self, "model_fields_set", other.model_fields_set)

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """One with other values, which are not validated."""
        known = {name: each for name, each in update.items() if name in self.model_fields}
        more = {name: each for name, each in update.items() if name not in self.model_fields}
        # Not `vars`, for a subclass may keep there what follows from the values.
        return self._of({**dict(self), **known}, {**self.more, **more}, {*self.model_fields_set, *update})

    @classmethod
    def from_other(cls, value: Any) -> Any:
        """The mapping that `value`, which need not be one, is short for. Raises ValueError."""
        return value

    def check(self, context: Any) -> None:
        """Raises ValueError for what is wrong between its values."""

    def in_order(self) -> Self:
        """These settings. Raises ValueError naming two of them that contradict each other."""
        for order in self.orders:
            least, most = getattr(self, order.least), getattr(self, order.most)
            if least > most:
                raise ValueError(
                    f"{order.least} ({least}) must not exceed {order.most} ({most}){order.because}"
                )
        return self

    # ── as a pydantic model ──────────────────────────────────────────────────────────────────────────

    def __setattr__(self, name: str, value: object) -> None:
        if name in self.model_fields:
            raise AttributeError(f"a {type(self).__name__} is not changed; make another one")
        super().__setattr__(name, value)

    def __deepcopy__(self, _memo: object) -> Self:
        return self  # pydantic copies defaults, and this one nobody changes

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Each key with its value."""
        return ((name, getattr(self, name)) for name in self.model_fields)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.more == other.more and all(each == getattr(other, name) for name, each in self)

    def __hash__(self) -> int:
        return hash((type(self), *(each for _name, each in self)))

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in (*self, *self.hidden().items()))
        return f"{type(self).__name__}({', '.join(shown)})"

    def hidden(self) -> dict[str, str]:
        """The keys of `more`, whose values may be secret: nothing shows or dumps them."""
        return dict.fromkeys(self.more, MASK)

    def model_dump(self, **how: Any) -> dict[str, Any]:
        """As pydantic dumps a model, and takes the same arguments."""
        from pointsman._internal.section_model import as_model

        return as_model(self).model_dump(**how)

    def model_dump_json(self, **how: Any) -> str:
        from pointsman._internal.section_model import as_model

        return as_model(self).model_dump_json(**how)

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        from pointsman._internal.section_model import model_of

        return model_of(cls).model_json_schema()

    @classmethod
    def annotation(cls, name: str) -> Any:
        """What may stand at a key, as pydantic understands it."""
        home = next(each for each in cls.__mro__ if name in vars(each).get("__annotations__", ()))
        # Of this key alone: to evaluate them all would be most of the work that is put off.
        one = SimpleNamespace(__annotations__={name: home.__annotations__[name]})
        names = vars(sys.modules[home.__module__])
        return get_type_hints(one, globalns=names, include_extras=True)[name]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: object, info: ValidationInfo) -> Section:
            return cls.model_validate(value, context=info.context)  # its errors get the place of this one

        return core_schema.with_info_plain_validator_function(
            validate,
            # Its JSON Schema is described once, under this name, however often it stands.
            ref=f"{cls.__module__}.{cls.__qualname__}",
            serialization=core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        from pointsman._internal.section_model import core_schema_of

        return handler(core_schema_of(cls))


def _dumped(section: Section, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return section.model_dump(
        mode=info.mode,
        exclude_none=info.exclude_none,
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
    )


def _schema_of(section: type[Section]) -> CoreSchema:
    def made(parts: Any, info: ValidationInfo) -> Section:
        made = section._of(*parts)
        made.check(info.context)
        return made

    fields = {
        name: core_schema.model_field(_key_schema(section, name, each))
        for name, each in section.model_fields.items()
    }
    extra: Any = "allow" if section.takes_more else "forbid"
    mapping = core_schema.model_fields_schema(fields, model_name=section.__name__, extra_behavior=extra)
    whole = core_schema.with_info_after_validator_function(made, mapping)
    return core_schema.no_info_before_validator_function(section.from_other, whole)


def _key_schema(section: type[Section], name: str, about: Declared) -> CoreSchema:
    schema = core_schema.with_info_plain_validator_function(_Key(section, name))
    if about.must_be_said:
        return schema
    if about.default_from is not None:
        return core_schema.with_default_schema(
            schema, default_factory=about.default_from, default_factory_takes_data=True
        )
    if about.default_factory is not None:
        return core_schema.with_default_schema(schema, default_factory=about.default_factory)
    return core_schema.with_default_schema(schema, default=about.default)


class _Key:
    """Validates what stands at one key."""

    def __init__(self, section: type[Section], name: str) -> None:
        self._section = section
        self._name = name
        self._check = section.checks.get(name)
        self._validator: Any = None

    def __call__(self, value: object, info: ValidationInfo) -> Any:
        if self._validator is None:
            about = self._section.model_fields[self._name].about
            kind: Any = Annotated[self._section.annotation(self._name), Field(**about)]
            self._validator = TypeAdapter(kind).validator
        made = self._validator.validate_python(value, context=info.context)
        return made if self._check is None else self._check(made, info.data)

"""What settings are made of: a section of the configuration is what the thing it configures goes by."""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
from typing import Annotated, Any, ClassVar, NoReturn, Self, TypeVar

from msgspec import Struct
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationInfo,
)
from pydantic_core import CoreSchema, core_schema


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


# In place of `dict` and `list`: pydantic asks every factory for its signature, and that of a built-in class
# is parsed from text, which was a quarter of the time in which the schema of `Config` is built.
def no_entries() -> dict[str, Any]:
    return {}


def no_items() -> list[Any]:
    return []


class Unpickled:
    """What may hold secrets, which a pickle would write out."""

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a configuration holds secrets and is not pickled; hand on where it came from")


class Order(Struct, frozen=True):
    """`most` must not be below `least`, both names of settings; `because` says why where it is not plain."""

    least: str
    most: str
    because: str = ""


class Section(Unpickled, BaseModel):
    """A mapping whose keys are all known.

    Attributes:
        orders: what must hold between its settings. It is not checked when one is made: a section that
            stands in place of another says only some of the keys, and what holds are both together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)
    orders: ClassVar[tuple[Order, ...]] = ()

    def in_order(self) -> Self:
        """These settings. Raises ValueError naming two of them that contradict each other."""
        for order in self.orders:
            least, most = getattr(self, order.least), getattr(self, order.most)
            if least > most:
                raise ValueError(
                    f"{order.least} ({least}) must not exceed {order.most} ({most}){order.because}"
                )
        return self


class _Apart:
    """Validates a model by itself, so that its schema is made when the first one stands somewhere."""

    def __get_pydantic_core_schema__(
        self, model: type[BaseModel], _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def validate(value: object, info: ValidationInfo) -> BaseModel:
            return model.model_validate(value, context=info.context)  # its errors get the place of this one

        return core_schema.with_info_plain_validator_function(validate, metadata={"model": model})

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        model: type[BaseModel] = schema["metadata"]["model"]
        # With a reference it is described once, under its name, however often it stands.
        described: Any = {**TypeAdapter(model).core_schema, "ref": f"{model.__module__}.{model.__qualname__}"}
        return handler(core_schema.definitions_schema(described, []))


M = TypeVar("M", bound=BaseModel)
Rare = Annotated[M, _Apart()]
"""A section that most configurations do not have: those pay nothing for its schema. The schemas of all of
them took 16 M instructions of each start."""

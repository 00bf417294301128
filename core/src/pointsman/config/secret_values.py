"""What is secret in values of a configuration: what is declared to be, in whichever way, and what may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import CoreSchema, core_schema

from pointsman._internal.scrubber import MASK
from pointsman._internal.settings import Section
from pointsman.auth import Secret
from pointsman.config.problems import KeyPath


def is_secret(value: object) -> bool:
    """Whether `value` is of a type that keeps itself secret."""
    return isinstance(value, Secret) or hasattr(value, "get_secret_value")


def revealed(value: object) -> str:
    """The text of `value`, which is a secret; bytes are read as UTF-8 as far as they are."""
    # `SecretStr`, `SecretBytes` and `pydantic.Secret[…]` have nothing else in common.
    held = value.reveal() if isinstance(value, Secret) else value.get_secret_value()  # type: ignore[attr-defined]
    return held.decode("utf-8", "surrogateescape") if isinstance(held, bytes) else str(held)


def secrets_in(value: object) -> Iterator[str]:
    """What a configuration, a section or the settings of a plugin keep secret, at any depth; URLs with a
    password also where nobody declares them to be: a database may be a file, which is none.
    """
    for _, secret in secret_places(value, ()):
        yield secret


def secret_places(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """The same with the place of each; `value` stands at `path`."""
    if is_secret(value):
        yield path, revealed(value)
        return
    if isinstance(value, str):
        if has_password(value):
            yield path, value
        return
    for key, each in _inside(value):
        yield from secret_places(each, (*path, key))


def _inside(value: object) -> Iterator[tuple[str | int, object]]:
    match value:
        case Section():
            yield from value
        case BaseModel():
            fields = type(value).model_fields
            for name, each in value:
                yield (fields[name].alias or name) if name in fields else name, each
        case Mapping():
            yield from value.items()
        case list() | tuple() | set() | frozenset():
            yield from enumerate(value)


_KEY_OF_A_SECRET = re.compile(
    r"key|token|secret|passw|credential|authorization|cookie|signature", re.IGNORECASE
)
_NUMBER_OF_TOKENS = re.compile(r"tokens|per_token|key_?words", re.IGNORECASE)


def could_be_secret(value: Any, path: KeyPath, *, ours: bool) -> bool:
    """Whether a value could be a secret that nobody declares: by whose it is, by its key, by its looks."""
    if value is None or isinstance(value, bool) or not value:
        return False
    if not ours:
        return True
    if not isinstance(value, str):
        return False
    names = [each for each in path if isinstance(each, str)]
    free = not {"defaults", "forced", "options", "headers"}.isdisjoint(names)
    if free and any(
        _KEY_OF_A_SECRET.search(each) and not _NUMBER_OF_TOKENS.search(each) for each in names[1:]
    ):
        return True
    return looks_secret(value)


def looks_secret(text: str) -> bool:
    """Whether a text looks like a key: a known beginning, a long row of characters, a password in a URL."""
    if has_password(text):
        return True
    if re.match(
        r"(sk|pk|rk|gsk|xai|hf|ghp|gho|glpat|xox[a-z])[-_]\S{8}|AKIA\S{12}|AIza\S{20}|eyJ\S{20}", text
    ):
        return True
    return bool(re.fullmatch(r"(?=\S*\d)(?=\S*[A-Za-z])[A-Za-z0-9+=_-]{32,}", text))


def has_password(text: str) -> bool:
    """Whether `text` is a URL with a password, whatever setting it stands in."""
    return "://" in text and re.match(r"[\w+.-]+://[^/?#\s@]*:[^/?#\s@][^/?#\s]*@", text) is not None


def masked(value: Any, path: KeyPath) -> Any:
    """`value`, which stands at `path`, with `***` in place of each text in it that may be a secret."""
    if isinstance(value, Mapping):
        return {key: masked(each, (*path, str(key))) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each, path) for each in value]
    return MASK if could_be_secret(value, path, ours=True) else value


def masked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of calls to whatever upstream, as they are shown."""
    return {name: masked(each, ("options", name)) for name, each in options.items()}


class UnshownOptions(dict[str, Any]):
    """Options of calls, some of which may be a secret that nobody declares: reprs and JSON have none."""

    def __rich_repr__(self) -> Iterator[Any]:
        yield masked_options(self)  # rich prefers this to a repr

    def __repr__(self) -> str:
        return repr(masked_options(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema()),
            serialization=core_schema.plain_serializer_function_ser_schema(cls._dumped, info_arg=True),
        )

    def _dumped(self, info: core_schema.SerializationInfo) -> dict[str, Any]:
        return masked_options(self) if info.mode_is_json() else dict(self)

"""What a configuration was loaded from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeVar

from msgspec import Struct

from pointsman._internal.regular_files import Seen, read_and_seen
from pointsman.config.document import LARGEST_BYTES, ConfigSource, Document
from pointsman.config.interpolate import ReadFile
from pointsman.config.named import Open
from pointsman.config.problems import KeyPath
from pointsman.errors import ConfigError

T = TypeVar("T")

RELOAD = "reload"
"""The section that says whether a router takes up what changes in its file."""


class LoadedFrom(Struct, frozen=True):
    """What `Config.load` was given; the files that values refer to, each as it was where that is known."""

    source: ConfigSource | None = None
    referred_to: Mapping[str, Seen | None] = MappingProxyType({})


class FromFiles(Open):
    """Something that was loaded from files, or made in Python."""

    # Where it came from makes no difference to what it says: two that say the same are equal.
    _source = Document(None)
    _given = LoadedFrom()
    _followed = False

    def from_where(self, other: FromFiles) -> Self:
        """The same, as loaded from where `other` was."""
        self._source, self._given = other._source, other._given
        return self

    @property
    def loaded_from(self) -> ConfigSource | None:
        """What `load` was given; None for a configuration that comes from no file."""
        return self._given.source or self._source.file

    @property
    def seen(self) -> Mapping[str, Seen]:
        """The files that it was made of, as they were when they were read."""
        read = {**self._source.read, **self._given.referred_to}
        return {file: each for file, each in read.items() if each is not None}

    @property
    def sections(self) -> Mapping[str, Any]:
        """What stands in the sections that plugins read, as it was written; where followed, `reload`, too."""
        said = {RELOAD: {}, **self.settings} if self.followed else self.settings
        return {name: value for name, value in said.items() if value is not None}

    @property
    def followed(self) -> bool:
        """Whether a router that runs on it takes up by itself what changes in its files, unless these say
        otherwise.
        """
        return self._followed

    def follow(self) -> None:
        """Have that be so, if it comes from files."""
        self._followed = self.loaded_from is not None

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders in which a further file would be part of it."""
        return self._source.folders

    @property
    def by_dialect(self) -> bool:
        """Whether it was written for another program."""
        return self._source.source is not None

    def spot(self, path: KeyPath) -> str | None:
        """`file:line` of the value at `path`; None where there is none."""
        found = self._source.spot(path)
        return None if found is None else ":".join(str(each) for each in found if each is not None)

    def raw(self, path: KeyPath) -> Any:
        """What was written at `path`, with its references; None for nothing."""
        value = self._source.data
        for step in path:
            if isinstance(value, str):
                break  # a short form stands for all of it
            known: Any = (
                value if isinstance(value, Mapping) else range(len(value)) if isinstance(value, list) else ()
            )
            value = value[step] if step in known else None
        return value

    @property
    def directory(self) -> Path:
        """What paths in it are relative to: where its file is, or the first of several."""
        return Path(next(iter(self._source.files), "")).parent


class FilesRead:
    """How files are read that values refer to, and which were."""

    def __init__(self, read_file: ReadFile | None = None) -> None:
        self._read_file = read_file
        self.files: dict[str, Seen | None] = {}

    def __call__(self, path: str) -> str:
        """The text of the file at `path`, at most as large as a configuration."""
        self.files[path] = None
        if self._read_file is not None:
            return self._read_file(path)
        content, self.files[path] = read_and_seen(path, LARGEST_BYTES)
        return content.decode("utf-8")


def without_locals(make: Callable[[], T]) -> T:
    """What `make` returns. Its error says all there is to say; the frames below hold secrets, and some tools
    that report errors show what their variables hold.
    """
    try:
        return make()
    except ConfigError as error:
        raise error.with_traceback(None) from None

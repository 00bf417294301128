"""What every dialect owes those whose configuration files it reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

import pytest

from pointsman.build.loading import as_config
from pointsman.clock import LoopClock, system_rng
from pointsman.dialect import Dialect, DialectContext, DialectFactory, ForeignDocument, Keys, NativeDocument
from pointsman.errors import ConfigError
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import Quiet, files_refused

_OTHERS: dict[str, Mapping[str, Any]] = {
    "": {},
    "ours": {
        "providers": {"a": {"type": "ollama", "base_url": "http://127.0.0.1:11434"}},
        "models": {"m": {"deployments": ["a/x"]}},
    },
    "ours without models": {"providers": {"a": {"type": "ollama", "models": ["x"]}}},
    "ai_services": {"ai_services": {"ollama": {"model": "x"}}, "default_service": "ollama"},
    "load_balancer": {"providers": {"ollama": {"models": ["x"]}}, "load_balancer": {"strategy": "weighted"}},
}
"""By what they are of."""
_ODD: Sequence[Any] = (None, True, -1, 0.5, "", "other", [], [None], [[]], {}, {"a": None}, {"a": {"a": []}})


class DialectContract(Contract, terms=True):
    """What every dialect owes those whose configuration files it reads. Write `factory` and `documents`.

    Attributes:
        factory: what the plugin offers.
        documents: what its files hold, as plain data; all of them can be used as they are.
        plugins: what has to be offered for that.
    """

    factory: DialectFactory
    documents: Sequence[Mapping[str, Any]]
    plugins: ClassVar[Sequence[object]] = ()

    @rule("DIALECT-01", "A configuration would fail to load with an error about something else.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("dialect", self._dialect())

    @rule("DIALECT-02", "The configuration that it is for would be refused as unknown.")
    def test_it_knows_its_own_documents(self) -> None:
        assert self.documents
        for document in self._own():
            assert self._dialect().matches(ForeignDocument(document)) is True

    @rule("DIALECT-03", "Installing it would make configurations ambiguous that have nothing to do with it.")
    def test_it_knows_no_others(self) -> None:
        for name, other in _OTHERS.items():
            if name != self.factory.name:
                known = self._dialect().matches(ForeignDocument(deepcopy(other)))
                assert known is False, f"it takes {other!r} for one of its own"

    @rule(
        "DIALECT-04",
        "A file that loads elsewhere would be refused here, for reasons that do not stand in it.",
    )
    def test_what_it_gives_can_be_used(self) -> None:
        plugins = [_Offering(self.factory), *self.plugins]
        for document in self._own():
            native = self._read(deepcopy(document))
            assert native.problems == [], [each.message for each in native.problems]
            try:
                as_config(document, plugins)
            except ConfigError as error:
                raise AssertionError(f"what it gives is refused: {error}") from error

    @rule("DIALECT-05", "A mistake in a file would show a traceback in place of its line and column.")
    def test_whatever_stands_in_a_document_it_raises_nothing(self) -> None:
        for document in (each for own in self._own() for each in _odd(own)):
            foreign = ForeignDocument(document)
            dialect = self._dialect()
            known = dialect.matches(foreign)
            assert isinstance(known, bool), f"matches() returns a {type(known).__name__}"
            if known:
                native = dialect.read(foreign)
                assert isinstance(native, NativeDocument), f"read() returns a {type(native).__name__}"

    @rule(
        "DIALECT-06",
        "What is wrong with the translation would be told without the line that it comes from.",
    )
    def test_everything_it_says_is_of_something_in_the_document(self) -> None:
        for document in (each for own in self._own() for each in (own, *_odd(own))):
            if not self._dialect().matches(ForeignDocument(deepcopy(document))):
                continue
            native = self._read(deepcopy(document))
            for path, _ in _within(native.data):
                assert any(path[:length] in native.origins for length in range(1, len(path) + 1)), (
                    f"nobody says where {path} comes from"
                )
            remarks = [*native.problems, *native.warnings]
            for of in (*native.origins.values(), *(each.of for each in remarks)):
                assert _holds(document, of), f"there is nothing at {of} in the document"

    @rule("DIALECT-07", "Reading a file once more, as a reload does, would give another configuration.")
    def test_reading_changes_nothing(self) -> None:
        for document in self.documents:
            given = deepcopy(document)
            self._dialect().matches(ForeignDocument(given))
            first, second = self._read(given), self._read(given)
            assert given == document, "it changes what it reads"
            assert first.data == second.data, "the same document says something else the second time"

    @rule("DIALECT-08", "A check of a file would open others, or ask a server that is not up yet.")
    def test_reading_opens_nothing_and_says_nothing(self, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        with Quiet() as quiet, files_refused() as opened:
            try:
                for document in self._own():
                    self._read(document)
            except OSError:
                assert opened, "it fails with an OSError"
        assert not opened, f"it opens {opened[0]}"
        quiet.check()
        assert not (said := capsys.readouterr().out), f"it prints {said[:80]!r}"

    def _own(self) -> Iterator[Mapping[str, Any]]:
        """Copies: a dialect that changes what it reads would change it for every test."""
        return iter(deepcopy(list(self.documents)))

    def _dialect(self) -> Dialect:
        context = DialectContext(
            name=self.factory.name,
            settings=None,
            clock=LoopClock(),
            rng=system_rng(),
            log=logging.getLogger(f"pointsman.dialect.{self.factory.name}"),
        )
        return self.factory.make(context)

    def _read(self, document: Mapping[str, Any]) -> NativeDocument:
        return self._dialect().read(ForeignDocument(document))


class _Offering(PointsmanSpec):
    def __init__(self, factory: DialectFactory) -> None:
        self._factory = factory

    @hookimpl
    def pointsman_config_dialects(self) -> Sequence[DialectFactory]:
        return [self._factory]


def _within(value: Any, at: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """All that is in a value at any depth, by the way to it."""
    inside: Any = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, each in inside:
        yield (*at, key), each
        yield from _within(each, (*at, key))


def _holds(document: Any, path: Keys) -> bool:
    """Whether there is something at `path`, or a mapping in which it is missing."""
    found = document
    for n, step in enumerate(path, 1):
        try:
            found = found[step]
        except (LookupError, TypeError):
            return n == len(path) and isinstance(found, Mapping)
    return True


def _odd(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The document with something odd in one place, and without what is there."""
    for path, _ in list(_within(document)):
        for odd in _ODD:
            changed, inner = _opened(document, path)
            inner[path[-1]] = deepcopy(odd)
            yield changed
        changed, inner = _opened(document, path)
        del inner[path[-1]]
        yield changed


def _opened(document: Mapping[str, Any], path: Keys) -> tuple[Any, Any]:
    """A copy of the document, and within that what holds the value at `path`."""
    inner: Any = deepcopy(document)
    whole = inner
    for step in path[:-1]:
        inner = inner[step]
    return whole, inner

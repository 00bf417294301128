"""Foreign documents, translated by whichever dialect knows them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pointsman._internal.plugin_errors import OWN, log_raised
from pointsman._internal.scrubber import Scrubber
from pointsman.clock import LoopClock, system_rng
from pointsman.config.document import Document
from pointsman.config.findings import texts
from pointsman.config.plugin_rules import rules_said
from pointsman.config.problems import Problem, config_error
from pointsman.dialect import Dialect, DialectContext, ForeignDocument, NativeDocument
from pointsman.errors import PluginError
from pointsman.plugins.interfaces import lack
from pointsman.plugins.registry import Plugins


class Translated(NamedTuple):
    """A document of ours, and what its dialect warns of."""

    document: Document
    warnings: tuple[Problem, ...] = ()


def translated(document: Document, plugins: Iterable[object]) -> Translated:
    """`document`, which does not look like ours, as a dialect reads it; as it is when none knows it.

    Raises: ConfigError when two dialects know it, when one fails, and for what cannot be translated.
    """
    known = Plugins(plugins, rules=rules_said(document.data))
    foreign = ForeignDocument(document.data)
    matching: list[tuple[_Named, Dialect]] = []
    for name in known.names("dialect"):
        try:
            factory = known.get("dialect", name)
        except PluginError:  # a plugin that cannot be used hinders nobody; `pointsman plugins` lists it
            continue
        one = _Named(name, known.origin("dialect", name), document)
        dialect: Dialect = one.do("make", lambda make=factory.make, name=name: make(_context(name)))
        if (wrong := lack("dialect", dialect)) is not None:
            raise one.error(wrong)
        if one.do("matches", lambda dialect=dialect: dialect.matches(foreign)):
            matching.append((one, dialect))
    if len(matching) > 1:
        both = " and ".join(f"{each.name!r} from {each.origin}" for each, _dialect in matching)
        message = f"could be in any of several dialects: {both}"
        raise config_error([document.problem((), message, "uninstall all but one")], file=document.file)
    for one, dialect in matching:
        native = one.do("read", lambda dialect=dialect: dialect.read(foreign))
        if not isinstance(native, NativeDocument) or not isinstance(native.data, Mapping):
            raise one.error(f"returned a {type(native).__name__} from read(), expected a NativeDocument")
        if native.problems:
            remarks = [document.problem(each.of, each.message, each.hint) for each in native.problems]
            raise config_error(remarks, file=document.file)
        warnings = (document.problem(each.of, each.message, each.hint) for each in native.warnings)
        ours = Document(native.data, document.file, source=document, origins=native.origins)
        return Translated(ours, tuple(warnings))
    return Translated(document)


def _context(name: str) -> DialectContext:
    log = logging.getLogger(f"pointsman.dialect.{name}")
    return DialectContext(name=name, settings=None, clock=LoopClock(), rng=system_rng(), log=log)


class _Named(NamedTuple):
    """A dialect by its name, what it comes from, and the document that it is asked about."""

    name: str
    origin: str
    document: Document

    def do(self, method: str, work: Any) -> Any:
        """What `work`, its `method`, returns. Raises ConfigError for whatever it raises."""
        try:
            return work()
        except OWN as error:  # somebody else's code: anything can happen
            hidden = Scrubber(texts(self.document.data))
            log_raised(f"the dialect {self.name!r} failed in {method}()", error, hidden.text)
            raise self.error(f"failed in {method}(): {type(error).__name__}; the log says more") from error

    def error(self, did: str) -> Exception:
        """That the dialect `did` wrong."""
        message = f"the dialect {self.name!r} from {self.origin} {did}"
        return config_error([self.document.problem((), message)], file=self.document.file)

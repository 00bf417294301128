"""Foreign documents, translated by whichever dialect knows them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pointsman._internal.plugin_errors import OWN, log_raised
from pointsman._internal.scrubber import Scrubber
from pointsman.clock import LoopClock, system_rng
from pointsman.config import codes
from pointsman.config.document import Document
from pointsman.config.findings import texts
from pointsman.config.plugin_rules import rules_said
from pointsman.config.problems import Problem, config_error
from pointsman.dialect import Dialect, DialectContext, ForeignDocument, NativeDocument, Remark
from pointsman.errors import PluginError
from pointsman.plugins.interfaces import lack
from pointsman.plugins.known_names import DIALECTS, what_to_write
from pointsman.plugins.registry import Plugins


class Translated(NamedTuple):
    """A document of ours, what its dialect warns of, and the name of that; None for one that is ours."""

    document: Document
    warnings: tuple[Problem, ...] = ()
    dialect: str | None = None


def translated(document: Document, plugins: Iterable[object]) -> Translated:
    """`document`, which does not look like ours, as a dialect reads it; as it is when none knows it.

    Raises: ConfigError when two dialects know it, when one fails, when that of ours is not installed which
        would, and for what cannot be translated.
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
        problem = document.problem((), message, "uninstall all but one", code=codes.SEVERAL_DIALECTS)
        raise config_error([problem], file=document.file)
    for one, dialect in matching:
        native = one.do("read", lambda dialect=dialect: dialect.read(foreign))
        if not isinstance(native, NativeDocument) or not isinstance(native.data, Mapping):
            raise one.error(f"returned a {type(native).__name__} from read(), expected a NativeDocument")
        if native.problems:
            remarks = [_remarked(document, each, codes.NOT_TRANSLATED) for each in native.problems]
            raise config_error(remarks, file=document.file)
        warnings = (_remarked(document, each, codes.LEFT_OUT) for each in native.warnings)
        ours = Document(native.data, document.file, source=document, origins=native.origins)
        return Translated(ours, tuple(warnings), one.name)
    _expect_none_missing(document, known.names("dialect"))
    return Translated(document)


def _expect_none_missing(document: Document, offered: Sequence[str]) -> None:
    """Raise ConfigError when a dialect of ours, which is not `offered`, would read such a document."""
    for key, name in DIALECTS.items():
        if key in document.data and name not in offered:
            message = f"no plugin offers dialect {name!r}, which reads such files"
            hint = what_to_write("dialect", name, offered).strip()
            raise config_error(
                [document.problem((key,), message, hint, code=codes.NO_SUCH_PLUGIN, key=True)],
                file=document.file,
            )


def _remarked(document: Document, remark: Remark, code: str) -> Problem:
    return document.problem(remark.of, remark.message, remark.hint, code=remark.code or code)


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
        problem = self.document.problem((), message, code=codes.DIALECT_FAILED)
        return config_error([problem], file=self.document.file)

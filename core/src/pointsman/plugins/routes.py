"""What a surface offers: what its routes have to be, and which of them a path belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from inspect import isasyncgenfunction, isgeneratorfunction
from typing import Any

from pointsman.surface import Route, SocketRoute

METHODS = frozenset(("DELETE", "GET", "PATCH", "POST", "PUT"))
"""HEAD is answered wherever GET is, and OPTIONS by the gateway itself."""
_PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}")
_PLAIN = re.compile(r"[A-Za-z0-9/_.~:@!$&'()*+,;=-]*")


def pattern(path: str) -> re.Pattern[str]:
    """What the whole of a path must be like, with a group for each parameter. Raises ValueError."""
    return re.compile(_expression(path), re.DOTALL)


def _expression(path: str) -> str:
    """Its regular expression. To compile it is most of the work, and most paths have no parameter."""
    if not path.startswith("/"):
        raise ValueError("it does not begin with /")
    parts, at, seen = [], 0, set[str]()
    for found in _PARAMETER.finditer(path):
        parts.append(_literal(path[at : found.start()]))
        name = found[1]
        if name in seen:
            raise ValueError(f"it has {{{name}}} twice")
        seen.add(name)
        parts.append(f"(?P<{name}>{'.+' if found[2] else '[^/]+'})")
        at = found.end()
    return "".join((*parts, _literal(path[at:])))


def _literal(text: str) -> str:
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text!r:.50} can stand in no path; parameters are {{name}} and {{name:path}}")
    return re.escape(text)


def wrong_routes(routes: Any) -> str | None:
    """What keeps `routes` from being those of a surface, as the end of a sentence; None when nothing does."""
    if not isinstance(routes, Sequence) or isinstance(routes, str):
        return f"whose routes() gave a {type(routes).__name__}; expected a list of Route and SocketRoute"
    if not routes:
        return "whose routes() gave none: there is nothing to ask for"
    seen = set[tuple[str, str]]()
    each: Any
    for each in routes:
        if not isinstance(each, Route | SocketRoute):
            return f"whose routes() gave a {type(each).__name__}; expected a Route or a SocketRoute"
        if (wrong := _wrong_route(each)) is not None:
            return f"whose route {shown(each)} {wrong}"
        for path in (each.path, *each.aliases):
            # Where only the names of parameters differ, the first one would take all requests.
            key = (_method(each), _PARAMETER.sub(r"{\2}", path))
            if key in seen:
                return f"which has two routes for {key[0]} {path}"
            seen.add(key)
    return None


def shown(route: Route | SocketRoute) -> str:
    """A route as messages name it."""
    return f"{_method(route)} {route.path}"


def _method(route: Route | SocketRoute) -> str:
    return str(route.method) if isinstance(route, Route) else "WebSocket"


def _wrong_route(route: Route | SocketRoute) -> str | None:
    if isinstance(route, Route) and route.method not in METHODS:
        return f"has another method than {', '.join(sorted(METHODS))}"
    handler: Any = route.handler
    if not callable(handler):
        return f"has a {type(handler).__name__} as its handler; expected an async function"
    if isgeneratorfunction(handler) or isasyncgenfunction(handler):
        return "has a generator as its handler: it has a `yield`"
    return next(_wrong_paths(route), None)


def _wrong_paths(route: Route | SocketRoute) -> Iterator[str]:
    for path in (route.path, *route.aliases):
        try:
            _expression(path)
        except ValueError as error:
            yield f"cannot be asked for at {path!r:.100}: {error}"

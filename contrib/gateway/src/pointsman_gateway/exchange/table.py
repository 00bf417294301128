"""Which route is asked for: by path and method, in whatever way clients write the paths of an API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from msgspec import Struct, field

from pointsman.plugin import Route, SocketRoute, Surface
from pointsman.plugins.routes import pattern

AnyRoute = Route | SocketRoute


class Mounted(Struct, frozen=True, eq=False):
    """A surface at its place.

    Attributes:
        name: as configured.
        prefix: what stands before all of its paths; "" for nothing.
    """

    name: str
    surface: Surface
    routes: Sequence[AnyRoute]
    prefix: str = ""


class Found(Struct, frozen=True, eq=False):
    """What is asked for.

    Attributes:
        path: without the prefix of the surface, as its route names it.
        route: None when the path has none for this method.
        socket: what a WebSocket there speaks with; None when there is none.
        allowed: the methods of the path; () when there is no such path.
    """

    mounted: Mounted
    path: str
    route: Route | None = None
    socket: SocketRoute | None = None
    params: Mapping[str, str] = {}
    allowed: Sequence[str] = ()


class _Place(Struct, eq=False):
    """One path with its routes by method; `path` is without prefix.

    Attributes:
        found: by method, what was found there before.
    """

    mounted: Mounted
    path: str
    routes: dict[str, Route]
    socket: SocketRoute | None = None
    found: dict[str, Found] = field(default_factory=dict)


class Table:
    """All routes of the surfaces of one listener. Of two surfaces that claim one path the first has it."""

    def __init__(self, mounted: Sequence[Mounted]) -> None:
        self.mounted = mounted
        self._exact: dict[str, _Place] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], _Place]] = {}
        for each in mounted:
            for route in each.routes:
                for path in (route.path, *route.aliases):
                    self._add(each, route, path)
        places = [*self._exact.items(), *((path, place) for path, (_, place) in self._patterns.items())]
        self._segments = [(path.split("/"), place.mounted) for path, place in places]

    def _add(self, mounted: Mounted, route: AnyRoute, path: str) -> None:
        # At its usual place, and below the name of its surface: `/openai/v1/models`.
        for full in dict.fromkeys((f"{mounted.prefix}{path}", f"/{mounted.name}{path}")):
            place = self._place(mounted, full, path)
            if place.mounted is not mounted:
                continue
            if isinstance(route, SocketRoute):
                place.socket = route
            else:
                place.routes.setdefault(route.method, route)

    def _place(self, mounted: Mounted, full: str, path: str) -> _Place:
        if "{" not in full:
            return self._exact.setdefault(full, _Place(mounted, path, {}))
        if full not in self._patterns:
            self._patterns[full] = (pattern(full), _Place(mounted, path, {}))
        return self._patterns[full][1]

    def find(self, method: str, path: str) -> Found | None:
        """What `method` and `path` ask for; None where there is no surface at all."""
        exact = self._exact.get(path)
        if exact is not None and (known := exact.found.get(method)) is not None:
            return known
        for each in _spellings(path):
            place, params = self._at(each)
            if place is not None:
                found = _found(place, method, params)
                if place is exact and found.route is not None:  # so that methods made up by callers stay out
                    place.found[method] = found
                return found
        nearest = self._nearest(path)
        return None if nearest is None else Found(nearest, path)

    def _at(self, path: str) -> tuple[_Place | None, Mapping[str, str]]:
        place = self._exact.get(path)
        if place is not None:
            return place, {}
        for known, candidate in self._patterns.values():
            matched = known.fullmatch(path)
            if matched is not None:
                return candidate, matched.groupdict()
        return None, {}

    def _nearest(self, path: str) -> Mounted | None:
        """The surface with the path that has most of its beginning in common with `path`."""
        asked = path.split("/")
        best, nearest = -1, self.mounted[0] if self.mounted else None
        for segments, mounted in self._segments:
            common = _common(asked, segments)
            if common > best:
                best, nearest = common, mounted
        return nearest


def _found(place: _Place, method: str, params: Mapping[str, str]) -> Found:
    routes = place.routes
    route = routes.get(method) or (routes.get("GET") if method == "HEAD" else None)
    allowed = () if route else sorted({*routes, *(["HEAD"] if "GET" in routes else [])})
    shown = _filled(place.path, params) if params else place.path
    return Found(place.mounted, shown, route, place.socket, params, allowed)


def _spellings(path: str) -> Iterator[str]:
    """`path`, and what is meant by it: without a slash at its end, with one `/v1` in place of two."""
    yield path
    meant = path.rstrip("/") or "/"
    if meant != path:
        yield meant
    once = meant.replace("/v1/v1/", "/v1/", 1)
    if once != meant:
        yield once


def _filled(path: str, params: Mapping[str, str]) -> str:
    for name, value in params.items():
        path = re.sub(rf"{{{name}(:path)?}}", partial(_said, value), path)
    return path


def _said(value: str, _found: re.Match[str]) -> str:
    return value


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count

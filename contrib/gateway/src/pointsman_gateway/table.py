"""Which route is asked for: by path and method, in whatever way clients write the paths of an API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from pointsman.plugin import Route, SocketRoute, Surface
from pointsman.plugins.routes import pattern

SOCKET = ""
"""In place of the method of an upgrade to a WebSocket."""


class Mounted(Struct, frozen=True, eq=False):
    """A surface at its place.

    Attributes:
        name: as configured.
        prefix: what stands before all of its paths; "" for nothing.
    """

    name: str
    surface: Surface
    routes: Sequence[Route | SocketRoute]
    prefix: str = ""


class Found(Struct, frozen=True, eq=False):
    """What is asked for.

    Attributes:
        path: without the prefix of the surface, as its route names it.
        route: None when the path has none for this method.
        allowed: the methods of the path; () when there is no such path.
    """

    mounted: Mounted
    path: str
    route: Route | SocketRoute | None = None
    params: Mapping[str, str] = {}
    allowed: Sequence[str] = ()


class _Place(Struct, eq=False):
    """One path with its routes by method; `path` is without prefix."""

    mounted: Mounted
    path: str
    routes: dict[str, Route | SocketRoute]


class Table:
    """All routes of the surfaces of one listener. Of two surfaces that claim one path the first has it."""

    def __init__(self, mounted: Sequence[Mounted]) -> None:
        self.mounted = mounted
        self._exact: dict[str, _Place] = {}
        self._patterns: list[tuple[re.Pattern[str], str, _Place]] = []
        for each in mounted:
            for route in each.routes:
                for path in (route.path, *route.aliases):
                    self._add(each, route, path)
        self._segments = [(path.split("/"), place.mounted) for path, place in self._places()]

    def _add(self, mounted: Mounted, route: Route | SocketRoute, path: str) -> None:
        # At its usual place, and below the name of its surface: `/openai/v1/models`.
        own = f"{mounted.prefix}{path}"
        below = f"/{mounted.name}{path}"
        for full in dict.fromkeys((own, below) if path.startswith("/") else (own,)):
            place = self._place(mounted, full, path)
            if place.mounted is mounted:
                place.routes.setdefault(_method(route), route)

    def _place(self, mounted: Mounted, full: str, path: str) -> _Place:
        if "{" not in full:
            return self._exact.setdefault(full, _Place(mounted, path, {}))
        for _form, known, place in self._patterns:
            if known == full:
                return place
        place = _Place(mounted, path, {})
        self._patterns.append((pattern(full), full, place))
        return place

    def _places(self) -> Iterator[tuple[str, _Place]]:
        yield from self._exact.items()
        yield from ((full, place) for _form, full, place in self._patterns)

    def find(self, method: str, path: str) -> Found | None:
        """What `method` and `path` ask for; None where there is no surface at all."""
        for each in _spellings(path):
            found = self._at(method, each)
            if found is not None:
                return found
        nearest = self._nearest(path)
        return None if nearest is None else Found(nearest, path)

    def _at(self, method: str, path: str) -> Found | None:
        place, params = self._exact.get(path), {}
        if place is None:
            for form, _full, candidate in self._patterns:
                matched = form.fullmatch(path)
                if matched is not None:
                    place, params = candidate, matched.groupdict()
                    break
            else:
                return None
        route = place.routes.get(method)
        if route is None and method == "HEAD":
            route = place.routes.get("GET")
        shown = _filled(place.path, params) if params else place.path
        return Found(place.mounted, shown, route, params, () if route else _methods(place.routes))

    def _nearest(self, path: str) -> Mounted | None:
        """The surface with the path that has most of its beginning in common with `path`."""
        asked = path.split("/")
        best, nearest = -1, self.mounted[0] if self.mounted else None
        for segments, mounted in self._segments:
            common = _common(asked, segments)
            if common > best:
                best, nearest = common, mounted
        return nearest


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
        path = re.sub(rf"{{{name}(:path)?}}", lambda _, value=value: value, path)  # type: ignore[misc]
    return path


def _method(route: Route | SocketRoute) -> str:
    return route.method if isinstance(route, Route) else SOCKET


def _methods(routes: Mapping[str, Route | SocketRoute]) -> Sequence[str]:
    return sorted({*routes, *(["HEAD"] if "GET" in routes else [])} - {SOCKET})


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count

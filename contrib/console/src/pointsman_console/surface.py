"""The page at `/console`, and at every address below it: which of its pages is meant, it finds out itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.plugin import ProblemDetails, ProblemKind, Route, SurfaceRequest, WholeReply
from pointsman_console.files import PAGE, File, read

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    )
)
"""Nothing of others, and nothing that is written into the page: what a model answers cannot run."""

HEAD = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    # The names of files never change; whether they did is asked each time, and answered without them.
    "cache-control": "no-cache",
}

_STATUS: Mapping[ProblemKind, int] = {
    "forbidden": 403, "no_route": 404, "method": 405, "too_large": 413, "overloaded": 503, "timeout": 504,
    "internal": 500,
}  # fmt: skip
"""Of what can go wrong where nobody is asked for a key, and no model."""

_NOT_BUILT = b"""<!doctype html><meta charset="utf-8"><title>pointsman</title>
<h1>The console was not built</h1>
<p>Its files are not there, as in a copy of the source without them. With Node 20 or later:</p>
<pre>cd contrib/console/web
npm ci
npm run build</pre>
"""


class ConsoleSurface:
    """Serves `files`: for everybody, since they say nothing; what they ask for is asked with a key."""

    def __init__(self, files: Mapping[str, File] | None = None) -> None:
        self._files = read() if files is None else files

    def routes(self) -> Sequence[Route]:
        """One for the page, and one for all below it."""
        return [
            Route("GET", "/console", self.page, public=True),
            Route("GET", "/console/{path:path}", self.file, public=True),
        ]

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """`problem` as text; nobody but a person sees it."""
        return WholeReply(
            _STATUS.get(problem.kind, 400), problem.message.encode(), "text/plain; charset=utf-8", HEAD
        )

    async def page(self, asked: SurfaceRequest) -> WholeReply:
        """The page itself, or 503 with how to build it."""
        page = self._files.get(PAGE)
        if page is None:
            return WholeReply(503, _NOT_BUILT, "text/html; charset=utf-8", HEAD)
        return _answer(asked, page)

    async def file(self, asked: SurfaceRequest) -> WholeReply:
        """A file of the page; any other address is one of its pages, unless it looks like a file."""
        path = asked.params["path"]
        found = self._files.get(path)
        if found is not None:
            return _answer(asked, found)
        if "." in path.rpartition("/")[2]:
            return WholeReply(404, b"no such file", "text/plain; charset=utf-8", HEAD)
        return await self.page(asked)


def _answer(asked: SurfaceRequest, file: File) -> WholeReply:
    fields = {**HEAD, "etag": file.tag}
    known = {tag.strip().removeprefix("W/") for tag in asked.headers.get("if-none-match", "").split(",")}
    if file.tag in known:
        return WholeReply(304, b"", file.content_type, fields)
    return WholeReply(200, file.body, file.content_type, fields)

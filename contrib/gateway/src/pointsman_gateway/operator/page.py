"""The OpenAPI document as one page that needs nothing from elsewhere: no script, no font, no image."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """\
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{font:0.9em ui-monospace,monospace}
summary{cursor:pointer;padding:.3rem 0}
details{border-bottom:1px solid #8884}
.method{display:inline-block;min-width:4rem;font-weight:600}
table{border-collapse:collapse;margin:.5rem 0 1rem}
td,th{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0}
:focus-visible{outline:2px solid #36c;outline-offset:2px}"""
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
FIELDS: Mapping[str, str] = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none';"
        " form-action 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}
"""Nothing is loaded, nothing is run, and nobody frames it."""


NO_CONSOLE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>pointsman</title>
<h1>No console is served here</h1>
<p>Its package is not installed, or <code>gateway.surfaces</code> does not name it.</p>
<pre>pip install pointsman-console</pre>
<p>Then restart the gateway. Where the configuration lists <code>gateway.surfaces</code>, add
<code>console: {}</code> to them.</p>
<p>Without it there are <code>pointsman status --live</code>, <code>pointsman logs --follow</code> and
<a href="/docs">the operators' API</a>.</p>
"""


def written(document: Mapping[str, Any]) -> bytes:
    """The page."""
    return "".join(_page(document)).encode("utf-8")


def _page(document: Mapping[str, Any]) -> Iterator[str]:
    info = document["info"]
    title = f"{info['title']} {info['version']}"
    yield "<!doctype html><html lang=en><meta charset=utf-8>"
    yield '<meta name=viewport content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    yield f"<main><h1>{escape(title)}</h1><p>{escape(info['description'])}</p>"
    yield "<p>As data: <a href=/openapi.json>/openapi.json</a></p>"
    for tag in ("operators", "everybody"):
        yield f"<h2>For {tag}</h2>"
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if operation["tags"] == [tag]:
                    yield from _operation(method, path, operation)
    yield "<h2>Shapes</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f"<h3 id={escape(name)}><code>{escape(name)}</code></h3>"
        yield f"<p>{escape(schema.get('description', ''))}</p>"
        yield from _table(("member", "what"), _members(schema))
    yield "</main></html>\n"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<details><summary><span class=method>{method.upper()}</span> <code>{escape(path)}</code> "
    yield f"{escape(operation['summary'])}</summary>"
    if "description" in operation:
        yield f"<p>{escape(operation['description'])}</p>"
    if "requestBody" in operation:
        yield f"<p>Takes {_shown_content(operation['requestBody']['content'])}</p>"
    yield from _table(
        ("parameter", "where", "what"),
        [
            (f"<code>{escape(each['name'])}</code>", each["in"], escape(each.get("description", "")))
            for each in operation["parameters"]
        ],
    )
    yield from _table(
        ("status", "what", "shape"),
        [
            (status, escape(answer["description"]), _shown_content(answer.get("content", {})))
            for status, answer in operation["responses"].items()
        ],
    )
    yield "</details>"


def _shown_content(content: Mapping[str, Any]) -> str:
    """What it is in JSON, and else its media type."""
    return " or ".join(
        _shown(each["schema"]) if media == "application/json" else f"<code>{escape(media)}</code>"
        for media, each in content.items()
    )


def _members(schema: Mapping[str, Any]) -> list[tuple[str, ...]]:
    required = schema.get("required", ())
    return [
        (f"<code>{escape(name)}</code>", _shown(each) + ("" if name in required else ", may be missing"))
        for name, each in schema.get("properties", {}).items()
    ]


def _shown(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href=#{name}>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(map(_shown, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(each)}</code>" for each in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(str(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_shown(schema['items'])}"
    return escape(str(schema.get("type", "anything")))


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield "<table><tr>" + "".join(f"<th>{each}" for each in heads)
        for row in rows:
            yield "<tr>" + "".join(f"<td>{each}" for each in row)
        yield "</table>"

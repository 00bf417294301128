"""Ollama's routes about models: list, show, pull, copy, delete."""

import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from pointsman_simulator.exchange import Answer, Call, Stream
from pointsman_simulator.site import Site
from pointsman_simulator.wires.base import dumps, json_answer

_JSON = "application/json; charset=utf-8"
_SIZE = 2_019_393_189


def manage(call: Call, site: Site) -> Answer | Stream:
    """The answer to a call that does no inference; 404 when there is no such route."""
    if call.method in ("GET", "HEAD"):
        match call.path:
            case "/":
                return Answer(200, b"Ollama is running", "text/plain; charset=utf-8")
            case "/api/version":
                return _json(200, {"version": "0.32.14"})
            case "/api/tags":
                return _json(200, {"models": [_listed(name, site) for name in site.models]})
            case "/api/ps":
                return _json(200, {"models": _in_memory(site)})
    handlers = {
        ("POST", "/api/show"): _show,
        ("POST", "/api/pull"): _pull,
        ("POST", "/api/create"): _create,
        ("POST", "/api/copy"): _copy,
        ("DELETE", "/api/delete"): _delete,
    }
    handler = handlers.get((call.method, call.path))
    if handler is None:
        known = {path for _, path in handlers} | {"/", "/api/version", "/api/tags", "/api/ps"}
        if call.path in known:
            return Answer(405, b"405 method not allowed", "text/plain")
        return Answer(404, b"404 page not found", "text/plain")
    if call.broken:
        return _error(400, "missing request body")
    return handler(call, site)


def find(name: str, site: Site) -> str | None:
    """The installed model that `name` means; case and the tag `latest` make no difference."""
    if name in site.models:
        return name
    wanted = _full(name)
    return next((model for model in site.models if _full(model) == wanted), None)


def _full(name: str) -> str:
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _json(status: int, value: Any) -> Answer:
    return json_answer(status, value, content_type=_JSON)


def _error(status: int, message: str) -> Answer:
    return _json(status, {"error": message})


def _digest(name: str) -> str:
    return hashlib.sha256(_full(name).encode()).hexdigest()


def _details(name: str) -> dict[str, Any]:
    family = name.partition(":")[0].rpartition("/")[2]
    return {
        "parent_model": "",
        "format": "gguf",
        "family": family,
        "families": [family],
        "parameter_size": "3.2B",
        "quantization_level": "Q4_K_M",
    }


def _listed(name: str, site: Site) -> dict[str, Any]:
    return {
        "name": _full(name),
        "model": _full(name),
        "modified_at": "2026-08-10T10:00:00.123456789+02:00",
        "size": _SIZE,
        "digest": _digest(name),
        "details": _details(name),
        "capabilities": list(site.capabilities),
    }


def _in_memory(site: Site) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        {
            "name": _full(entry.model),
            "model": _full(entry.model),
            "size": _SIZE,
            "digest": _digest(entry.model),
            "details": _details(entry.model),
            "expires_at": _expires(now, entry.expires_at),
            "size_vram": _SIZE,
            "context_length": 4096,
        }
        for entry in site.loaded()
    ]


def _expires(now: datetime, seconds_left: float) -> str:
    # "For ever" is a date some centuries away on the real server, too.
    seconds_left = seconds_left if math.isfinite(seconds_left) else 9e9
    return (now + timedelta(seconds=seconds_left)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _named(call: Call) -> str:
    return str(call.body.get("model") or call.body.get("name") or "")


def _show(call: Call, site: Site) -> Answer:
    name = find(_named(call), site)
    if name is None:
        return _error(404, f"model '{_named(call)}' not found")
    family = _details(name)["family"]
    return _json(
        200,
        {
            "modelfile": f"FROM {name}\n",
            "parameters": 'stop "<|eot_id|>"',
            "template": "{{ .Prompt }}",
            "details": _details(name),
            "model_info": {"general.architecture": family, f"{family}.context_length": 131072},
            "capabilities": list(site.capabilities),
            "modified_at": "2026-08-10T10:00:00.123456789+02:00",
        },
    )


def _pull(call: Call, site: Site) -> Answer | Stream:
    name = _named(call)
    if not name:
        return _error(400, "model is required")
    streamed = call.body.get("stream") is not False
    if "missing" in name:
        error = "pull model manifest: file does not exist"
        if not streamed:
            return _error(500, error)
        return _progress([{"status": "pulling manifest"}], {"error": error}, 0.0)
    if not streamed:
        site.models.setdefault(find(name, site) or name)
        return _json(200, {"status": "success"})
    lines: list[dict[str, Any]] = [{"status": "pulling manifest"}]
    for layer, total in (("model", _SIZE), ("template", 1429)):
        digest = hashlib.sha256(f"{_full(name)} {layer}".encode()).hexdigest()
        line = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": total}
        lines += [line, *(line | {"completed": total * part // 4} for part in range(1, 5))]
    lines += [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}]
    return _progress(lines, {"status": "success"}, site.pull_s / len(lines), find(name, site) or name)


def _create(call: Call, site: Site) -> Answer | Stream:
    name, base = _named(call), str(call.body.get("from") or "")
    if not name:
        return _error(400, "model is required")
    if not base and not call.body.get("files"):
        return _error(400, "neither 'from' or 'files' was specified")
    if base and find(base, site) is None:
        return _error(404, f"model '{base}' not found")
    if call.body.get("stream") is False:
        site.models.setdefault(name)
        return _json(200, {"status": "success"})
    digest = hashlib.sha256(_full(name).encode()).hexdigest()
    layers = [f"using existing layer sha256:{digest}", f"creating new layer sha256:{digest[::-1]}"]
    lines: list[dict[str, Any]] = [{"status": status} for status in (*layers, "writing manifest")]
    return _progress(lines, {"status": "success"}, 0.0, name)


def _progress(
    lines: list[dict[str, Any]], last: dict[str, Any], delay: float, installs: str | None = None
) -> Stream:
    return Stream(
        "application/x-ndjson",
        content=tuple(f"{dumps(line)}\n".encode() for line in lines),
        terminator=f"{dumps(last)}\n".encode(),
        delay=delay,
        installs=installs,
    )


def _copy(call: Call, site: Site) -> Answer:
    source = str(call.body.get("source", ""))
    if find(source, site) is None:
        return _error(404, f'model "{source}" not found')
    site.models[str(call.body["destination"])] = None
    return Answer(200)


def _delete(call: Call, site: Site) -> Answer:
    name = find(_named(call), site)
    if name is None:
        return _error(404, f"model '{_named(call)}' not found")
    site.unload(name)
    del site.models[name]
    return Answer(200)

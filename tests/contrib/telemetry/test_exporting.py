"""The services: a real scrape, spans at a real collector, and what is said when they cannot be."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pointsman import ConfigError, Router, Unavailable
from pointsman.clock import LoopClock
from pointsman.testing import Scripted
from pointsman_cli.app import run
from pointsman_simulator import Fault, Reply, Simulator
from pointsman_telemetry.metrics import Metrics

CONFIG: dict[str, Any] = {
    "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
    "models": {
        "m": {"deployments": ["a/x", {"provider": "b", "model": "y", "priority": 1}], "fallback": ["spare"]},
        "spare": {"deployments": ["b/z"]},
    },
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def scraped(port: int) -> str:
    return str(urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())


class Collector:
    """What was exported: every span, and the headers of each request."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.resource: dict[str, str] = {}

    def take(self, path: str, headers: Any, body: bytes) -> None:
        self.paths.append(path)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += scope.spans


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(self.path, self.headers, body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_said: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def attributes(span: Any) -> dict[str, Any]:
    def read(value: Any) -> Any:
        return getattr(value, value.WhichOneof("value"))

    return {each.key: read(each.value) for each in span.attributes}


async def test_a_scrape_of_another_thread_sees_what_has_happened_and_what_is_so() -> None:
    port = free_port()
    config = {**CONFIG, "prometheus": {"listen": f"127.0.0.1:{port}"}}
    async with Router.from_config(config, plugins=[Scripted()]) as r:
        await r.chat("m", "hi")
        said = await asyncio.to_thread(lambda: urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    assert 'pointsman_requests_total{error="",model="m",result="ok",surface=""} 1.0' in said
    assert 'pointsman_in_flight{deployment="a/x"} 0.0' in said
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(urlopen, f"http://127.0.0.1:{port}/metrics")


async def test_the_metrics_behind_a_gateway_tell_by_which_api_a_request_came_and_nothing_made_up() -> None:
    port = free_port()
    config = {**CONFIG, "prometheus": {"listen": f"127.0.0.1:{port}"}}
    async with Router.from_config(config, plugins=[Scripted()]) as r:
        for surface in ("anthropic", "operator", "made up"):
            await r.chat("m", "hi", tags={"surface": surface})
        said = await asyncio.to_thread(scraped, port)
    told = re.findall(r'pointsman_requests_total\{.*surface="(.*)"\} 1\.0', said)
    assert sorted(told) == ["anthropic", "operator", "other"]


def test_a_check_of_the_configuration_says_that_what_sends_spans_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "providers: {a: {type: ollama}}\nmodels: {m: {deployments: [a/x]}}\n"
        "opentelemetry: {endpoint: http://127.0.0.1:4318}\n"
    )
    assert run(["config", "check", str(file)]) == 0

    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto", None)

    assert run(["config", "check", str(file)]) == 2
    assert "pip install 'pointsman-telemetry[opentelemetry]'" in capsys.readouterr().err


async def test_an_address_that_is_taken_is_told_with_the_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"prometheus\.listen: cannot listen at {at}"):
            async with Router.from_config({**CONFIG, "prometheus": {"listen": at}}, plugins=[Scripted()]):
                pass


async def test_of_a_range_each_router_takes_the_first_port_that_is_free_and_logs_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pointsman.service.prometheus")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        first = taken.getsockname()[1]
        config = {**CONFIG, "prometheus": {"listen": f"127.0.0.1:{first}-{first + 40}"}}
        async with Router.from_config(config, plugins=[Scripted()]) as one:
            async with Router.from_config(config, plugins=[Scripted()]) as two:
                await one.chat("m", "hi")
                await two.chat("m", "hi")
                await two.chat("m", "hi")
                told = [re.search(r"http://127\.0\.0\.1:(\d+)/metrics", each) for each in caplog.messages]
                ports = [int(each[1]) for each in told if each]
                said = [await asyncio.to_thread(scraped, port) for port in ports]
    assert first < ports[0] < ports[1] <= first + 40
    assert ['result="ok",surface=""} 1.0' in said[0], 'result="ok",surface=""} 2.0' in said[1]] == [
        True,
        True,
    ]


async def test_a_range_without_a_free_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        at = f"127.0.0.1:{port}-{port}"
        with pytest.raises(ConfigError, match=rf"prometheus\.listen: cannot listen at {at}: .*in use"):
            async with Router.from_config({**CONFIG, "prometheus": {"listen": at}}, plugins=[Scripted()]):
                pass


@pytest.mark.parametrize(
    "listen",
    ["9464", "127.0.0.1:", "127.0.0.1:99999", "localhost:http", "127.0.0.1:9471-9464", "127.0.0.1:9464-"],
)
def test_an_address_without_a_port_is_refused_with_an_example(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"expected an address and a port, such as .*9464"):
        Router.check({**CONFIG, "prometheus": {"listen": listen}}, plugins=[Scripted()])


async def test_a_request_is_a_span_with_one_below_it_for_each_attempt() -> None:
    scripted = Scripted()
    scripted.script("a", Unavailable("down"))
    with collecting() as (collector, url):
        config = {
            **CONFIG,
            "opentelemetry": {"endpoint": url, "service_name": "station", "headers": {"x-key": "k"}},
        }
        async with Router.from_config(config, plugins=[scripted]) as r:
            answer = await r.chat("m", "hi")
    assert collector.paths[0] == "/v1/traces"
    assert collector.headers[0]["x-key"] == "k"
    assert collector.resource["service.name"] == "station"
    by_name = {span.name: span for span in collector.spans}
    whole, failed, worked = by_name["chat m"], by_name["chat x"], by_name["chat y"]

    assert failed.parent_span_id == worked.parent_span_id == whole.span_id
    assert (whole.kind, failed.kind) == (2, 3), "a server's, and a client's below it"
    said = attributes(whole)
    assert said["pointsman.attempts"] == 2
    assert said["pointsman.deployment"] == "b/y"
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.original.model"] == "m"
    assert said["gen_ai.request.model"] == "y"
    assert said["gen_ai.usage.input_tokens"] == answer.usage.prompt
    assert whole.status.code == 0
    assert failed.status.code == 2
    assert attributes(failed)["error.type"] == "unavailable"
    assert whole.start_time_unix_nano <= failed.start_time_unix_nano <= failed.end_time_unix_nano
    assert "hi" not in str(collector.spans), "no word of what was asked"


async def test_a_span_continues_the_trace_of_its_caller_and_keeps_to_its_word() -> None:
    kept, dropped = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", "00-" + "ef" * 16 + "-" + "cd" * 8 + "-00"
    with collecting() as (collector, url):
        config = {**CONFIG, "opentelemetry": {"endpoint": url, "sampled": 0}}
        async with Router.from_config(config, plugins=[Scripted()]) as r:
            await r.chat("m", "hi", tags={"traceparent": kept})
            await r.chat("m", "hi", tags={"traceparent": dropped})
            await r.chat("m", "hi", tags={"traceparent": "nonsense"})
            await r.chat("m", "hi")
    assert {span.trace_id.hex() for span in collector.spans} == {"ab" * 16}
    whole = next(span for span in collector.spans if span.name == "chat m")
    assert whole.parent_span_id.hex() == "cd" * 8


@pytest.mark.parametrize("parent", ["00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", ""])
async def test_upstreams_are_told_the_span_of_the_attempt(simulator: Simulator, parent: str) -> None:
    down = await simulator.add("openai", models=["x"], default=Reply(fault=Fault.status(500)))
    up = await simulator.add("openai", models=["x"])
    config: dict[str, Any] = {
        "providers": {each.name: {"type": "openai", "base_url": each.base_url} for each in (down, up)},
        "models": {
            "m": {"deployments": [{"provider": each.name, "model": "x"} for each in (down, up)]},
        },
    }
    config["models"]["m"]["deployments"][1]["priority"] = 1
    with collecting() as (collector, url):
        async with Router.from_config({**config, "opentelemetry": {"endpoint": url}}) as r:
            await r.chat("m", "hi", tags={"traceparent": parent} if parent else {})
            await r.chat("m", "hi", tags={"traceparent": parent} if parent else {})

    told = [each.headers["traceparent"] for each in (*down.requests, *up.requests)]
    attempts = [span for span in collector.spans if span.kind == 3]
    assert sorted(told) == sorted(f"00-{s.trace_id.hex()}-{s.span_id.hex()}-01" for s in attempts)
    assert len(set(told)) == len(attempts) == 4
    assert len({span.trace_id for span in attempts}) == (1 if parent else 2)


async def test_a_source_of_names_that_fails_costs_no_call(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", models=["x"])
    config = {
        "providers": {"up": {"type": "openai", "base_url": upstream.base_url}},
        "models": {"m": {"deployments": ["up/x"]}},
    }
    parent = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
    async with Router.from_config(config) as r:
        end = r.trace(lambda _id, _attempt, tags: tags["nowhere"])
        await r.chat("m", "hi", tags={"traceparent": parent})
        end()
        await r.chat("m", "hi")

    assert [each.headers.get("traceparent") for each in upstream.requests] == [parent, None]


async def test_what_is_not_kept_is_not_kept_by_upstreams_either(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", models=["x"])
    config = {
        "providers": {"up": {"type": "openai", "base_url": upstream.base_url}},
        "models": {"m": {"deployments": ["up/x"]}},
    }
    with collecting() as (collector, url):
        traced = {"opentelemetry": {"endpoint": url, "sampled": 0}}
        async with Router.from_config({**config, **traced}) as r:
            await r.chat("m", "hi")

    assert upstream.requests[0].headers["traceparent"].endswith("-00")
    assert not collector.spans


async def test_a_collector_that_is_away_costs_no_call() -> None:
    config = {**CONFIG, "opentelemetry": {"endpoint": f"http://127.0.0.1:{free_port()}"}}
    async with asyncio.timeout(20):
        async with Router.from_config(config, plugins=[Scripted()]) as r:
            assert (await r.chat("m", "hi")).text


def test_a_header_of_the_collector_is_shown_nowhere() -> None:
    config = {**CONFIG, "opentelemetry": {"endpoint": "nowhere", "headers": {"authorization": "canary-4711"}}}
    with pytest.raises(ConfigError) as caught:
        Router.check(config, plugins=[Scripted()])
    assert "such as http://127.0.0.1:4318" in str(caught.value)
    assert "canary-4711" not in str(caught.value)


async def test_a_store_that_is_away_is_a_metric() -> None:
    limited = {"deployments": [{"provider": "a", "model": "x", "limits": {"requests": "600/min"}}]}
    config = {"providers": {"a": {"type": "scripted"}}, "models": {"m": limited}}
    away = {**config, "state": f"redis://127.0.0.1:{free_port()}"}
    async with Router.from_config(away, plugins=[Scripted()]) as r:
        metrics = Metrics(r, clock=LoopClock())
        for _ in range(3):
            assert (await r.chat("m", "hi")).text
        assert b'pointsman_state_available{store="redis"} 0.0' in metrics.exposition()[0]

"""What docs/plugins/testing.md shows: a real upstream that is asked once, and a distribution that is checked."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from distributions import write_distribution
from plugin_pages import PAGES, block, files

from pointsman.testing.checking.run import Checked, check
from pointsman.testing.contract import Live, LiveContract, rules_of

pytest_plugins = ["pytester"]

PAGE = PAGES["testing.md"]
KEY = "echo-key-canary-5c0ffee5"


class Echo(BaseHTTPRequestHandler):
    """The service of the page on providers, for real."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b'{"voices": ["alto", "bass"]}', "application/json")

    def do_POST(self) -> None:
        assert self.headers["authorization"] == f"Bearer {KEY}"
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not asked["stream"]:
            return self._answer(json.dumps({"text": asked["text"], "tokens": 3}).encode(), "application/json")
        said = [f"data: {json.dumps({'text': word + ' '})}\n\n" for word in asked["text"].split()]
        return self._answer(
            "".join([*said, 'data: {"tokens": 3}\n\n', "data: [END]\n\n"]).encode(), "text/event-stream"
        )

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package of the page on providers, as an installer leaves it."""
    source = {"pointsman_echo/__init__.py": files("provider.md")["src/pointsman_echo/__init__.py"]}
    write_distribution(
        folder, "pointsman-echo", source, {"pointsman.providers": {"echo": "pointsman_echo:plugin"}}
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(":")
    )


def test_the_real_upstream_of_the_page_is_recorded_and_replayed(
    echo: str, pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path / "installed", monkeypatch)
    monkeypatch.setenv("ECHO_KEY", KEY)
    pytester.makepyfile(test_echo=block("testing.md", "LiveContract").replace("http://127.0.0.1:7007", echo))
    plain = ("-p", "no:asyncio", "-p", "no:cacheprovider")

    pytester.runpytest_inprocess(*plain, "--pointsman-live").assert_outcomes(passed=4, skipped=5)

    recorded = (pytester.path / "recorded" / "echo.json").read_text()
    assert KEY not in recorded
    monkeypatch.delenv("ECHO_KEY")
    pytester.runpytest_inprocess(*plain).assert_outcomes(passed=4, skipped=5)


def test_the_provider_of_the_pages_passes_its_check_with_its_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path / "installed", monkeypatch)
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_echo_contract.py").write_text(files("provider.md")["tests/test_echo_contract.py"])

    rules = ["PROVIDER-01", "PROVIDER-12", "PROVIDER-13", "PLUGIN-04", "PLUGIN-06"]
    told = [*check("pointsman-echo", tests=[tests], rules=rules)]

    checked = [each for each in told if isinstance(each, Checked)]
    assert {each.id: each.result for each in checked} == dict.fromkeys(rules, "held")


def test_the_page_names_every_attribute_of_a_real_upstream_and_every_live_rule_exists() -> None:
    table = PAGE[PAGE.index("| attribute |", PAGE.index("LiveContract")) :].partition("\n\n")[0]
    listed = {word for row in table.splitlines() for word in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert listed == set(Live.__struct_fields__)
    assert [each.id for each in rules_of(LiveContract)] == [f"LIVE-{n:02d}" for n in range(1, 10)]

"""Blocking routers and forks, and routers that nobody closes: each in processes of its own, over real sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

UPSTREAM = """
import http.server, json, os, sys, threading, time

ANSWER = json.dumps({
    "id": "1", "model": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}],
}).encode()


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    held = threading.Event()
    arrived = threading.Event()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if b"hold" in body:
            self.arrived.set()
            self.held.wait(30)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Upstream)
threading.Thread(target=server.serve_forever, daemon=True).start()
CONFIG = {
    "providers": {"a": {"type": "openai", "base_url": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "a-long-key",
                        "transport": TRANSPORT}},
    "models": {"m": {"deployments": [{"provider": "a", "model": "x", "max_in_flight": 4}]}},
    "audit": [{"type": "jsonl", "path": "audit"}],
}
"""

FORKED = """
from pointsman import SyncRouter

router = SyncRouter.from_config(CONFIG)
heard = []
router.listen(heard.append)
router.chat("m", "before")
running = []
thread = threading.Thread(target=lambda: running.append(router.chat("m", "hold").text))
thread.start()
Upstream.arrived.wait(30)

children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        heard.clear()
        answers = [router.chat("m", f"call {n}", timeout=30).text for n in range(20)]
        threads = [threading.Thread(target=lambda: answers.append(router.chat("m", "beside", timeout=30).text))
                   for _ in range(8)]
        [each.start() for each in threads]
        [each.join() for each in threads]
        with router.stream("m", "hi") as _stream:
            pass
        router.close()
        os._exit(0 if answers == ["ok"] * 28 and heard else 1)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
Upstream.held.set()
thread.join(30)
after = [router.chat("m", "after", timeout=30).text for _ in range(20)]
router.close()
print(json.dumps({"codes": codes, "running": running, "after": after}))
"""


def ran(
    program: str, folder: Path, *, transport: str = "auto", code: int = 0
) -> subprocess.CompletedProcess[str]:
    """`program` in an interpreter of its own, with warnings shown."""
    source = UPSTREAM.replace("TRANSPORT", repr(transport)) + program
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", source],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
def test_four_forked_children_and_their_parent_are_answered_all(transport: str, tmp_path: Path) -> None:
    done = ran(FORKED, tmp_path, transport=transport)

    told = json.loads(done.stdout)
    assert told["codes"] == [0, 0, 0, 0]
    assert told["running"] == ["ok"], "the call that ran in the parent meanwhile"
    assert told["after"] == ["ok"] * 20
    assert "Unclosed" not in done.stderr
    files = sorted((tmp_path / "audit").iterdir())
    assert len(files) == 5, "one for each process"
    sizes = []
    for file in files:
        records = [json.loads(line) for line in file.read_text().splitlines()]
        assert [each["seq"] for each in records] == list(range(1, len(records) + 1))
        sizes.append(len([each for each in records if each["event"] == "request"]))
    assert sorted(sizes) == [22, 29, 29, 29, 29]
    ids = [
        json.loads(line)["request_id"]
        for file in files for line in file.read_text().splitlines() if '"request"' in line
    ]  # fmt: skip
    assert len(set(ids)) == len(ids), "no two processes roll the same dice"


UNCLOSED = """
from pointsman import SyncRouter

router = SyncRouter.from_config(CONFIG)
assert router.chat("m", "hi").text == "ok"
END
"""


@pytest.mark.parametrize("end", ["", "del router", "sys.exit(0)", "raise SystemExit"])
@pytest.mark.parametrize("transport", ["httpx", "aiohttp", "h1"])
def test_a_router_that_nobody_closes_says_nothing_and_writes_its_records(
    transport: str, end: str, tmp_path: Path
) -> None:
    done = ran(UNCLOSED.replace("END", end), tmp_path, transport=transport)

    assert done.stderr == ""
    (file,) = (tmp_path / "audit").iterdir()
    events = [json.loads(line)["event"] for line in file.read_text().splitlines()]
    assert events == ["open", "start", "attempt", "request", "close"]


WORKERS = """
import multiprocessing
from pointsman import SyncRouter

router = SyncRouter.from_config(CONFIG)
router.chat("m", "before")


def work():
    assert router.chat("m", "hi").text == "ok"


if __name__ == "__main__":
    workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(2)]
    [each.start() for each in workers]
    [each.join(60) for each in workers]
    sys.exit(max(each.exitcode for each in workers))
"""


def test_the_last_records_of_a_worker_of_multiprocessing_are_written(tmp_path: Path) -> None:
    ran(WORKERS, tmp_path)

    for file in (tmp_path / "audit").iterdir():
        events = [json.loads(line)["event"] for line in file.read_text().splitlines()]
        assert events == ["open", "start", "attempt", "request", "close"]
    assert len([*(tmp_path / "audit").iterdir()]) == 3, "one for each process"


ENDING = """
import threading

threading._SHUTTING_DOWN = True  # how the end of a process begins, while its main thread is still there
router.close()
"""


def test_a_router_that_closes_while_the_process_begins_to_end_writes_its_records(tmp_path: Path) -> None:
    done = ran(UNCLOSED.replace("END", ENDING), tmp_path, transport="h1")

    assert done.stderr == ""
    (file,) = (tmp_path / "audit").iterdir()
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == [
        "open",
        "start",
        "attempt",
        "request",
        "close",
    ]


ASYNC = """
import asyncio
from pointsman import Router

router = Router.from_config(CONFIG)
USED
pid = os.fork()


async def main():
    async with router:
        return (await router.chat("m", "hi", timeout=30)).text


try:
    print("child" if pid == 0 else "parent", asyncio.run(main()), flush=True)
except RuntimeError as error:
    print("child" if pid == 0 else "parent", error, flush=True)
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_a_router_made_before_a_fork_works_on_both_sides_with_files_of_their_own(tmp_path: Path) -> None:
    done = ran(ASYNC.replace("USED", ""), tmp_path)
    assert sorted(done.stdout.splitlines()) == ["child ok", "parent ok"]
    written = [len(each.read_text().splitlines()) for each in (tmp_path / "audit").iterdir()]
    assert written == [5, 5]


def test_a_router_used_before_a_fork_says_what_to_do_after_it(tmp_path: Path) -> None:
    used = "asyncio.new_event_loop().run_until_complete(router.chat('m', 'hi'))"
    done = ran(ASYNC.replace("USED", used), tmp_path)
    assert len(done.stdout.splitlines()) == 2
    for line in done.stdout.splitlines():
        assert "belongs to another event loop; make one for each, or a SyncRouter" in line


IMPORTING = """
from pointsman import SyncRouter

router = SyncRouter.from_config(CONFIG)
before = set(sys.modules)
assert router.chat("m", "hi").text == "ok"
print(json.dumps(sorted(set(sys.modules) - before)))
router.close()
"""


@pytest.mark.parametrize("transport", ["auto", "h1"])
def test_the_first_call_imports_nothing_in_the_thread_of_the_loop(transport: str, tmp_path: Path) -> None:
    """A process that is forked in the midst of an import inherits its lock, which nobody there gives back."""
    done = subprocess.run(
        [sys.executable, "-c", f"TRANSPORT = {transport!r}\n" + UPSTREAM + IMPORTING],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    roots = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert roots.isdisjoint(
        {"pointsman", "pointsman_h1", "tenacity", "httptools", "httpx", "httpcore", "aiohttp", "anyio"}
        | {"pointsman_aiohttp"}
    )

"""docs/frameworks.md: its programs run as they stand there, each in a real process of its framework."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi.encoders import jsonable_encoder
from redis_server import running

from pointsman import ChatResponse
from pointsman_simulator import Fault, Reply, Simulator, Upstream

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "frameworks.md").read_text("utf-8")
FILES = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
(CONFIG,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
DJANGO = """
import django
from django.conf import settings

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY="k")
django.setup()

import async_views, views
from django.core.asgi import get_asgi_application
from django.urls import path

urlpatterns = [path("ask", views.ask), path("later", async_views.ask)]
app = get_asgi_application()
"""
CELLS = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in open("notebook.py").read().split("# %%"):
    shell.run_cell(cell).raise_error()
"""


def test_each_program_of_the_page_is_run_here() -> None:
    here = Path(__file__).read_text("utf-8")

    assert [name for name in FILES if name.removesuffix(".py") not in here] == []


@pytest.fixture
async def gpu(simulator: Simulator, tmp_path: Path) -> Upstream:
    """The server of the configuration beside the programs."""
    gpu = await simulator.add("ollama", name="gpu", models=["llama3.2"], default=Reply(text="one two three"))
    (tmp_path / "pointsman.yaml").write_text(CONFIG.replace("http://127.0.0.1:11434", gpu.base_url))
    for name, program in FILES.items():
        (tmp_path / name).write_text(program)
    return gpu


@asynccontextmanager
async def served(folder: Path, *arguments: str) -> AsyncIterator[str]:
    """The address at which `python -m` with these arguments listens, which it says on stderr."""
    process = await started(folder, "-m", *arguments)
    try:
        yield await asyncio.wait_for(_address(process), 60)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), 60)


async def started(folder: Path, *arguments: str, listener: int | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        pass_fds=() if listener is None else (listener,),
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    said = b""
    while line := await process.stderr.readline():
        said += line
        if found := re.search(rb"(?:on|at) (http://127\.0\.0\.1:\d+)", line):
            return found[1].decode()
    raise AssertionError(said.decode())


async def ran(folder: Path, *arguments: str) -> str:
    process = await started(folder, *arguments)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_fastapi(gpu: Upstream, tmp_path: Path) -> None:
    command = ("uvicorn", "fastapi_app:app", "--port", "0")
    async with served(tmp_path, *command) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        asked = await client.get("/ask", params={"q": "hi"}, headers={"x-request-id": "mine-1"})
        streamed = await client.get("/stream", params={"q": "hi"})
        gpu.script(Reply(fault=Fault.status(400)))
        refused = await client.get("/ask", params={"q": "hi"})
        gpu.script(Reply(text="word " * 500, tokens_per_second=50))
        async with client.stream("GET", "/stream", params={"q": "hi"}) as response:
            await anext(response.aiter_text())
        await gpu.idle()

    assert asked.json() == {"text": "one two three", "request_id": "mine-1"}
    assert streamed.text == "one two three"
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert gpu.requests[-1].outcome == "aborted by client"


async def test_fastapi_tells_of_an_outage_before_a_stream_begins_and_of_no_address(
    gpu: Upstream, tmp_path: Path
) -> None:
    await gpu.stop()
    command = ("uvicorn", "fastapi_app:app", "--port", "0")
    async with served(tmp_path, *command) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        answers = [await client.get(path, params={"q": "hi"}) for path in ("/ask", "/stream")]

    assert [each.status_code for each in answers] == [503, 503]
    assert {each.json()["error"] for each in answers} <= {"connection_failed", "no_deployment_available"}
    assert [each.text for each in answers if "127.0.0.1" in each.text or "gpu" in each.text] == []


async def test_fastapi_answers_whatever_id_its_caller_gives(gpu: Upstream, tmp_path: Path) -> None:
    ids = ["x" * 300, b"\xfc-1", "a b", ""]
    command = ("uvicorn", "fastapi_app:app", "--port", "0")
    async with served(tmp_path, *command) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        answers = [
            await client.get(path, params={"q": "hi"}, headers={"x-request-id": id})
            for path in ("/ask", "/stream")
            for id in ids
        ]

    assert [each.status_code for each in answers] == [200] * 8
    assert [each.json()["request_id"][:4] for each in answers[:4]] == ["req_"] * 4


def test_fastapi_makes_json_of_the_mapping_of_an_answer_and_not_of_the_answer() -> None:
    reply = ChatResponse("blue", raw=b"")

    assert jsonable_encoder(reply.to_dict())["text"] == "blue"
    with pytest.raises(ValueError, match="'ChatResponse' object is not iterable"):
        jsonable_encoder(reply)


async def test_fastapi_with_two_workers(gpu: Upstream, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url, number = f"http://127.0.0.1:{listener.getsockname()[1]}", listener.fileno()
        command = ("-m", "uvicorn", "fastapi_app:app", "--workers", "2", "--fd", str(number))
        process = await started(tmp_path, *command, listener=number)
        try:
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                asked = [await client.get("/ask", params={"q": "hi"}) for _ in range(4)]
        finally:
            process.terminate()
            await asyncio.wait_for(process.communicate(), 60)

    assert [each.json()["text"] for each in asked] == ["one two three"] * 4


async def test_flask(gpu: Upstream, tmp_path: Path) -> None:
    command = ("flask", "--app", "flask_app", "run", "--port", "0")
    async with served(tmp_path, *command) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        asked = await asyncio.gather(*(client.get("/ask", params={"q": "hi"}) for _ in range(4)))
        streamed = await client.get("/stream", params={"q": "hi"})

    assert [each.json() for each in asked] == [{"text": "one two three"}] * 4
    assert streamed.text == "one two three"


async def test_django_with_views_and_async_views(gpu: Upstream, tmp_path: Path) -> None:
    (tmp_path / "site_of_test.py").write_text(DJANGO)
    command = ("uvicorn", "site_of_test:app", "--port", "0", "--lifespan", "off")
    async with served(tmp_path, *command) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        answers = [await client.get(path, params={"q": "hi"}) for path in ("/ask", "/later", "/later")]

    assert [each.json() for each in answers] == [{"text": "one two three"}] * 3


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of a Redis of the test's own, as Celery writes it."""
    with running() as server:
        yield f"redis+socket://{server.url.removeprefix('unix://')}?virtual_host=0"


async def test_celery_with_forked_workers(gpu: Upstream, tmp_path: Path, broker: str) -> None:
    (tmp_path / "tasks.py").write_text(FILES["tasks.py"].replace("redis://127.0.0.1:6379/0", broker))
    worker = await started(tmp_path, "-m", "celery", "-A", "tasks", "worker", "--concurrency", "2")
    try:
        asked = "import tasks\nprint(sorted(tasks.summary.delay(str(n)).get(timeout=60) for n in range(3)))"
        said = await ran(tmp_path, "-c", asked)
    finally:
        worker.terminate()
        await asyncio.wait_for(worker.communicate(), 60)

    assert said.strip() == str(["one two three"] * 3)


async def test_notebook_cells_share_a_router(gpu: Upstream, tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(CELLS)

    assert await ran(tmp_path, "cells.py") == "gpu/llama3.2\none two three"


async def test_threads_and_forked_processes_share_one(gpu: Upstream, tmp_path: Path) -> None:
    said = await ran(tmp_path, "threads.py")

    assert said.splitlines() == ["32 answers from threads", "4 answers from forked processes"]
    assert json.dumps(sorted({each.outcome or "" for each in gpu.requests})) == '["completed"]'

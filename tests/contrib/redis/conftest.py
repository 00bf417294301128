"""A redis-server of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis_server import PROGRAM, RedisServer


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    if PROGRAM is None:
        pytest.skip("there is no redis-server here: apt-get install redis-server")
    with TemporaryDirectory() as folder:  # not `tmp_path`: the path of a socket must be short
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()

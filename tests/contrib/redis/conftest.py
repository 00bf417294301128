"""A redis-server of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis_server import RedisServer, running


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with running() as server:
        yield server

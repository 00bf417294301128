"""What a caller reads when nobody listens at an upstream's address."""

from __future__ import annotations

import socket

import pytest

from pointsman import ConnectionFailed, Router


@pytest.mark.parametrize("transport", ["h1", "aiohttp"])
async def test_a_refused_connection_is_told_once_and_in_one_place(transport: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        config = {
            "providers": {"a": {"type": "ollama", "base_url": url, "transport": transport}},
            "models": {"m": {"deployments": ["a/x"]}},
            "retry": "none",
        }
        async with Router.from_config(config) as router:
            with pytest.raises(ConnectionFailed) as caught:
                await router.chat("m", "hello")

    assert caught.value.message == f"no connection to {url}: Connection refused"

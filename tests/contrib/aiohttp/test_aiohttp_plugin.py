"""What the distribution offers; the transport itself is tested with the others, in tests/core/transports."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pointsman.build.contexts import Contexts
from pointsman.clock import LoopClock, system_rng
from pointsman.plugins.registry import Plugins
from pointsman.transports import TransportOptions, TransportUnavailable
from pointsman_aiohttp import plugin
from pointsman_aiohttp.transport import AiohttpTransport

ROOT = Path(__file__).parents[3]


def test_the_entry_point_leads_to_the_transport_over_aiohttp() -> None:
    project = tomllib.loads((ROOT / "contrib/aiohttp/pyproject.toml").read_text("utf-8"))["project"]

    assert project["entry-points"]["pointsman.transports"] == {"aiohttp": "pointsman_aiohttp:plugin"}
    context = Contexts(LoopClock(), system_rng()).transport("aiohttp", options=TransportOptions())
    made = Plugins([plugin]).transport("aiohttp").make(context)
    assert isinstance(made, AiohttpTransport)


def test_the_extra_of_the_core_installs_it() -> None:
    project = tomllib.loads((ROOT / "core/pyproject.toml").read_text("utf-8"))["project"]

    assert project["optional-dependencies"]["aiohttp"] == ["pointsman-aiohttp==0.1.0"]


def test_asking_for_its_rank_does_not_load_aiohttp() -> None:
    ask = (
        "import sys; from pointsman_aiohttp import plugin; (factory,) = plugin.pointsman_transports();"
        "print(factory.rank > 0, 'aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (TransportOptions(http2=True), "no HTTP/2"),
        (TransportOptions(proxy="socks5://me:secret@p:1"), "no SOCKS proxies"),
    ],
)
def test_what_it_cannot_do_it_refuses_when_it_is_made_and_names_no_proxy(
    options: TransportOptions, why: str
) -> None:
    with pytest.raises(TransportUnavailable, match=why) as raised:
        AiohttpTransport(options)

    assert "secret" not in str(raised.value)

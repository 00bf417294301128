"""Rotate the key of a provider while calls are in flight, and revoke the old one: how many calls fail?

    python benchmarks/credential_rotation.py                   # 1,000 calls in flight
    python benchmarks/credential_rotation.py --calls 5000 --in-flight 1000 --rotations 5

The upstream is the simulator, over sockets; the key is rotated by `pointsman credentials rotate`, in another
process, while the router runs. Once the command has returned the simulator answers 401 to the old key. Exits
with 1 when a call failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pointsman import PointsmanError, Router
from pointsman_simulator import Simulator, Upstream

PASSPHRASE = "correct horse battery"


async def credentials(folder: Path, *arguments: str, value: str) -> None:
    """`pointsman credentials …` in a process of its own."""
    command = [sys.executable, "-m", "pointsman_cli", "credentials", *arguments]
    environment = {**os.environ, "POINTSMAN_KEYSTORE_PASSPHRASE": PASSPHRASE}
    child = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await child.communicate(value.encode())
    if child.returncode:
        raise SystemExit(said.decode())


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Router, Upstream]]:
    """A router whose key is in the keystore in `folder`, and an upstream: a call takes 0.2 to 0.6 s."""
    await credentials(folder, "add", "cloud", value="sk-0000-of-the-benchmark")
    async with Simulator() as simulator:
        upstream = await simulator.add(
            "openai", name="cloud", models=["m"], api_key="sk-0000-of-the-benchmark", latency=(0.2, 0.6)
        )
        config = {
            "providers": {
                "cloud": {
                    "type": "openai",
                    "base_url": upstream.base_url,
                    "auth": {"type": "keystore", "entry": "cloud"},
                }
            },
            "models": {"m": {"deployments": ["cloud/m"]}},
            "retry": "none",  # what is tried again is tried again by the credential alone
            "timeouts": {"connect": "60s", "total": "120s"},
            "keystore": {
                "path": str(folder / "pointsman.keystore"),
                "passphrase": PASSPHRASE,
            },
        }
        async with Router.from_config(config) as router:
            yield router, upstream


async def measured(calls: int, in_flight: int, rotations: int) -> tuple[int, dict[str, int], float]:
    """How many calls were made, how many failed by their error, and the seconds that took."""
    failed: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with running(folder) as (router, upstream):
            left = calls
            made, rotating = 0, True

            async def caller() -> None:
                nonlocal left, made
                while left > 0 or rotating:
                    left -= 1
                    made += 1
                    try:
                        await router.chat("m", "hello")
                    except PointsmanError as error:
                        failed[error.code] = failed.get(error.code, 0) + 1

            began = time.monotonic()
            callers = [asyncio.create_task(caller()) for _ in range(in_flight)]
            for n in range(1, rotations + 1):
                old, new = upstream.site.api_key, f"sk-{n:04}-of-the-benchmark"
                upstream.site.further_keys.add(new)  # there are two for a while, as at every provider
                await credentials(folder, "rotate", "cloud", value=new)
                upstream.site.api_key = new
                assert old != new
                await asyncio.sleep(1.0)
            rotating = False
            await asyncio.gather(*callers)
            return made, failed, time.monotonic() - began


def main() -> int:
    """0 when no call failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=2_000, help="at least so many")
    parser.add_argument("--in-flight", type=int, default=1_000)
    parser.add_argument("--rotations", type=int, default=3)
    options = parser.parse_args()
    made, failed, seconds = asyncio.run(measured(options.calls, options.in_flight, options.rotations))
    print(
        f"{made:,} calls, {options.in_flight:,} in flight, {options.rotations} rotations in {seconds:.1f} s: "
        f"{sum(failed.values())} failed {failed or ''}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""A key is rotated by the command in another process and the old one is revoked, with calls in flight."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from pointsman import Router
from pointsman_simulator import Simulator

OLD, NEW = "sk-canary-load-0001", "sk-canary-load-0002"
PASSPHRASE = "correct horse battery"


async def credentials(folder: Path, *arguments: str, value: str) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pointsman_cli", "credentials", *arguments),
        cwd=folder,
        env={**os.environ, "POINTSMAN_KEYSTORE_PASSPHRASE": PASSPHRASE},
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await child.communicate(value.encode())
    assert child.returncode == 0, said.decode()


def test_none_of_a_hundred_calls_in_flight_fails_when_the_key_is_rotated_and_the_old_one_revoked(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o700)

    async def main() -> None:
        await credentials(tmp_path, "add", "cloud", value=OLD)
        async with Simulator() as simulator:
            upstream = await simulator.add(
                "openai", name="cloud", models=["m"], api_key=OLD, latency=(0.05, 0.2)
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
                "retry": "none",
                "keystore": {"path": str(tmp_path / "pointsman.keystore"), "passphrase": PASSPHRASE},
            }
            ended = False
            async with Router.from_config(config) as router:

                async def caller() -> int:
                    answers = 0
                    while not ended or not answers:
                        assert (await router.chat("m", "hello")).text
                        answers += 1
                    return answers

                callers = [asyncio.create_task(caller()) for _ in range(100)]
                await credentials(tmp_path, "rotate", "cloud", value=NEW)
                upstream.site.api_key = NEW
                before = len(upstream.requests)
                await upstream.arrived(before + 200, timeout=60)
                ended = True

                assert sum(await asyncio.gather(*callers)) >= 200
                assert router.status().credentials[0].name == "cloud 2"
            sent = [each.headers["authorization"] for each in upstream.requests[-50:]]
            assert set(sent) == {f"Bearer {NEW}"}

    asyncio.run(main())

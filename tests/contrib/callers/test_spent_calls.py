"""Calls of a real router in the ledger: also of one that is killed in the middle of them."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from pointsman_callers.ledger.kept import KeptLedger
from pointsman_callers.ledger.spending import spend_by
from pointsman_database import Database

CHILD = """
import asyncio, sys
from pointsman import Router
from pointsman_simulator import Simulator


async def main():
    async with Simulator(seed=1) as simulator:
        quick = await simulator.add("openai", name="quick", models=["m"])
        slow = await simulator.add("openai", name="slow", models=["m"], latency=600)
        price = {"input": 1, "output": 1}
        config = {
            "providers": {
                each.name: {"type": "openai", "base_url": each.base_url, "api_key": "k"} for each in (quick, slow)
            },
            "models": {
                each.name: {"deployments": [{"provider": each.name, "model": "m", "price": price}]}
                for each in (quick, slow)
            },
            "budgets": {"database": sys.argv[1], "rules": [{"name": "all", "per": "caller", "tokens": "1G/month"}]},
        }
        async with Router.from_config(config) as router:
            slow_one = asyncio.ensure_future(router.chat("slow", "hello", caller="ci"))
            tokens = 0
            for _ in range(5):
                tokens += (await router.chat("quick", "hello there", caller="ci")).usage.total
            while not any(each.held for each in router.status().budgets):
                await asyncio.sleep(0)
            print(tokens, next(each.held for each in router.status().budgets), flush=True)
            await slow_one


asyncio.run(main())
"""


def test_a_router_that_is_killed_has_all_of_its_calls_in_the_ledger(tmp_path: Path) -> None:
    address = str(tmp_path / "pointsman.db")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    said = child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    errors = child.stderr.read()
    child.wait()
    child.stdout.close()
    child.stderr.close()
    assert said, errors
    tokens, held = map(int, said.split())

    ledger = KeptLedger(address, tmp_path)
    books = ledger.open(1.0)  # a clock by which nothing has expired
    ledger.close()

    database = Database.open(address, tmp_path)
    lines = {each.of: each for each in database.read(lambda session: spend_by(session, "model", None, None))}
    database.close()
    assert [each.amount for each in books.spent] == [tokens]
    assert [each.amount for hold in books.held for each in hold.counted] == [held]
    assert (lines["quick"].attempts, lines["quick"].prompt + lines["quick"].completion) == (5, tokens)
    assert "slow" not in lines

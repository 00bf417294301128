"""`pointsman health` asks every provider, and its exit code says whether all are well."""

from __future__ import annotations

import pytest


def test_all_well_is_a_table_and_zero(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), servers.add("claude", name="cloud"))

    table, data = cli("health"), cli("health", "--json")

    assert (table.code, table.err) == (0, "")
    rows = [line.split("\t") for line in table.out.splitlines()]
    assert [row[:2] for row in rows] == [["provider", "state"], ["gpu", "ok"], ["cloud", "ok"]]
    assert (data.code, {name: each["ok"] for name, each in data.json.items()}) == (
        0,
        {"gpu": True, "cloud": True},
    )


@pytest.mark.parametrize("all_down", [False, True])
def test_one_that_is_ill_is_three_and_says_why(cli, servers, all_down: bool) -> None:
    gpu, box = servers.add("ollama", name="gpu"), servers.add("localai", name="box")
    servers.configure(gpu, box)
    servers.do(box.stop())
    if all_down:
        servers.do(gpu.stop())

    table, data = cli("health"), cli("health", "--json")

    assert (table.code, data.code) == (3, 3)
    ill = [line.split("\t") for line in table.out.splitlines() if "\tdown\t" in line]
    assert [row[0] for row in ill] == (["gpu", "box"] if all_down else ["box"])
    assert all(row[3] for row in ill)
    assert data.json["box"]["error"]
    assert data.json["gpu"]["ok"] is not all_down


def test_a_configuration_that_is_not_there_is_usage_and_no_illness(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"))

    assert cli("health", "-c", "nothing.yaml").code == 2

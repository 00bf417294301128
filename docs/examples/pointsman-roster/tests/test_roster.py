"""What a roster says, and what is none."""

import pytest

from pointsman.plugin import BadResponse, FoundServer
from pointsman_roster.roster import found_in


def test_each_server_stands_there_once_with_its_weight_and_labels() -> None:
    found = found_in(
        b'{"servers": [{"url": "http://a/"}, {"url": "http://a", "weight": 3, "labels": {"zone": "b"}}],'
        b' "models": ["llama3.2"]}'
    )

    assert found.servers == [FoundServer(base_url="http://a", weight=3, labels={"zone": "b"})]
    assert found.models == ["llama3.2"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"", "it"),
        (b"[]", "it"),
        (b"{}", "servers"),
        (b'{"servers": [{}]}', "servers.0.url"),
        (b'{"servers": [{"url": "http://a", "weight": 0}]}', "servers.0.weight"),
        (b"[" * 100_000, "it"),
        (b"\xff", "it"),
    ],
)
def test_what_is_no_roster_is_told_by_its_place(text: bytes, where: str) -> None:
    with pytest.raises(BadResponse, match=f"makes no sense: see {where}$"):
        found_in(text)

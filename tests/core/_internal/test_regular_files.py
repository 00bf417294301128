"""Whatever file a configuration names: a regular one of a sensible size is read, anything else is refused at once."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from routers import config

from pointsman import Config, ConfigError, Router
from pointsman._internal.regular_files import read_regular
from pointsman.builtin.auth import LARGEST_SECRET
from pointsman.config.problems import MOST_SHOWN
from pointsman.testing import Scripted
from pointsman.transports.options import TransportOptions, TransportUnavailable


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def huge(folder: Path) -> Path:
    with open(folder / "huge", "wb") as stream:
        stream.truncate(32 * 1024 * 1024)
    return folder / "huge"


ODD: list[Callable[[Path], Path]] = [fifo, huge, lambda folder: folder, lambda _folder: Path("/dev/zero")]
ids = ["fifo", "huge", "folder", "device"]


def using(place: str, path: Path) -> dict[str, Any]:
    given = config("a")
    match place:
        case "auth":
            given["providers"]["a"]["auth"] = {"type": "file", "path": str(path)}
        case "reference":
            given["providers"]["a"]["api_key"] = f"${{file:{path}}}"
        case _:
            given["providers"]["a"][place] = str(path)
    if place == "client_key":
        given["providers"]["a"]["client_cert"] = str(path)
    return given


@pytest.mark.parametrize("odd", ODD, ids=ids)
@pytest.mark.parametrize("place", ["auth", "reference", "ca_file", "client_cert", "client_key"])
def test_what_is_no_regular_file_of_a_sensible_size_is_refused(
    place: str, odd: Callable[[Path], Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="regular|larger|directory") as caught:
        Router.check(using(place, odd(tmp_path)), plugins=[Scripted()])
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("odd", ODD[:3], ids=ids[:3])
def test_a_configuration_is_a_regular_file(odd: Callable[[Path], Path], tmp_path: Path) -> None:
    path = odd(tmp_path)
    named = tmp_path / "p.yaml"
    named.symlink_to(path)
    with pytest.raises(ConfigError, match="regular|larger|directory"):
        Config.load(named)


def test_a_file_is_read_to_the_last_byte_that_is_allowed_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x" * LARGEST_SECRET)
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    assert len(read_regular(tmp_path / "link", LARGEST_SECRET)) == LARGEST_SECRET
    with pytest.raises(OSError, match="larger than"):
        read_regular(tmp_path / "link", LARGEST_SECRET - 1)


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trusted", [False, True])
def test_the_keys_of_sessions_are_written_only_where_the_environment_is_trusted(
    trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    context = TransportOptions(trust_env=trusted).ssl_context()
    assert context.keylog_filename == (str(log) if trusted else None)
    assert log.exists() is trusted
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509_ca"] > 50


def test_a_certificate_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(TransportUnavailable, match="cannot set up TLS"):
        TransportOptions(ca_file=tmp_path / "ca.pem").ssl_context()


# ── very wrong configurations ────────────────────────────────────────────────────────────────────────

WRONG: list[tuple[str, str]] = [
    (
        "unknown keys",
        "models:\n  m:\n    deployments: [a/x]\n" + "".join(f"    key{n}: 1\n" for n in range(2000)),
    ),
    ("unknown providers", "models:\n" + "".join(f"  m{n}: {{deployments: [b{n}/x]}}\n" for n in range(2000))),
    (
        "unknown fallbacks",
        "models:\n" + "".join(f"  m{n}: {{deployments: [a/x], fallback: [zz{n}]}}\n" for n in range(2000)),
    ),
    (
        "unknown strategies",
        "models:\n" + "".join(f"  m{n}: {{deployments: [a/x], strategy: no{n}}}\n" for n in range(2000)),
    ),
]


@pytest.mark.parametrize("text", [each[1] for each in WRONG], ids=[each[0] for each in WRONG])
def test_fifty_problems_are_shown_and_the_others_counted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("providers: {a: {type: scripted}}\n" + text)
    with pytest.raises(ConfigError) as caught:
        Router.check(file, plugins=[Scripted()])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("2000 problems in ")
    assert len(lines) == MOST_SHOWN + 2
    assert lines[-1].strip() == "… and 1950 more"
    assert max(map(len, lines)) < 600
    assert ":5:" in lines[1] or ":3:" in lines[1], "those at the top of the file"


@pytest.mark.parametrize("where", ["strategy", "providers", "models", "key", "value"])
def test_a_message_shows_no_more_than_a_line_of_what_was_written(where: str, tmp_path: Path) -> None:
    long = "x" * 200_000
    given: dict[str, Any] = config("a")
    match where:
        case "strategy":
            given["strategy"] = long
        case "providers":
            given["providers"][long] = {"type": "nope"}
        case "models":
            given["models"][long] = {"deployments": ["b/x"]}
        case "key":
            given[long] = 1
        case _:
            given["models"]["m"]["deployments"] = [f"{long}/x"]
    with pytest.raises(ConfigError) as caught:
        Router.check(given, plugins=[Scripted()])
    assert len(str(caught.value)) < 1000

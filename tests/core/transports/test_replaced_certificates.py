"""Files of certificates that are written again hold for the next connection, with every transport."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

FIRST, SECOND = trustme.CA(), trustme.CA()
SERVER = {each: each.issue_cert("127.0.0.1") for each in (FIRST, SECOND)}


@asynccontextmanager
async def serving(server: trustme.CA, callers: trustme.CA) -> AsyncIterator[str]:
    """Answers with the common name of who connects, and closes each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    SERVER[server].configure_cert(context)
    callers.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            shown = writer.get_extra_info("peercert")["subject"][-1][0][1].encode()
            head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(shown)
            writer.write(head + shown)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"


def write(folder: Path, authority: trustme.CA, shown: trustme.LeafCert) -> None:
    authority.cert_pem.write_to_path(folder / "ca.pem")
    shown.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    shown.private_key_pem.write_to_path(folder / "key.pem")


async def asked(transport: Any, url: str) -> str:
    response = await transport.handle_async_request(httpx.Request("GET", url))
    return bytes(await response.aread()).decode()


async def test_certificates_and_authorities_that_are_replaced_hold_for_the_next_connection(
    opened: Any, tmp_path: Path
) -> None:
    write(tmp_path, FIRST, FIRST.issue_cert("a", common_name="one"))
    transport = opened(ca_file=tmp_path / "ca.pem", client_cert=(tmp_path / "cert.pem", tmp_path / "key.pem"))
    async with serving(FIRST, FIRST) as first, serving(SECOND, SECOND) as second:
        assert await asked(transport, first) == "one"

        write(tmp_path, SECOND, SECOND.issue_cert("a", common_name="two"))

        assert await asked(transport, second) == "two"
        with pytest.raises(httpx.TransportError):  # which is trusted no more
            await asked(transport, first)


async def test_of_two_files_of_which_one_is_written_those_of_before_hold_and_the_log_says_so_once(
    opened: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, FIRST, FIRST.issue_cert("a", common_name="one"))
    transport = opened(ca_file=tmp_path / "ca.pem", client_cert=(tmp_path / "cert.pem", tmp_path / "key.pem"))
    other = FIRST.issue_cert("a", common_name="two")
    with caplog.at_level(logging.WARNING, "pointsman"):
        async with serving(FIRST, FIRST) as url:
            assert await asked(transport, url) == "one"
            other.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
            for _ in range(2):
                assert await asked(transport, url) == "one"
            other.private_key_pem.write_to_path(tmp_path / "key.pem")
            assert await asked(transport, url) == "two"

    assert [each.message.count("what was read before stays") for each in caplog.records] == [1]

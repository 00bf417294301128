"""Libraries that log headers at DEBUG do so only for those who ask for it by name."""

from __future__ import annotations

import logging

import pytest

from pointsman.transports import open_transport

NAMES = ["httpcore.http11", "httpcore.http2", "hpack.hpack", "hpack.table"]


@pytest.mark.parametrize("name", NAMES)
def test_an_application_with_all_loggers_at_debug_gets_no_headers(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    open_transport("httpx")

    assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize("name", ["httpcore", "hpack"])
def test_whoever_sets_the_level_by_name_keeps_it(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, name)

    open_transport("httpx")

    assert logging.getLogger(name).level == logging.DEBUG
